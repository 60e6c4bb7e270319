"""`terrazzo.profile`: from a configuration, a bundle or a run folder to figures."""

import json
from pathlib import Path

import pytest

import terrazzo
from terrazzo.bundle import Bundle
from terrazzo.config import RunConfig
from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.sources.folder import FolderSource
from terrazzo.errors import BundleError, ConfigError
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES, Architecture
from terrazzo.phases.profile import PROFILE_FILE
from terrazzo.profiling import ProfileSettings

pytestmark = pytest.mark.usefixtures("quiet_torch")
QUICK = ProfileSettings(warmup=1, repeats=1)
MACHINE = MachineSettings(accelerator="cpu", precision="float32", threads=1)


def small() -> Architecture:
    return ARCHITECTURES.create("trm_deepglobe", width=8, t_max=3)


def config(**changes: object) -> RunConfig:
    data = {"source": FolderSource(folder=Path("nowhere")), "classes": ["a", "b"], "patch": {"size": 32}}
    sections = {
        "data": {**data, **changes.pop("data", {})},
        "model": small(),
        "loss": {"name": "steps"},
        "machine": MACHINE,
    }
    return RunConfig.model_validate({**sections, **changes})


def save_bundle(path: Path) -> None:
    Bundle(
        architecture=small(),
        bands=Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue", "nir"))),
        classes=Classes(items=(Class(name="a"), Class(name="b"))),
        normalisation=Normalisation(mean=(1.0,) * 4, std=(1.0,) * 4),
        patch_size=48,
        resolution_m=None,
        weights=small().build(bands=4, classes=2).state_dict(),
        training={},
        versions={},
        licence="",
    ).save(path)


def test_a_configuration_needs_neither_data_nor_training() -> None:
    found = terrazzo.profile(config(), settings=QUICK)
    assert found.folder is None
    assert found.model == "trm_deepglobe"
    assert found.bands.startswith("3 (assumed")
    assert [row["size"] for row in found.measurements] == ["32x32"] * 2
    assert [row["steps"] for row in found.measurements] == [2, 3]
    assert found.parameters["trainable"] == sum(each.numel() for each in small().build(bands=3, classes=2).parameters())
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("data", "settings", "words"),
    [
        ({"bands": ["r", "g", "b", "n"]}, QUICK, "4 (of the configuration)"),
        ({}, ProfileSettings(warmup=1, repeats=1, bands=5), "5 (as asked)"),
        ({"bands": ["r"]}, ProfileSettings(warmup=1, repeats=1, bands=5), "1 (of the configuration)"),
    ],
)
def test_who_says_the_bands_is_said(data: dict[str, object], settings: ProfileSettings, words: str) -> None:
    assert terrazzo.profile(config(data=data), settings=settings).bands == words


def test_a_bundle_is_measured_as_its_contract_says(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_bundle(path)
    found = terrazzo.profile(path, settings=QUICK, machine=MACHINE)
    assert found.bands == "4 (of the bundle)"
    assert found.measurements[0]["size"] == "48x48"
    assert sorted(path.parent.iterdir()) == [path]


def test_a_run_folder_keeps_its_profile_and_says_the_steps_it_took(tmp_path: Path) -> None:
    save_bundle(tmp_path / "bundle.safetensors")
    (tmp_path / "log.csv").write_text("epoch,val_miou,val_avg_steps\n1,0.5,2.75\n2,0.6,2.5\n3,,\n")
    found = terrazzo.profile(tmp_path, settings=QUICK, machine=MACHINE)
    assert json.loads((tmp_path / PROFILE_FILE).read_text()) == found.as_dict()
    (row,) = found.steps
    assert row["mean_steps"] == 2.5
    share = row["encoder_gmac"] / (row["encoder_gmac"] + 3 * row["step_gmac"])
    assert row["encoder_share"] == pytest.approx(share)
    assert row["saving"] == pytest.approx((1 - share) * (1 - 2.5 / 3))
    assert row["largest_saving"] == pytest.approx((1 - share) / 3)
    asked = terrazzo.profile(tmp_path, settings=QUICK.model_copy(update={"mean_steps": 3.0}), machine=MACHINE)
    assert asked.steps[0]["saving"] == 0


def test_a_run_without_a_bundle_is_still_a_network(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(config().dump())
    found = terrazzo.profile(tmp_path, settings=QUICK)
    assert found.folder == tmp_path
    assert (tmp_path / PROFILE_FILE).is_file()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="train first, or name a bundle"):
        terrazzo.profile(tmp_path)


def test_steps_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="between step 2 and step 3"):
        terrazzo.profile(config(), settings=QUICK.model_copy(update={"steps": (4,)}))


def test_parts_of_a_frozen_backbone_are_told_apart() -> None:
    pytest.importorskip("transformers")
    shape = {"channels": 32, "layers": 2, "heads": 2, "inner": 64}
    model = {"name": "dinov3", "backbone": {"name": "dinov3_vit", "size": shape, "taps": [0, 1]}, "head": "linear"}
    found = terrazzo.profile(config(model=model, loss="ce"), settings=QUICK)
    (row,) = found.operations
    assert row["encoder_gmac"] + row["head_gmac"] == pytest.approx(row["gmac"])
    assert 0 < row["head_gmac"] < row["encoder_gmac"]
    assert found.parameters["frozen"] > found.parameters["trainable"] > 0
