"""A sweep says of every threshold what mapping with it would give, from one run of the network."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from terrazzo.assessment.halting_results import HaltingSweep
from terrazzo.assessment.halting_sweep import THRESHOLDS, sweep_halting
from terrazzo.assessment.images import pass_image
from terrazzo.bundle import Bundle
from terrazzo.calibration.record import Calibration
from terrazzo.calibration.temperature import ScalarTemperature
from terrazzo.calibration.window_temperature import StepTemperatures
from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.profiling.stepping import step_costs
from terrazzo.scene import PredictSettings, map_scene
from terrazzo.scene.image_pass import ImagePass

MACHINE = MachineSettings(accelerator="cpu", precision="float32", threads=1)
BANDS = Bands(items=tuple(Band(name=name, dtype="uint8") for name in ("red", "green", "blue")))
CLASSES = Classes(
    ignore_values=(0,),
    items=tuple(
        Class(name=name, colour=colour, values=(10 * number + 1,))
        for number, (name, colour) in enumerate([("field", "#3C1098"), ("forêt", "#00FF00"), ("water", "#0000FF")])
    ),
)
SHAPE = (24, 40)
TAUS = (1.0, 0.6, 0.5, 0.4, 0.3, 0.0)
Write = Callable[..., ImageEntry]


def refiner(calibration: Calibration | None = None, **settings: object) -> Bundle:
    """A refiner whose halting head was given weights, so that windows stop at different steps."""
    record = ARCHITECTURES.create("trm", **({"width": 8, "t_min": 1, "t_max": 4} | settings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        weights = record.build(bands=3, classes=3).state_dict()
    generator = torch.Generator().manual_seed(6)
    for name in ("halting.last.weight", "halting.hidden.weight"):
        if name in weights:
            weights[name].normal_(0, 1, generator=generator)
    if "halting.last.bias" in weights:
        weights["halting.last.bias"].fill_(0.5)
    return Bundle(
        architecture=record,
        bands=BANDS,
        classes=CLASSES,
        normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
        patch_size=16,
        resolution_m=None,
        weights=weights,
        training={},
        versions={},
        licence="",
        calibration=calibration,
    )


def picture(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Plains of different colour and roughness, so that windows differ in difficulty."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(1, 256, (3, *(-(-side // 9) for side in shape)))
    plains = coarse.repeat(9, axis=1).repeat(9, axis=2)[:, : shape[0], : shape[1]]
    noise = generator.normal(0, 40, (3, *shape)) * (np.arange(shape[1]) > shape[1] // 2)
    return np.clip(plains + noise, 1, 255).astype(np.uint8)


def write_raster(path: Path, values: np.ndarray, **profile: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **profile
    ) as file:
        file.write(values)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(
        name: str = "scène",
        shape: tuple[int, int] = SHAPE,
        *,
        seed: int = 1,
        label: np.ndarray | None = None,
        values: np.ndarray | None = None,
    ) -> ImageEntry:
        image, written = tmp_path / "images" / f"{name}.tif", tmp_path / "labels" / f"{name}.tif"
        write_raster(image, picture(shape, seed) if values is None else values)
        if label is not None:
            write_raster(written, label[None].astype(np.uint8))
        places = tuple(BandPlace(band, 0, number) for number, band in enumerate(("red", "green", "blue")))
        found = RasterLabel(rasters=(written,)) if label is not None else None
        return ImageEntry(name, image, found, (), "calibrate", None, *shape, stack=places)

    return make


def random_label(shape: tuple[int, int], seed: int = 5) -> np.ndarray:
    return 10 * np.random.default_rng(seed).integers(0, 3, shape) + 1


def swept(bundle: Bundle, entries: Sequence[ImageEntry], **changes: object) -> HaltingSweep:
    asked = {"bands": BANDS, "classes": CLASSES, "settings": PredictSettings(), "machine": MACHINE, "thresholds": TAUS}
    return sweep_halting(bundle, entries, **(asked | changes))


def passed(bundle: Bundle, entry: ImageEntry, settings: PredictSettings, tau: float) -> np.ndarray:
    """The classes that the engine gives without files; they are a map's, as its own test says."""
    passing = ImagePass(bundle, settings.model_copy(update={"tau": tau}), MACHINE)
    rows = passing.rows(pass_image(entry, BANDS, CLASSES))
    return np.concatenate([passing.products.decide(one.scores, y=one.y)["class"][0].numpy() for one in rows])


def mapped(bundle: Bundle, entry: ImageEntry, folder: Path, settings: PredictSettings, tau: float) -> np.ndarray:
    asked = settings.model_copy(update={"tau": tau, "quick_look": 0, "report": False})
    summary = map_scene(bundle, entry.image, folder / f"map {tau}.tif", settings=asked, machine=MACHINE).summary
    with rasterio.open(summary.out) as file:
        return file.read(1)


