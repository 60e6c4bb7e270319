"""Whole images judged by a network whose answers are known: the strongest band is the class."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from terrazzo.assessment.confusion_file import load_confusions
from terrazzo.bundle import Bundle
from terrazzo.calibration.record import Calibration, Conditions, DecisionThreshold, Origin
from terrazzo.calibration.temperature import ScalarTemperature
from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import ConfigError
from terrazzo.geo.bands import Band, Bands
from terrazzo.metrics import Confusion
from terrazzo.models import ARCHITECTURES
from terrazzo.phases.compare import compare
from terrazzo.phases.evaluate import evaluate, evaluate_splits
from terrazzo.record import load_plugin
from terrazzo.training.settings import EvaluateSettings

load_plugin(Path(__file__).parents[1] / "scene" / "probe_networks.py")

NAMES = ("sky", "tree ä", "road")
COLOURS = ("#3C1098", "#00FF00", "#0000FF")
SHAPES = {"test/a": (37, 53), "test/b é": (16, 16), "test/c": (1, 1), "test/d": (20, 70), "val/e": (24, 24)}
IGNORED = 255


def bundle_of(bands: tuple[str, ...] = ("red", "green", "blue"), **changes: object) -> Bundle:
    """A bundle whose logits are the bands, normalised."""
    record = ARCHITECTURES.create("probe_identity")
    count = len(bands)
    items = tuple(Class(name=NAMES[number], colour=COLOURS[number]) for number in range(count))
    parts = {
        "architecture": record,
        "bands": Bands(items=tuple(Band(name=name, dtype="uint8") for name in bands)),
        "classes": Classes(items=items, ignore_values=(IGNORED,)),
        "normalisation": Normalisation(mean=(100.0,) * count, std=(50.0,) * count),
        "patch_size": 16,
        "resolution_m": None,
        "weights": record.build(bands=count, classes=count).state_dict(),
        "training": {},
        "versions": {},
        "licence": "",
    }
    return Bundle(**{**parts, **changes})


def pixels_of(name: str, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An image without ties, and a label that agrees with its strongest band in most pixels; some are ignored."""
    draw = np.random.default_rng(list(name.encode()))
    image = draw.permuted(np.stack([np.full(shape, 60), np.full(shape, 130), np.full(shape, 200)]), axis=0)
    label = image.argmax(axis=0)
    label = np.where(draw.random(shape) < 0.2, draw.integers(0, 3, shape), label)
    label = np.where(draw.random(shape) < 0.1, IGNORED, label)
    return image.astype(np.uint8), label.astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, quiet_torch: None) -> Path:
    """Images and labels of several sizes in two splits."""
    for name, shape in SHAPES.items():
        image, label = pixels_of(name, shape)
        split, stem = name.split("/")
        for kind, content in (("images", np.moveaxis(image, 0, -1)), ("gt", label)):
            path = tmp_path / "my dàta" / split / kind / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)
    return tmp_path / "my dàta"


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    def save(**changes: object) -> Path:
        path = tmp_path / "a run" / "bundle.safetensors"
        path.parent.mkdir(exist_ok=True)
        bundle_of(**changes).save(path)
        return path

    return save


def expected(*names: str) -> np.ndarray:
    """Count the pixels of images by hand."""
    counts = np.zeros((3, 3), dtype=np.int64)
    for name in names:
        image, label = pixels_of(name, SHAPES[name])
        kept = label != IGNORED
        np.add.at(counts, (label[kept], image.argmax(axis=0)[kept]), 1)
    return counts


TEST = tuple(name for name in SHAPES if name.startswith("test"))


def test_each_labelled_pixel_counts_once(folder: Path, model: Callable[..., Path]) -> None:
    path = model()
    summary = evaluate(path, data=folder, split="test")
    assert summary.folder == path.parent / "evaluate" / "test"
    assert (summary.images, summary.on, summary.loss) == (4, "images", None)
    np.testing.assert_array_equal(summary.confusion, expected(*TEST))
    by_hand = Confusion(torch.from_numpy(expected(*TEST))).scores(NAMES)
    assert summary.miou == by_hand.miou
    ends = summary.intervals["miou"]
    assert ends["low"] <= summary.miou <= ends["high"]
    written = json.loads((summary.folder / "summary.json").read_text())
    assert written["miou"] == summary.miou
    assert written["boundary"]["tolerances"] == ["0", "1", "2", "3", "5", "0.75%"]
    assert 0 < written["boundary"]["boundary_iou"] < 1


