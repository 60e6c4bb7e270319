"""One file of the store, opened."""

import numpy as np
import pytest
import rasterio

from terrazzo.data.classes import Classes
from terrazzo.data.store.tile import TileFile, Tiles
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Window

BANDS = Bands(items=(Band(name="one"), Band(name="two")))
CLASSES = Classes(items=["a", "b"])
PLANES = np.arange(4 * 20 * 30, dtype=np.int16).reshape(4, 20, 30) % 120
PART = Window(2, 3, 4, 5)


def tiles_of(path, planes=PLANES, **more):
    with rasterio.open(
        path, "w", driver="GTiff", count=len(planes), height=20, width=30, dtype=planes.dtype, crs="EPSG:32633"
    ) as file:
        file.write(planes)
    return Tiles(**{"path": path, "bands": BANDS, "dtype": "int8", "masked": True, "classes": CLASSES, **more})


def test_bands_validity_and_label_in_their_types(tmp_path):
    file = TileFile(tiles_of(tmp_path / "ö.tif"))
    values, valid, target = file.read(PART, image=True, label=True)
    assert (values.dtype, target.dtype) == (np.dtype("int8"), np.dtype("uint8"))
    assert np.array_equal(values, PLANES[:2, 2:6, 3:8])
    assert np.array_equal(valid, PLANES[2, 2:6, 3:8] != 0)
    assert np.array_equal(target, PLANES[3, 2:6, 3:8])
    assert file.read(PART, image=False, label=True)[:2] == (None, None)
    assert file.read(PART, image=True, label=False).target is None


def test_without_a_band_of_validity_every_pixel_is_valid(tmp_path):
    file = TileFile(tiles_of(tmp_path / "a.tif", PLANES[:3], masked=False))
    assert file.read(PART, image=True, label=True).valid.all()


def test_a_label_alone(tmp_path):
    file = TileFile(tiles_of(tmp_path / "a.tif", PLANES[3:], bands=None, masked=False))
    assert np.array_equal(file.read(PART, image=False, label=True).target, PLANES[3, 2:6, 3:8])


def test_other_bands_in_it_than_said(tmp_path):
    with pytest.raises(DataError, match=r"a\.tif is no whole file of the patch store \(it has 3 bands\)"):
        TileFile(tiles_of(tmp_path / "a.tif", PLANES[:3]))


def test_missing_and_damaged_files_say_what_to_do(tmp_path):
    tiles = tiles_of(tmp_path / "a.tif")
    content = tiles.path.read_bytes()
    tiles.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="terrazzo verify --fix"):
        TileFile(tiles).read(Window(0, 0, 20, 30), image=True, label=True)
    tiles.path.unlink()
    with pytest.raises(DataError, match="no whole file of the patch store"):
        TileFile(tiles)


def test_what_it_holds(tmp_path):
    tiles = Tiles(tmp_path / "a.tif", BANDS, "uint8", masked=False, classes=None)
    assert tiles.hold_image(BANDS.select(["one", "two"]))
    assert not tiles.hold_image(BANDS.select(["two", "one"]))
    assert not tiles.hold_label(CLASSES)