CALIBRATED = Calibration(
    window_temperature=StepTemperatures(temperatures=(0.5, 1.0, 2.0, 3.0)),
    temperature=ScalarTemperature(temperature=1.7),
)
CASES = {
    "one window": ({"t_min": 2}, None, {"window": 64, "precision": "bfloat16"}),
    "windows that overlap": ({}, None, {"overlap": 0.25, "strip_pixels": 20}),
    "margin, strips, batches": ({}, None, {"margin": 3, "strip_pixels": 16, "batch_size": 3, "steps": 3}),
    "temperatures, logits, views": ({}, CALIBRATED, {"blend": "logits", "views": ("hflip",), "scales": (1.0, 0.5)}),
    "cells with temperatures": ({"pixel_act": True}, CALIBRATED, {"overlap": 0.25, "margin": 2}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_threshold_has_the_classes_of_its_map(case: tuple, write: Write, tmp_path: Path) -> None:
    architecture, calibration, asked = case
    bundle, settings = refiner(calibration, **architecture), PredictSettings(**asked)
    bare = write()
    maps = {tau: passed(bundle, bare, settings, tau) for tau in (1.0, 0.5, 0.25)}
    if settings.margin:
        np.testing.assert_array_equal(maps[0.5], mapped(bundle, bare, tmp_path, settings, 0.5))
    # Labelled with its own map, an image is right in every pixel just if all classes are the map's.
    entries = [write(f"at {tau}", label=10 * classes.astype(int) + 1) for tau, classes in maps.items()]
    sweep = swept(bundle, entries, settings=settings, thresholds=tuple(maps))
    for position, (tau, classes) in enumerate(maps.items()):
        counts = sweep.sweeps[position].runs[position].confusion
        assert counts.sum() == classes.size
        assert np.trace(counts) == classes.size, tau
        assert {one.runs[position].differing for one in sweep.sweeps} == {(classes != maps[1.0]).sum()}
    if "window" not in asked:
        assert len({tuple(one.tolist()) for one in sweep.exits}) > 1
        assert len({classes.tobytes() for classes in maps.values()}) > 1


def test_steps_and_work_are_the_engines(write: Write, tmp_path: Path) -> None:
    bundle = refiner()
    entry = write()
    sweep = swept(bundle, [entry], labelled=False)
    costs = step_costs(bundle.network(), torch.zeros(1, 3, 16, 16), bundle.architecture.halting_rule)
    one = sweep.sweeps[0]
    for position, tau in enumerate(TAUS):
        if tau not in (1.0, 0.5):
            continue
        asked = PredictSettings(tau=tau, quick_look=0)
        figures = map_scene(bundle, entry.image, tmp_path / f"{tau}.tif", settings=asked, machine=MACHINE).summary
        assert sweep.mean_steps[0, position] == pytest.approx(figures.mean_steps)
        expected = sum(count * costs.macs(step) for step, count in enumerate(sweep.exits[position].tolist(), 1))
        assert one.macs[position] == expected
    assert one.full_macs == one.macs[0] == sweep.exits[0].sum() * costs.macs(4)
    assert sweep.exits[0].tolist() == [0, 0, 0, sweep.exits[0].sum()]
    assert sweep.savings[0] == 0
    assert sweep.savings[-1] > 0.05
    assert sweep.overall_steps[0] == 4
    assert one.fixed_macs[1] == sweep.exits[0].sum() * (costs.encoder + costs.answer + 2 * costs.step)


def test_runs_of_fixed_steps_are_maps_of_so_many_steps(write: Write) -> None:
    bundle = refiner(t_min=2)
    label = random_label(SHAPE)
    entry = write(label=label)
    sweep = swept(bundle, [entry])
    for steps in (2, 3, 4):
        classes = passed(bundle, entry, PredictSettings(steps=steps), 1.0)
        expected = np.array([[((label == 10 * a + 1) & (classes == b)).sum() for b in range(3)] for a in range(3)])
        np.testing.assert_array_equal(sweep.fixed[steps - 1], expected)
    np.testing.assert_array_equal(sweep.fixed[-1], sweep.full)


def test_a_record_on_the_disk_says_the_same(write: Write) -> None:
    entry = write(label=random_label(SHAPE))
    held, spilled = (swept(refiner(), [entry], memory=memory) for memory in (2**20, 100))
    np.testing.assert_array_equal(held.confusions, spilled.confusions)
    for name, table in held.losses.items():
        np.testing.assert_array_equal(table.losses, spilled.losses[name].losses)


def test_images_are_judged_each_by_itself(write: Write) -> None:
    shapes = {"a": SHAPE, "b": (16, 16), "c": (1, 1), "d": (5, 40)}
    entries = [
        write(name, shape, seed=number, label=random_label(shape, number))
        for number, (name, shape) in enumerate(shapes.items())
    ]
    together = swept(refiner(), entries)
    assert together.images == tuple(shapes)
    assert set(together.losses) == {"disagreement", "error", "iou", "brier"}
    for number, entry in enumerate(entries):
        alone = swept(refiner(), [entry])
        np.testing.assert_array_equal(together.mean_steps[number], alone.mean_steps[0])
        for name, table in alone.losses.items():
            np.testing.assert_array_equal(together.losses[name].losses[number], table.losses[0])
    np.testing.assert_array_equal(together.full, sum(one.full.confusion for one in together.sweeps))
    assert together.full.sum() == sum(height * width for height, width in shapes.values())
    work = np.array([one.exits[0].sum() * one.window_pixels for one in together.sweeps])
    np.testing.assert_allclose(together.overall_steps, work @ together.mean_steps / work.sum())


def test_the_most_careful_threshold_loses_nothing(write: Write) -> None:
    sweep = swept(refiner(), [write(label=random_label(SHAPE))])
    for name, table in sweep.losses.items():
        assert table.thresholds == TAUS
        assert table.losses[0, 0] == 0, name
    assert sweep.losses["disagreement"].losses[0, -1] > 0
    np.testing.assert_array_equal(sweep.confusions[0], sweep.full)


def test_without_labels_only_disagreement_is_known(write: Write) -> None:
    entry, labelled = write(), write("b", label=random_label(SHAPE))
    sweep = swept(refiner(), [entry], labelled=False)
    assert set(sweep.losses) == {"disagreement"}
    assert sweep.confusions is None
    assert sweep.full is None
    assert sweep.fixed is None
    same = swept(refiner(), [labelled], losses=("disagreement",))
    np.testing.assert_array_equal(sweep.losses["disagreement"].losses, same.losses["disagreement"].losses)
    with pytest.raises(DataError, match="has no label"):
        swept(refiner(), [entry])
    with pytest.raises(DataError, match='"iou" needs labels'):
        swept(refiner(), [entry], labelled=False, losses=("iou",))


def test_images_with_nothing_to_judge_are_left_out(write: Write) -> None:
    nothing = np.zeros((20, 20))
    entries = [write("a", label=random_label(SHAPE)), write("b", (20, 20), label=nothing)]
    sweep = swept(refiner(), entries)
    assert sweep.images == ("a",)
    assert sweep.left_out == ("b",)
    with pytest.raises(DataError, match="None of the 1 images"):
        swept(refiner(), entries[1:])


def test_ignored_and_unmeasured_pixels_do_not_count(write: Write) -> None:
    label, values = random_label(SHAPE), picture(SHAPE, 1)
    label[:, :20] = 0
    values[:, 16:] = 0
    missing = Bands(items=tuple(replace_nodata(band) for band in BANDS.items))
    bundle = replace(refiner(), bands=missing)
    sweep = swept(bundle, [write(label=label, values=values)], bands=missing)
    run = sweep.sweeps[0].runs[-1]
    assert run.pixels == 16 * 40
    assert run.labelled == 16 * 20


def replace_nodata(band: Band) -> Band:
    return band.model_copy(update={"nodata": 0.0})


def test_of_a_divided_image_only_its_part_counts(write: Write) -> None:
    whole = write(label=random_label(SHAPE))
    parts = [
        BlockArea(part=part, shares=(("calibrate", 0.5), ("test", 0.5)), size=16.0, image="scène")
        for part in ("calibrate", "test")
    ]
    sweeps = [swept(refiner(), [replace(whole, area=part)]) for part in parts]
    pixels = [one.sweeps[0].full.pixels for one in sweeps]
    assert sum(pixels) == 24 * 40
    assert all(pixels)
    assert [one.sweeps[0].full.labelled for one in sweeps] == pixels
    alone = swept(refiner(), [whole])
    np.testing.assert_array_equal(sweeps[0].full + sweeps[1].full, alone.full)


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.7), (1.0, 1.0), (1.5,), (0.5, -0.1)])
def test_thresholds_that_do_not_fall_are_refused(thresholds: tuple[float, ...], write: Write) -> None:
    with pytest.raises(ConfigError, match="Halting thresholds"):
        swept(refiner(), [write(label=random_label(SHAPE))], thresholds=thresholds)


def test_networks_that_no_threshold_stops_are_refused(write: Write) -> None:
    entry = write(label=random_label(SHAPE))
    with pytest.raises(ConfigError, match="always runs 4 steps"):
        swept(refiner(act=False), [entry])


def test_the_usual_grid_has_a_hundred_and_one_thresholds() -> None:
    assert len(THRESHOLDS) == 101
    assert THRESHOLDS[:3] == (1.0, 0.99, 0.98)
    assert THRESHOLDS[-1] == 0.0
