"""What a label holds wrongly is counted exactly and found at its first pixel, however it is cut into strips."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.verify.label_faults import LabelFaults
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile

HEIGHT, WIDTH = 37, 23


def faults(path: Path, target: np.ndarray, valid: np.ndarray, cut: int, classes: Classes) -> LabelFaults:
    Image.fromarray(target).save(path)
    with RasterFile(path) as file:
        grid = file.grid
    with RasterLabel(rasters=(path,)).open(grid) as reader:
        found = LabelFaults(reader, None, classes, counts=True)
        for y in range(0, HEIGHT, cut):
            strip = Window(y, 0, min(cut, HEIGHT - y), WIDTH)
            found.count(strip, found.decode(strip), valid[strip.slices])
        found.locate()
    return found


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_counts_and_first_places(tmp_path: Path, cut: int) -> None:
    generator = np.random.default_rng(cut)
    target = generator.integers(0, 3, (HEIGHT, WIDTH)).astype(np.uint8)
    target[20:30, 4:19] = np.where(generator.random((10, 15)) < 0.3, 77, target[20:30, 4:19])
    target[36, 22] = 9
    valid = generator.random((HEIGHT, WIDTH)) < 0.9
    found = faults(tmp_path / "a.png", target, valid, cut, Classes.model_validate(["a", "b", "c"]))
    assert found.class_pixels == tuple(int(((target == number) & valid).sum()) for number in range(3))
    y, x = np.argwhere(target == 77)[0]
    unlisted, nodata = found.findings("a.png")
    pixels = int((target == 77).sum())
    expected = f"no class lists 77 ({pixels} pixels, first at y {y}, x {x}), 9 (1 pixels, first at y 36, x 22)"
    assert (unlisted.severity, unlisted.what) == ("error", expected)
    lost = ~valid & (target < 3)
    y, x = np.argwhere(lost)[0]
    assert nodata.what.startswith(f"{lost.sum()} labelled pixels")
    assert nodata.what.endswith(f"the first at y {y}, x {x}")


def test_many_unlisted_values_are_counted_and_the_most_frequent_told(tmp_path: Path) -> None:
    target = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).clip(max=200).astype(np.uint8)
    classes = Classes.model_validate({"items": ["a", "b"], "unlisted": "ignore"})
    (finding,) = faults(tmp_path / "a.png", target, np.ones(target.shape, bool), 10, classes).findings("a.png")
    assert finding.severity == "warning"
    assert finding.what.startswith(f"no class lists 200 ({HEIGHT * WIDTH - 200} pixels, first at y 8, x 16), ")
    assert finding.what.endswith("and 195 more")


def test_a_label_without_a_class(tmp_path: Path) -> None:
    classes = Classes.model_validate({"items": ["a", "b"], "ignore_values": [255]})
    target = np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)
    (finding,) = faults(tmp_path / "a.png", target, np.ones(target.shape, bool), 10, classes).findings("a.png")
    assert (finding.severity, finding.check) == ("warning", "unlabelled")


@pytest.mark.parametrize("count", [3, 40])
def test_many_classes_are_counted_alike(tmp_path: Path, count: int) -> None:
    target = np.random.default_rng(0).integers(0, count, (HEIGHT, WIDTH)).astype(np.uint8)
    classes = Classes.model_validate([f"class {number}" for number in range(count)])
    found = faults(tmp_path / "a.png", target, np.ones(target.shape, bool), 10, classes)
    assert found.class_pixels == tuple(np.bincount(target.ravel(), minlength=count).tolist())
    assert found.findings("a.png") == []
