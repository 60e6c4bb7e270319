"""What is measured of thresholds is what the map's layers then show, pixel for pixel."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from terrazzo.assessment.thresholds import ThresholdLosses, choose_decision, measure_thresholds
from terrazzo.bundle import Bundle
from terrazzo.calibration.abstention import CONFIDENCES
from terrazzo.calibration.record import (
    AbstentionPromise,
    Calibration,
    Conditions,
    ConformalSets,
    DecisionThreshold,
    Origin,
)
from terrazzo.calibration.sets import PROBABILITIES
from terrazzo.calibration.temperature import ScalarTemperature, VectorScaling
from terrazzo.calibration.window_temperature import StepTemperatures
from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import ConfigError, LabelError
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.progress import Event
from terrazzo.record import load_plugin
from terrazzo.scene import PredictSettings, map_scene
from terrazzo.scene.promise import conditions_of

load_plugin(Path(__file__).parents[1] / "scene" / "probe_networks.py")

MACHINE = MachineSettings(accelerator="cpu", precision="float32", threads=1)
BANDS = Bands(items=tuple(Band(name=name, dtype="uint8") for name in ("red", "green", "blue")))
COLOURS = ("#3C1098", "#00FF00", "#0000FF", "#FF0000")
SHAPES = ((37, 53), (5, 40), (1, 1))
Write = Callable[..., ImageEntry]


def listed(classes: int) -> Classes:
    return Classes(
        ignore_values=(0,),
        items=tuple(
            Class(name=f"class {number} ä", colour=COLOURS[number], values=(10 * number + 1,))
            for number in range(classes)
        ),
    )


def probe(classes: int = 4, calibration: Calibration | None = None) -> Bundle:
    record = ARCHITECTURES.create("probe_convolution", depth=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        weights = record.build(bands=3, classes=classes).state_dict()
    for name, values in weights.items():
        if name.endswith("1.weight"):
            values *= 8
    return Bundle(
        architecture=record,
        bands=BANDS,
        classes=listed(classes),
        normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
        patch_size=16,
        resolution_m=None,
        weights=weights,
        training={},
        versions={},
        licence="",
        calibration=calibration,
    )


def origin(bundle: Bundle, settings: PredictSettings) -> Origin:
    return Origin(
        split="calibrate",
        split_hash="0" * 64,
        images=len(SHAPES),
        date="2026-01-31",
        conditions=conditions_of(bundle, settings),
    )


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an image with missing pixels, and a label of which a part is ignored."""

    def make(name: str, shape: tuple[int, int], *, seed: int, classes: int = 4, labelled: bool = True) -> ImageEntry:
        generator = np.random.default_rng(seed)
        values = generator.integers(1, 256, (3, *shape)).astype(np.uint8)
        values[:, : shape[0] // 6, : shape[1] // 3] = 0
        label = 10 * generator.integers(0, classes, (1, *shape)) + 1
        label[generator.random(label.shape) < (0.1 if labelled and shape != (1, 1) else not labelled)] = 0
        paths = (tmp_path / "images é" / f"{name}.tif", tmp_path / "labels" / f"{name}.tif")
        for path, raster, nodata in zip(paths, (values, label.astype(np.uint8)), (0, None), strict=True):
            path.parent.mkdir(exist_ok=True)
            with rasterio.open(
                path,
                "w",
                driver="GTiff",
                count=len(raster),
                height=shape[0],
                width=shape[1],
                dtype="uint8",
                nodata=nodata,
            ) as file:
                file.write(raster)
        stack = tuple(BandPlace(band, 0, number) for number, band in enumerate(("red", "green", "blue")))
        return ImageEntry(name, paths[0], RasterLabel(rasters=paths[1:]), (), "calibrate", None, *shape, stack=stack)

    return make


def measured(bundle: Bundle, entries: list[ImageEntry], settings: PredictSettings, **more: object) -> ThresholdLosses:
    return measure_thresholds(
        bundle, entries, bands=BANDS, classes=bundle.classes, settings=settings, machine=MACHINE, **more
    )


def rasters(bundle: Bundle, entry: ImageEntry, settings: PredictSettings, folder: Path) -> dict[str, np.ndarray]:
    """Map an image and read the map and its layers, beside the label."""
    plain = settings.model_copy(update={"quick_look": 0, "report": False, "stac": False, "overviews": False})
    summary = map_scene(bundle, entry.image, folder / f"{entry.image_id}.tif", settings=plain, machine=MACHINE).summary
    paths = {"class": summary.out, **summary.layers, "label": entry.label.rasters[0]}
    found = {}
    for name, path in paths.items():
        with rasterio.open(path) as file:
            found[name] = file.read(1)
    # Raw values 1, 11, 21 ... name the classes; 0 is ignored.
    found["label"] = found["label"].astype(int) // 10 - 255 * (found["label"] == 0)
    found["counted"] = (found["label"] >= 0) & (found["class"] != 255)
    return found


CASES = {
    "as trained": (4, None, {}),
    "temperature, overlap": (4, Calibration(temperature=ScalarTemperature(temperature=1.7)), {"overlap": 0.5}),
    "vector, logits, views": (
        3,
        Calibration(temperature=VectorScaling(weight=(0.6, 1.2, 0.9), bias=(0.3, -0.2, 0.1))),
        {"blend": "logits", "views": ("identity", "hflip"), "margin": 2},
    ),
    "two classes": (2, Calibration(temperature=ScalarTemperature(temperature=0.5)), {"overlap": 0.25}),
    "two classes, threshold": (
        2,
        Calibration(
            decision=DecisionThreshold(
                threshold=0.3,
                figure="f1",
                value=0.5,
                origin=Origin(
                    split="calibrate",
                    split_hash="0" * 64,
                    images=1,
                    date="2026-01-31",
                    conditions=Conditions(
                        window=16,
                        stride=14,
                        margin=0,
                        blend="probabilities",
                        views=("identity",),
                        scales=(1.0,),
                        steps=None,
                    ),
                ),
            )
        ),
        {},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_layers_of_maps_show_what_was_measured(case: tuple, write: Write, tmp_path: Path) -> None:
    classes, calibration, asked = case
    # The smallest images once: they are cut alike in all cases.
    shapes = SHAPES if calibration is None else SHAPES[:1]
    shows_what_was_measured(probe(classes, calibration), PredictSettings(**asked), shapes, write, tmp_path)


def test_so_they_do_for_a_network_that_stops_early(write: Write, tmp_path: Path) -> None:
    record = ARCHITECTURES.create("trm", width=8, t_min=1, t_max=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        weights = record.build(bands=3, classes=3).state_dict()
    for values in weights.values():
        if values.dtype == torch.float32 and values.ndim == 4:
            values *= 2
    temperatures = Calibration(
        window_temperature=StepTemperatures(temperatures=(0.5, 1.0, 2.0)),
        temperature=ScalarTemperature(temperature=0.4),
    )
    bundle = replace(probe(3), architecture=record, weights=weights, calibration=temperatures)
    shows_what_was_measured(bundle, PredictSettings(tau=0.5, overlap=0.25), SHAPES[:1], write, tmp_path)


def shows_what_was_measured(
    bundle: Bundle, settings: PredictSettings, shapes: Sequence[tuple[int, int]], write: Write, tmp_path: Path
) -> None:
    classes = len(bundle.classes)
    entries = [write(f"Bild {number} ö", shape, seed=number, classes=classes) for number, shape in enumerate(shapes)]
    found = measured(bundle, entries, settings)
    assert found.images == tuple(entry.image_id for entry in entries)
    assert found.unlabelled == ()
    # A threshold of each in the middle of what occurs, so that the layers differ from pixel to pixel.
    kept, pixels = found.abstention.kept, found.abstention.pixels
    confidence = int(np.abs(kept - 0.5 * pixels).argmin())
    members = found.sets.members
    member = int(np.abs(members - 1.3 * found.sets.pixels).argmin())
    at = origin(bundle, settings)
    chosen = replace(
        bundle,
        calibration=(bundle.calibration or Calibration()).model_copy(
            update={
                "abstention": AbstentionPromise(
                    least_confidence=CONFIDENCES[confidence],
                    method="crc",
                    epsilon=0.5,
                    delta=None,
                    kept=0.5,
                    grid=CONFIDENCES,
                    risk=0.5,
                    upper=0.5,
                    origin=at,
                ),
                "sets": ConformalSets(
                    least_probability=PROBABILITIES[member],
                    alpha=0.1,
                    missing=0.1,
                    mean_size=1.5,
                    grid=PROBABILITIES,
                    upper=0.1,
                    origin=at,
                ),
            }
        ),
    )
    layered = settings.model_copy(update={"layers": ("abstain", "sets")})
    seen_kept = seen_members = seen_pixels = 0
    for number, entry in enumerate(entries):
        shown = rasters(chosen, entry, layered, tmp_path / "maps")
        counted = shown["counted"]
        keep = counted & (shown["abstain"] == 0)
        wrong = (shown["class"] != shown["label"])[keep]
        assert found.abstention.table.losses[number, confidence] == (wrong.mean() if keep.any() else 0)
        has = (shown["sets"][counted].astype(int) >> shown["label"][counted]) & 1
        assert found.sets.table.losses[number, member] == (has == 0).sum() / counted.sum()
        seen_kept += keep.sum()
        seen_members += np.bitwise_count(shown["sets"][counted]).sum()
        seen_pixels += counted.sum()
    assert seen_kept == kept[confidence]
    assert seen_members == members[member]
    assert seen_pixels == pixels == found.sets.pixels
    assert 0.2 < seen_kept / seen_pixels < 0.8
    assert 1 < seen_members / seen_pixels < 2


def test_promises_are_chosen_from_what_was_measured(write: Write) -> None:
    bundle, settings = probe(), PredictSettings()
    entries = [write(f"{number}", (20, 20), seed=number) for number in range(12)]
    found = measured(bundle, entries, settings)
    at = origin(bundle, settings)
    choice = found.sets.choose(alpha=0.3)
    sets = found.sets.sets(choice, at)
    assert 0 < sets.missing <= 0.3
    assert 1 < sets.mean_size < 4
    # Labels are noise, three pixels in four are wrong however sure the network is: next to nothing can be kept.
    choice = found.abstention.choose(method="wsr", epsilon=0.5, delta=0.1)
    promise = found.abstention.promise(choice, at)
    assert promise.least_confidence > 0.99
    assert promise.kept < 0.01
    choice = found.abstention.choose(method="crc", epsilon=0.95)
    promise = found.abstention.promise(choice, at)
    assert promise.risk < promise.upper <= 0.95
    assert 0.01 < promise.kept < 1
    assert promise.kept == found.abstention.kept[choice.position] / found.abstention.pixels


def test_the_order_of_the_catalog_makes_no_difference(write: Write) -> None:
    entries = [write(f"{number}", (20, 24), seed=number) for number in range(8)]
    forwards, backwards = (measured(probe(), order, PredictSettings()) for order in (entries, entries[::-1]))
    one, other = (each.abstention.choose(method="wsr", epsilon=0.9, delta=0.2) for each in (forwards, backwards))
    assert one.feasible
    np.testing.assert_array_equal(one.uppers, other.uppers)


def test_thresholds_are_measured_calibrated_whatever_the_settings_say(write: Write) -> None:
    entries = [write("a", (30, 30), seed=1)]
    calibrated = probe(calibration=Calibration(temperature=ScalarTemperature(temperature=5.0)))
    found = [
        measured(calibrated, entries, PredictSettings(calibrated=said, layers=("confidence",))).abstention.kept
        for said in (True, False)
    ]
    np.testing.assert_array_equal(*found)
    assert (found[0] != measured(probe(), entries, PredictSettings()).abstention.kept).any()


def test_of_a_divided_image_only_its_part_counts(write: Write) -> None:
    whole = write("scène", (40, 60), seed=2)
    parts = [
        replace(
            whole,
            image_id=f"scène#{part}",
            area=BlockArea(part=part, shares=(("calibrate", 0.5), ("test", 0.5)), size=16.0, image="scène"),
        )
        for part in ("calibrate", "test")
    ]
    found = [measured(probe(), [entry], PredictSettings()) for entry in (whole, *parts)]
    for name in ("kept", "pixels"):
        counts = [getattr(each.abstention, name) for each in found]
        np.testing.assert_array_equal(counts[0], counts[1] + counts[2])
    assert all(each.sets.pixels for each in found)


def test_images_without_a_labelled_pixel_are_named(write: Write) -> None:
    bare = write("bare", (20, 20), seed=1, labelled=False)
    nothing = replace(write("nothing", (20, 20), seed=2), label=None)
    events: list[Event] = []
    found = measured(
        probe(), [bare, write("good", (20, 20), seed=3), nothing], PredictSettings(), listener=events.append
    )
    assert found.images == ("good",)
    assert found.unlabelled == ("bare", "nothing")
    assert [event.done for event in events if event.kind == "advance"] == [1, 2, 3]
    with pytest.raises(LabelError, match="None of 2 images has a labelled pixel"):
        measured(probe(), [bare, nothing], PredictSettings())


class TestDecision:
    def test_the_map_has_the_figure_that_was_found(self, write: Write, tmp_path: Path) -> None:
        bundle = probe(2, Calibration(temperature=ScalarTemperature(temperature=2.0)))
        settings = PredictSettings(overlap=0.25)
        entries = [write(f"{number}", shape, seed=number, classes=2) for number, shape in enumerate(SHAPES[1:])]
        found = choose_decision(
            bundle,
            entries,
            bands=BANDS,
            classes=bundle.classes,
            figure="iou",
            origin=origin(bundle, settings),
            settings=settings,
            machine=MACHINE,
        )
        assert found.origin.images == len(SHAPES)
        values = {}
        for threshold in (found.threshold, 0.5):
            decision = found.model_copy(update={"threshold": threshold})
            decided = replace(bundle, calibration=bundle.calibration.model_copy(update={"decision": decision}))
            right = wrong = missed = 0
            for entry in entries:
                shown = rasters(decided, entry, settings, tmp_path / f"maps {threshold}")
                chosen, second = (shown[name][shown["counted"]] == 1 for name in ("class", "label"))
                right += (chosen & second).sum()
                wrong += (chosen & ~second).sum()
                missed += (~chosen & second).sum()
            values[threshold] = right / (right + wrong + missed)
        assert values[found.threshold] == found.value == max(values.values())

    def test_three_classes_have_no_threshold(self, write: Write) -> None:
        bundle = probe(3)
        with pytest.raises(ConfigError, match="tells two classes apart, not 3"):
            choose_decision(
                bundle,
                [write("a", (20, 20), seed=1, classes=3)],
                bands=BANDS,
                classes=bundle.classes,
                figure="f1",
                origin=origin(bundle, PredictSettings()),
                settings=PredictSettings(),
                machine=MACHINE,
            )
