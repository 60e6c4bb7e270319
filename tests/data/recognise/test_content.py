"""What rasters hold."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from terrazzo.data.recognise.content import is_label, read_labels, sample_windows
from terrazzo.geo.grid import Window


def save(path, values, **settings):
    image = Image.fromarray(values)
    if "palette" in settings:
        image = image.convert("P") if image.mode != "P" else image
        image.putpalette(settings.pop("palette"))
    image.save(path, **settings)
    return path


def noise(*shape, dtype=np.uint8, most=256):
    return np.random.default_rng(0).integers(0, most, shape).astype(dtype)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.arange(64, dtype=np.uint8).reshape(8, 8), True),
        (noise(40, 40), False),
        (noise(40, 40, 3), False),
        (noise(40, 40, 1).repeat(3, axis=2) // 128 * 255, True),
        (np.zeros((1, 1), dtype=np.uint8), True),
        (noise(40, 40, dtype=np.uint16, most=5), True),
        (noise(40, 40, dtype=np.uint16, most=5) + 5000, False),
        (noise(40, 40, 4), False),
    ],
)
def test_labels_and_images(tmp_path, values, expected):
    assert is_label(save(tmp_path / "a.png", values.astype(values.dtype))) is expected


def test_a_palette_is_a_label(tmp_path):
    assert is_label(save(tmp_path / "a.png", noise(9, 9), palette=list(range(256)) * 3))


def test_a_mask_blurred_by_compression_is_a_label(tmp_path):
    values = np.zeros((400, 400, 3), dtype=np.uint8)
    values[:100, :, 0] = 255
    values[:, :90, 1] = 255
    assert is_label(save(tmp_path / "a.jpg", values, quality=60))


def test_what_cannot_be_read_is_no_label(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    assert not is_label(tmp_path / "a.png")
    assert not is_label(tmp_path / "none.png")


def test_values_are_counted(tmp_path):
    first = save(tmp_path / "a.png", np.array([[0, 1, 1], [7, 7, 7]], dtype=np.uint8))
    second = save(tmp_path / "b.png", np.array([[7]], dtype=np.uint8))
    found = read_labels([first, second])
    assert found.values == {0: 1, 1: 2, 7: 4}
    assert (found.files, found.complete, found.several_bands) == (2, True, False)


def test_colours_and_palettes_are_counted_together(tmp_path):
    values = np.array([[[255, 0, 0], [0, 0, 9]]], dtype=np.uint8)
    indices = Image.fromarray(np.array([[1, 1, 0]], dtype=np.uint8), mode="L").convert("P")
    indices.putdata([1, 1, 0])
    indices.putpalette([9, 9, 9, 255, 0, 0])
    indices.save(tmp_path / "b.png")
    found = read_labels([save(tmp_path / "a.png", values), tmp_path / "b.png"])
    assert found.colours == {(255, 0, 0): 3, (0, 0, 9): 1, (9, 9, 9): 1}
    assert found.several_bands


def test_nodata_of_the_file(tmp_path):
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        height=1,
        width=2,
        count=1,
        dtype="int16",
        nodata=-5,
        transform=Affine.scale(2),
    ) as file:
        file.write(np.array([[[-5, 3]]], dtype=np.int16))
    assert read_labels([tmp_path / "a.tif"]).nodata == {-5}


def test_windows_of_large_rasters_stay_inside():
    windows, whole = sample_windows(600, 90_000)
    assert not whole
    assert len(windows) == 9
    inside = Window(0, 0, 600, 90_000)
    assert all(window.intersection(inside) == window for window in windows)
    assert {window.x for window in windows} == {0, (90_000 - 512) // 2, 90_000 - 512}
    assert sample_windows(2560, 2560) == ([Window(0, 0, 2560, 2560)], True)
