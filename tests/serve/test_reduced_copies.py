"""Copies of rasters that are slow to read in parts give the same pixels."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from terrazzo.geo.grid import Window
from terrazzo.serve.rasters import open_viewed
from terrazzo.serve.reduced_copies import ReducedCopies


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.serve.reduced_copies._SMALL_PIXELS", 1000)


def test_a_photograph_is_copied_as_it_is_held(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (300, 500, 3)).astype(np.uint8)
    notes = Image.Exif()
    notes[0x0112] = 6
    path = tmp_path / "photo.png"
    Image.fromarray(values).save(path, exif=notes)
    copies = ReducedCopies()
    window = Window(40, 60, 100, 80)
    with open_viewed(path) as raster:
        assert (raster.grid.height, raster.grid.width) == (500, 300)
        wanted = raster.read(window, (1, 2, 3))
        with copies.quicker(raster, 1, smooth=True) as copied:
            assert copied.path.parent == copies.folder
            found = copied.read(window, (1, 2, 3))
            coarse = copied.read(copied.grid.whole, (1,), height=125, width=75, smooth=True)
    assert np.array_equal(found.values, wanted.values)
    assert coarse.values.shape == (1, 125, 75)
    assert np.array_equal(wanted.values[0], np.rot90(values[..., 0], -1)[40:140, 60:140])


def test_coarse_tiles_of_classes_keep_the_most_frequent_class(tmp_path: Path) -> None:
    path = tmp_path / "classes.tif"
    values = np.full((256, 256), 3, dtype=np.uint8)
    values[::4, ::4] = 7
    with rasterio.open(path, "w", driver="GTiff", count=1, height=256, width=256, dtype="uint8") as file:
        file.write(values[None])
    copies = ReducedCopies()
    with open_viewed(path) as raster:
        with copies.quicker(raster, 2, smooth=False) as fine:
            assert fine is raster
        with copies.quicker(raster, 4, smooth=False) as coarse:
            found = coarse.read(coarse.grid.whole, (1,), height=64, width=64)
    assert set(np.unique(found.values)) == {3}


def test_room_is_bounded_and_given_back(tmp_path: Path) -> None:
    copies = ReducedCopies(most_bytes=1)
    for number in range(3):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((60, 60, 3), number, dtype=np.uint8)).save(path)
        with open_viewed(path) as raster, copies.quicker(raster, 1, smooth=True) as copied:
            assert copied.read(Window(0, 0, 1, 1), (1,)).values[0, 0, 0] == number
    folder = copies.folder
    assert folder is not None
    assert len(list(folder.glob("*.tif"))) == 1
    del copies, copied
    assert not folder.exists()
