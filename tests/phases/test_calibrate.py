"""A bundle calibrated from end to end: an untrained network is as good as any to keep promises about."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from terrazzo.bundle import Bundle
from terrazzo.bundle.file import bundle_file
from terrazzo.calibration.settings import AbstainSettings, CalibrateSettings, HaltingSettings
from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import ConfigError
from terrazzo.geo.bands import Band, Bands
from terrazzo.models.architecture import ARCHITECTURES, Architecture
from terrazzo.models.backbones.stem import Stem
from terrazzo.models.refiner.trm import Trm
from terrazzo.phases.calibrate import calibrate, calibrated_path
from terrazzo.phases.summary import CalibrateSummary
from terrazzo.record import load_plugin

load_plugin(Path(__file__).parents[1] / "scene" / "probe_networks.py")

SIDE = 24
TRM = Trm(width=4, backbone=Stem(width=4, blocks=0), t_min=1, t_max=3)
FEW = HaltingSettings(epsilon=0.15, bound=0.2, thresholds=5)


def write_images(folder: Path, count: int, classes: int) -> Path:
    """Write images in which each class has its own brightness, and noise; half of the labels of one are missing."""
    generator = np.random.default_rng(3)
    for number in range(count):
        target = generator.integers(0, classes, (SIDE // 8, SIDE // 8)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        values = (60 + 50 * target + generator.normal(0, 30, (3, SIDE, SIDE))).clip(1, 255).astype(np.uint8)
        if number == 0:
            target[: SIDE // 2] = 255
        where = {"crs": "EPSG:32612", "transform": Affine(0.5, 0, 5e5 + 100 * number, 0, -0.5, 4.1e6)}
        for kind, data in (("images", values), ("labels", target[None])):
            path = folder / kind / f"bild ö{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            with rasterio.open(
                path, "w", driver="GTiff", count=len(data), height=SIDE, width=SIDE, dtype="uint8", **where
            ) as file:
                file.write(data)
                if kind == "images":
                    for place, name in enumerate(("red", "green", "blue"), 1):
                        file.set_band_description(place, name)
    return folder


def write_bundle(folder: Path, architecture: Architecture = TRM, classes: int = 3) -> Path:
    bands = Bands(items=tuple(Band(name=name, dtype="uint8") for name in ("red", "green", "blue")))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = architecture.build(bands=3, classes=classes).state_dict()
    bundle = Bundle(
        architecture=architecture,
        bands=bands,
        classes=Classes(items=tuple(Class(name=f"class {number}") for number in range(classes)), ignore_values=(255,)),
        normalisation=Normalisation(mean=(120.0,) * 3, std=(60.0,) * 3),
        patch_size=16,
        resolution_m=0.5,
        weights=weights,
        training={},
        versions={},
        licence="",
    )
    path = folder / "bundle.safetensors"
    bundle.save(path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("dàta"), 6, 3)


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("zwei"), 6, 2)


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CalibrateSummary]:
    """An old bundle, and what calibrating it came to."""
    old = write_bundle(tmp_path_factory.mktemp("run"))
    return old, calibrate(old, data=data, settings=settings())


@pytest.fixture(autouse=True)
def _quiet(quiet_torch: None) -> None:
    """Put back what computing sets."""


def settings(**changes: object) -> CalibrateSettings:
    return CalibrateSettings.model_validate({"halting": FEW, "date": "2026-01-02", **changes})


def test_a_network_in_steps_is_calibrated_with_all_that_makes_it_checkable(made: tuple[Path, CalibrateSummary]):
    old, told = made
    assert Bundle.load(old).calibration is None
    assert told.bundle == old.parent / "bundle-calibrated.safetensors"
    assert sum(told.parts.values()) == 6
    kept = Bundle.load(told.bundle).calibration
    assert kept is not None
    assert kept.source == Bundle.load(old).fingerprint
    halting = kept.halting
    assert halting is not None
    assert (halting.method, halting.loss, halting.epsilon, halting.delta, halting.bound) == (
        "wsr", "error", 0.15, 0.1, 0.2,
    )  # fmt: skip
    assert halting.grid == FEW.grid
    assert halting.origin.images == told.parts["halting"]
    assert (halting.origin.split, halting.origin.date) == ("calibrate", "2026-01-02")
    assert (halting.origin.conditions.window, halting.origin.conditions.steps) == (16, 3)
    assert kept.fitted is not None
    assert kept.fitted.split_hash != halting.origin.split_hash
    temperatures = kept.window_temperature
    assert temperatures is not None
    assert len(temperatures.temperatures) == 3  # type: ignore[union-attr] # of steps
    assert told.report_split == "calibrate"
    assert set(told.before) == set(told.after) >= {"ece", "nll", "brier", "miou", "mean_steps"}
    assert len(told.promises) == 1


def test_files_hold_every_threshold_and_step(made: tuple[Path, CalibrateSummary]):
    old, told = made
    assert told.folder == old.parent / "calibrate" / "calibrate"
    with (told.folder / "tau_sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["tau"]) for row in rows] == list(FEW.grid)
    assert (float(rows[0]["mean_steps"]), float(rows[0]["risk"])) == (3.0, 0.0)
    assert list(rows[0]) == ["tau", "miou", "mean_steps", "saved", "risk", "bound"]
    with (told.folder / "q_statistics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    summary = json.loads((told.folder / "summary.json").read_text())
    assert summary["calibration"]["halting"]["tau"] == told.calibration["halting"]["tau"]
    reliability = json.loads((told.folder / "reliability.json").read_text())
    assert reliability["before"]["ece"] == told.before["ece"]
    assert reliability["after"]["pixels"] == reliability["before"]["pixels"] > 0


def test_equal_inputs_give_equal_bytes(data: Path, made: tuple[Path, CalibrateSummary], tmp_path: Path):
    again = calibrate(write_bundle(tmp_path), data=data, out=tmp_path / "again.safetensors", settings=settings())
    assert again.bundle.read_bytes() == made[1].bundle.read_bytes()


def test_too_few_images_promise_nothing_and_say_how_many_would(data: Path, tmp_path: Path):
    strict = settings(halting=HaltingSettings(epsilon=0.001, delta=0.01, thresholds=5))
    told = calibrate(write_bundle(tmp_path), data=data, settings=strict)
    assert told.calibration["halting"]["tau"] == 1.0
    assert told.halting is not None
    assert told.halting["feasible"] is False
    assert "no window stops early" in told.promises[0]
    assert any("images" in warning for warning in told.warnings)


def test_a_quantile_is_without_guarantee(data: Path, tmp_path: Path):
    told = calibrate(
        write_bundle(tmp_path), data=data, settings=settings(halting=FEW.model_copy(update={"method": "quantile"}))
    )
    assert "without guarantee" in told.promises[0]
    assert told.calibration["halting"]["upper"] is None
    assert 0 < told.calibration["halting"]["tau"] < 1


def test_a_run_folder_stands_for_what_was_made_of_its_best_bundle(data: Path, tmp_path: Path):
    old = write_bundle(tmp_path)
    assert bundle_file(tmp_path) == old
    told = calibrate(tmp_path, data=data, settings=settings(temperature="none"))
    assert bundle_file(tmp_path) == told.bundle
    assert Bundle.load(tmp_path).calibration is not None
    # Calibrating again begins at the bundle that training left, not at its own result.
    again = calibrate(tmp_path, data=data, settings=settings(temperature="none"))
    assert again.calibration == told.calibration
    trained = Bundle.load(old)
    replace(trained, patch_size=8).save(old)
    assert bundle_file(tmp_path) == old


def test_a_calibrated_bundle_is_never_replaced_by_itself(data: Path, tmp_path: Path):
    old = write_bundle(tmp_path)
    with pytest.raises(ConfigError, match="would replace"):
        calibrate(old, data=data, out=old, settings=settings())
    with pytest.raises(ConfigError, match=r"must end in \.safetensors"):
        calibrate(old, data=data, out=tmp_path / "new", settings=settings())
    assert calibrated_path(Path("a/b-calibrated.safetensors")) == Path("a/b-calibrated.safetensors")


def test_two_classes_get_a_threshold_abstention_and_sets(two_classes: Path, tmp_path: Path):
    old = write_bundle(tmp_path, classes=2)
    asked = settings(decision="iou", abstain=AbstainSettings(epsilon=0.5), sets=0.5)
    told = calibrate(old, data=two_classes, settings=asked)
    assert set(told.parts) == {"fit", "halting", "abstain and sets", "report"}
    made = Bundle.load(told.bundle).calibration
    assert made is not None
    assert made.decision is not None
    assert made.abstention is not None
    assert made.sets is not None
    hashes = {made.decision.origin.split_hash, made.abstention.origin.split_hash}
    assert made.halting is not None
    assert len({*hashes, made.halting.origin.split_hash}) == 3
    assert made.sets.origin == made.abstention.origin
    assert len(told.promises) == 3


def test_what_does_not_apply_is_refused_before_data_is_read(tmp_path: Path):
    old = write_bundle(tmp_path)
    nowhere = tmp_path / "nowhere"
    with pytest.raises(ConfigError, match="two classes"):
        calibrate(old, data=nowhere, settings=settings(decision="f1"))
    with pytest.raises(ConfigError, match="nothing to calibrate"):
        calibrate(old, data=nowhere, settings=settings(temperature="none", halting=None))
    with pytest.raises(ConfigError, match="nothing says what to calibrate on"):
        calibrate(old, settings=settings())


def test_a_network_that_answers_at_once_gets_a_scalar(data: Path, tmp_path: Path):
    record = ARCHITECTURES.create("probe_convolution")
    assert isinstance(record, Architecture)
    old = write_bundle(tmp_path, record)
    with pytest.raises(ConfigError, match="answers at once; use scalar"):
        calibrate(old, data=data, settings=settings(temperature="step"))
    told = calibrate(old, data=data, settings=settings())
    assert told.calibration["temperature"]["name"] == "scalar"
    assert told.halting is None
    assert told.promises == ()
    assert not (told.folder / "tau_sweep.csv").exists()
    with pytest.raises(ConfigError, match="cannot stop early"):
        calibrate(old, settings=CalibrateSettings(unlabelled=(str(data / "images"),)))


def test_scenes_without_labels_choose_the_threshold_by_disagreement(
    data: Path, made: tuple[Path, CalibrateSummary], tmp_path: Path
):
    old = write_bundle(tmp_path)
    asked = settings(unlabelled=(str(data / "images"),), halting=FEW)
    told = calibrate(old, settings=asked)
    assert (told.split, told.parts) == ("unlabelled", {"halting": 6})
    halting = told.calibration["halting"]
    assert (halting["loss"], halting["origin"]["split"], halting["origin"]["images"]) == (
        "disagreement",
        "unlabelled",
        6,
    )
    assert told.before == {}
    labelled = made[1]
    both = calibrate(labelled.bundle, out=tmp_path / "both.safetensors", settings=asked)
    assert both.calibration["window_temperature"] == labelled.calibration["window_temperature"]
    assert both.calibration["halting"]["loss"] == "disagreement"
    assert both.calibration["source"] == Bundle.load(old).fingerprint
