"""Headers: grids that fit and bands with names."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from terrazzo.data.catalog import BandPlace
from terrazzo.data.sources.headers import read_header
from terrazzo.data.sources.source import Pair
from terrazzo.errors import DataError


def write(path, count, dtype="uint16", descriptions=(), **profile):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        height=4,
        width=5,
        dtype=dtype,
        crs="EPSG:32633",
        transform=Affine(2, 0, 9, 0, -2, 9),
        **profile,
    ) as file:
        file.write(np.ones((count, 4, 5), dtype=dtype))
        for number, text in enumerate(descriptions, 1):
            file.set_band_description(number, text)
    return path


def header(*paths):
    return read_header(Pair("a", paths[0], None, tuple(paths[1:])), georeferenced=False)


def test_described_bands_keep_their_names(tmp_path):
    found = header(write(tmp_path / "a.tif", 2, descriptions=("Red", "NIR"), nodata=7))
    assert found.bands.names == ("red", "nir")
    assert found.bands.items[0].dtype == "uint16"
    assert found.bands.items[0].nodata == 7


def test_a_nameless_extra_band_is_called_after_its_folder(tmp_path):
    found = header(write(tmp_path / "rgb" / "a.tif", 1), write(tmp_path / "NIR" / "a.tif", 1))
    assert found.bands.names == ("gray", "nir")
    assert found.entry.stack[1] == BandPlace("nir", 1, 0)


def test_bands_of_one_folder_are_numbered(tmp_path):
    found = header(*(write(tmp_path / f"{name}.tif", 1) for name in ("red", "green", "nir")))
    assert found.bands.names == ("band_1", "band_2", "band_3")
    assert [place.file for place in found.entry.stack] == [0, 1, 2]


def test_transparency_is_no_band(write_photo):
    found = header(write_photo("a.png", np.zeros((4, 5, 4), dtype=np.uint8)))
    assert found.bands.names == ("red", "green", "blue")


def test_size_and_time_of_all_files_together(tmp_path):
    first, second = write(tmp_path / "a.tif", 1), write(tmp_path / "b.tif", 2)
    entry = header(first, second).entry
    assert entry.bytes == first.stat().st_size + second.stat().st_size
    assert entry.modified_ns == max(first.stat().st_mtime_ns, second.stat().st_mtime_ns)


def test_a_palette_image_holds_no_measurements(write_photo):
    path = write_photo("a.png", np.zeros((4, 5), dtype=np.uint8), palette=[(1, 2, 3), (4, 5, 6)])
    with pytest.raises(DataError, match="palette image"):
        header(path)


def test_an_extra_file_of_another_size(tmp_path, write_photo):
    with pytest.raises(DataError, match=r"b\.png has 3 x 5 pixels"):
        header(write(tmp_path / "a.tif", 1), write_photo("b.png", np.zeros((3, 5), dtype=np.uint8)))