def test_tables_hold_every_image(folder: Path, model: Callable[..., Path]) -> None:
    summary = evaluate(model(), data=folder, split="test")
    with (summary.folder / "per_image.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == list(TEST)
    for row in rows:
        scores = Confusion(torch.from_numpy(expected(row["image"]))).scores(NAMES)
        assert int(row["pixels"]) == scores.pixels
        shown = [scores.miou, *(one.iou for one in scores.classes)]
        told = [row["miou"], *(row[f"iou {name}"] for name in NAMES)]
        assert told == ["" if np.isnan(value) else f"{value:.6f}" for value in shown]
    counts = load_confusions(summary.folder / "confusions.safetensors")
    assert (counts.images, counts.classes, counts.split) == (TEST, NAMES, "test")
    np.testing.assert_array_equal(counts.counts, [expected(name) for name in TEST])
    assert len(list((summary.folder / "samples").glob("*.png"))) == len([row for row in rows if int(row["pixels"])])


def test_patches_and_images_count_the_same_pixels(folder: Path, model: Callable[..., Path]) -> None:
    path = model()
    whole = evaluate(path, data=folder, split="test")
    patches = evaluate(path, data=folder, split="test", settings=EvaluateSettings(on="patches"))
    # This network sees one pixel at a time, so that it makes no difference.
    assert patches.confusion == whole.confusion
    assert (patches.on, patches.intervals, patches.boundary) == ("patches", {}, {})
    assert not (patches.folder / "per_image.csv").exists()
    limited = evaluate(path, data=folder, split="test", settings=EvaluateSettings(on="patches", limit=2))
    np.testing.assert_array_equal(limited.confusion, expected(*TEST[:2]))


def test_several_splits_and_a_name(folder: Path, model: Callable[..., Path]) -> None:
    path = model()
    every = evaluate_splits(path, data=folder, splits=["all"], settings=EvaluateSettings(reliability=False))
    assert [one.split for one in every.evaluations] == ["val", "test"]
    assert [one.folder.name for one in every.evaluations] == ["val", "test"]
    assert every.evaluations[0].reliability == {}
    named = evaluate_splits(path, data=folder, splits=["test", "val"], name="again")
    assert [one.folder.name for one in named.evaluations] == ["again-test", "again-val"]
    assert evaluate(path, data=folder, name="once").folder.name == "once"
    with pytest.raises(ConfigError, match='no split "calibrate"; it has val, test'):
        evaluate(path, data=folder, split="calibrate")


def test_only_the_first_images(folder: Path, model: Callable[..., Path]) -> None:
    summary = evaluate(model(), data=folder, split="test", settings=EvaluateSettings(limit=2))
    assert summary.images == 2
    np.testing.assert_array_equal(summary.confusion, expected(*TEST[:2]))


def test_masks_and_probabilities_hold_the_answers(folder: Path, model: Callable[..., Path]) -> None:
    settings = EvaluateSettings(masks=True, probabilities=True, plots=True)
    summary = evaluate(model(), data=folder, split="test", settings=settings)
    assert summary.masks is not None
    assert summary.probabilities is not None
    for name in TEST:
        image, _ = pixels_of(name, SHAPES[name])
        with rasterio.open(summary.masks / f"{name}.png") as mask:
            np.testing.assert_array_equal(mask.read(1), image.argmax(axis=0))
            assert mask.colormap(1)[1] == (0, 255, 0, 255)
        with rasterio.open(summary.probabilities / f"{name}.tif") as file:
            logits = torch.from_numpy((image.astype(np.float32) - 100) / 50)
            np.testing.assert_allclose(file.read() / 254, logits.softmax(0).numpy(), atol=0.5 / 254 + 1e-6)
            assert file.descriptions == NAMES
    assert [path.name for path in summary.plots] == [f"{Path(name).name}.png" for name in TEST]
    assert all(path.is_file() for path in summary.plots)


def test_plots_alone_leave_scores_as_they_were(folder: Path, model: Callable[..., Path]) -> None:
    path = model()
    first = evaluate(path, data=folder, split="val")
    before = (first.folder / "summary.json").read_bytes()
    drawn = evaluate(path, data=folder, split="val", settings=EvaluateSettings(scores=False, plots=True, threshold=1.0))
    assert (first.folder / "summary.json").read_bytes() == before
    (picture,) = drawn.plots
    with Image.open(picture) as image:
        assert image.mode == "RGB"
        colours = {colour for _, colour in image.getcolors(2**24)}
    # The output is grey throughout at a threshold of 1; the label still has the classes' colours.
    assert (0, 255, 0) in colours


def test_one_image_is_shown_by_any_of_its_names(folder: Path, model: Callable[..., Path]) -> None:
    path = model()
    for word in ("val/e", "e", "e.png", str(folder / "val" / "images" / "e.png")):
        summary = evaluate(path, data=folder, show=word)
        assert [one.name for one in summary.plots] == ["e.png"]
        assert summary.split == "val"
        assert not (summary.folder / "summary.json").exists()
    with pytest.raises(ConfigError, match='No image is called "nowhere"; there are test/a, '):
        evaluate(path, data=folder, show="nowhere")
    with pytest.raises(ConfigError, match="No image is called"):
        evaluate(path, data=folder, show="e", split="test")


ORIGIN = Origin(
    split="calibrate",
    split_hash="0" * 64,
    images=3,
    date="2026-01-02",
    conditions=Conditions(
        window=16, stride=14, margin=0, blend="probabilities", views=("identity",), scales=(1.0,), steps=None
    ),
)


def test_a_calibrated_bundle_is_told_with_and_without_it(folder: Path, model: Callable[..., Path]) -> None:
    plain = evaluate(model(), data=folder, split="test")
    calibration = Calibration(temperature=ScalarTemperature(temperature=2.0), fitted=ORIGIN, source=None)
    summary = evaluate(model(calibration=calibration), data=folder, split="test")
    assert summary.calibrated
    assert summary.confusion == plain.confusion
    assert summary.without_calibration["ece"] == plain.reliability["ece"]
    assert summary.without_calibration["miou"] == plain.miou
    assert summary.reliability["nll"] != plain.reliability["nll"]
    told = json.loads((summary.folder / "reliability.json").read_text())
    assert told["before"]["scores"]["ece"] == plain.reliability["ece"]
    assert told["after"]["scores"]["nll"] == summary.reliability["nll"]
    assert not told["fitted_on_these"]
    assert told["difference"]["nll"]["value"] == pytest.approx(
        summary.reliability["nll"] - plain.reliability["nll"], abs=1e-9
    )
    assert summary.warnings == ()
    seen = calibration.model_copy(update={"fitted": ORIGIN.model_copy(update={"split": "test"})})
    again = evaluate(model(calibration=seen), data=folder, split="test")
    assert "fitted on images of the split test" in again.warnings[0]


def test_a_threshold_decides_between_two_classes(tmp_path: Path, quiet_torch: None) -> None:
    bundle = bundle_of(("red", "green"))
    path = tmp_path / "bundle.safetensors"
    bundle.save(path)
    values = np.array([[[100, 100, 120]], [[100, 90, 100]]], dtype=np.uint8)
    for kind, content in (("images", values), ("gt", np.ones((1, 1, 3), dtype=np.uint8))):
        file = tmp_path / "data" / "test" / kind / "x.tif"
        file.parent.mkdir(parents=True)
        with rasterio.open(file, "w", driver="GTiff", count=len(content), height=1, width=3, dtype="uint8") as out:
            out.write(content)
            if kind == "images":
                out.descriptions = ("red", "green")
    share = torch.from_numpy((values.astype(np.float32) - 100) / 50).softmax(0)[1, 0].numpy()
    for threshold in (0.0, 0.42, 0.5, 0.9):
        found = evaluate(path, data=tmp_path / "data", settings=EvaluateSettings(threshold=threshold))
        right = int((share >= threshold).sum())
        assert found.confusion == [[0, 0], [3 - right, right]], threshold
    decision = DecisionThreshold(threshold=0.42, figure="f1", value=0.5, origin=ORIGIN)
    replace(bundle, calibration=Calibration(decision=decision)).save(path)
    kept = evaluate(path, data=tmp_path / "data")
    assert kept.confusion == [[0, 0], [1, 2]] or kept.confusion == [[0, 0], [2, 1]]
    assert kept.confusion[1][1] == int((share >= 0.42).sum())
    assert kept.without_calibration["accuracy"] == pytest.approx(int((share > 0.5).sum()) / 3)


def test_two_bundles_are_compared_on_the_same_images(folder: Path, model: Callable[..., Path], tmp_path: Path) -> None:
    path = model()
    other = tmp_path / "other.safetensors"
    bundle_of(
        weights={"shift": torch.ones(1)}, normalisation=Normalisation(mean=(60.0, 130.0, 200.0), std=(9.0,) * 3)
    ).save(other)
    summary = compare(path, other, data=folder, split="test")
    assert summary.images == 4
    counts = expected(*TEST)
    assert summary.comparison["accuracy"]["first"] == counts.trace() / counts.sum()
    assert summary.comparison["accuracy"]["value"] > 0
    # A finished evaluation stands for its bundle.
    finished = evaluate(path, data=folder, split="test").folder
    again = compare(finished, other, data=folder)
    assert again.comparison == summary.comparison
