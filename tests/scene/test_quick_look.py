"""The picture of a map: its size, its colours, and what is missing."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from terrazzo.data.classes import Class, Classes
from terrazzo.errors import StorageError
from terrazzo.scene.quick_look import QuickLook, quick_look_shape
from terrazzo.scene.writer import RowWriter

COLOURS = ((10, 20, 30), (200, 0, 0), (0, 0, 200))
CLASSES = Classes(items=tuple(Class(name=f"c{n}", colour=colour) for n, colour in enumerate(COLOURS)))


def picture(
    tmp_path: Path, target: np.ndarray, *, longest: int, step: int = 7, classes: Classes = CLASSES
) -> np.ndarray:
    path = tmp_path / "a ü_quicklook.png"
    height, width = target.shape
    look = QuickLook(path, classes, height=height, width=width, longest=longest)
    assert isinstance(look, RowWriter)
    for top in range(0, height, step):
        look.write(target[None, top : top + step])
    look.complete()
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))


def shown(target: np.ndarray) -> np.ndarray:
    table = np.zeros((256, 4), dtype=np.uint8)
    table[:3] = [(*colour, 255) for colour in COLOURS]
    return table[target]


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (37, 53)])
def test_a_small_map_is_shown_pixel_by_pixel(shape: tuple[int, int], tmp_path: Path) -> None:
    target = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], dtype=np.uint8), shape)
    np.testing.assert_array_equal(picture(tmp_path, target, longest=64), shown(target))


@pytest.mark.parametrize("step", [1, 16, 1000])
def test_a_large_map_is_shown_by_its_most_frequent_classes(step: int, tmp_path: Path) -> None:
    coarse = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], dtype=np.uint8), (20, 30))
    target = np.kron(coarse, np.ones((8, 8), dtype=np.uint8))
    # Less than half of each place: a speck in a corner.
    target[0::8, 0::8] = 1
    np.testing.assert_array_equal(picture(tmp_path, target, longest=30, step=step), shown(coarse))


def test_sides_that_do_not_divide(tmp_path: Path) -> None:
    target = np.zeros((1000, 333), dtype=np.uint8)
    target[:, 200:] = 2
    found = picture(tmp_path, target, longest=128)
    assert found.shape == (*quick_look_shape(1000, 333, longest=128), 4) == (128, 43, 4)
    assert (found[:, :25] == (*COLOURS[0], 255)).all()
    assert (found[:, 27:] == (*COLOURS[2], 255)).all()


def test_a_line_of_pixels(tmp_path: Path) -> None:
    target = np.repeat(np.array([[0, 1, 255]], dtype=np.uint8), 30_000, axis=1)
    found = picture(tmp_path, target, longest=300)
    assert found.shape == (1, 300, 4)
    np.testing.assert_array_equal(found[0, [50, 150, 250]], shown(np.array([0, 1, 255])))


def test_many_classes_are_shown_in_full_colour(tmp_path: Path) -> None:
    classes = Classes(items=[f"c{number}" for number in range(300)])
    target = np.array([[0, 299, 65535], [17, 256, 65535]], dtype=np.uint16)
    found = picture(tmp_path, target, longest=64, classes=classes)
    np.testing.assert_array_equal(found[..., 3], [[255, 255, 0], [255, 255, 0]])
    np.testing.assert_array_equal(found[:, :2, :3], classes.colours[target[:, :2]])
    assert not found[:, 2].any()


def test_missing_rows_are_an_error(tmp_path: Path) -> None:
    look = QuickLook(tmp_path / "a.png", CLASSES, height=10, width=4, longest=5)
    look.write(np.zeros((1, 8, 4), dtype=np.uint8))
    with pytest.raises(StorageError, match="after 8 rows"):
        look.complete()


def test_a_picture_is_small_to_others_too(tmp_path: Path) -> None:
    target = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], dtype=np.uint8), (50, 60))
    picture(tmp_path, target, longest=30)
    with rasterio.open(tmp_path / "a ü_quicklook.png") as file:
        assert (file.height, file.width, file.count) == (25, 30, 1)
        assert file.colormap(1)[1] == (200, 0, 0, 255)
