"""Bands of a file get usable names of their own, and transparency is no band."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from terrazzo.errors import DataError
from terrazzo.geo.file_bands import alpha_number, file_bands

GREY, RED, NONE, ALPHA = ColorInterp.gray, ColorInterp.red, ColorInterp.undefined, ColorInterp.alpha


def write(path: Path, kinds: list[ColorInterp], descriptions: list[str | None], kind: str = "uint8") -> Path:
    size = {"count": len(kinds), "height": 1, "width": 1, "dtype": kind, "driver": "GTiff"}
    with rasterio.open(path, "w", photometric="MINISBLACK", **size) as out:
        # Once pixels are written, GDAL keeps meanings as they were.
        out.colorinterp = kinds
        out.descriptions = descriptions
        out.write(np.ones((len(kinds), 1, 1), dtype=kind))
    return path


@pytest.mark.parametrize(
    ("kinds", "descriptions", "names"),
    [
        ([GREY], [None], ["gray"]),
        ([RED, NONE], [None, None], ["red", "band_2"]),
        ([RED, NONE], [None, " NIR "], ["red", "nir"]),
        # Names that stand twice name nothing, also where one is a colour.
        ([NONE, NONE, NONE], ["B4", "b4", "B8"], ["band_1", "band_2", "b8"]),
        ([RED, NONE], [None, "Red"], ["band_1", "band_2"]),
        # A number in a description may be another band's.
        ([NONE, NONE], ["band_2", "swir"], ["band_1", "swir"]),
        ([NONE, ALPHA, NONE], ["Grün", None, None], ["grün", "band_3"]),
    ],
)
def test_names(tmp_path: Path, kinds: list[ColorInterp], descriptions: list[str | None], names: list[str]) -> None:
    with rasterio.open(write(tmp_path / "ä b.tif", kinds, descriptions)) as source:
        assert list(file_bands(source, alpha_number(source)).names) == names


@pytest.mark.parametrize(
    ("description", "number"), [(None, 2), ("Alpha", 2), (" transparency", 2), ("nir", None), ("alpha of fire", None)]
)
def test_transparency(tmp_path: Path, description: str | None, number: int | None) -> None:
    with rasterio.open(write(tmp_path / "a.tif", [GREY, ALPHA], ["x", description])) as source:
        assert alpha_number(source) == number
        assert len(file_bands(source, alpha_number(source))) == (1 if number else 2)


def test_what_each_band_says_of_its_values(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", [NONE, NONE], ["x", "y"], kind="int16")
    with rasterio.open(path, "r+") as out:
        out.units, out.scales, out.offsets, out.nodata = ("K", ""), (0.5, 1.0), (3.0, 0.0), -7
    with rasterio.open(path) as source:
        first, second = file_bands(source, alpha_number(source))
    assert (first.unit, first.scale, first.offset, first.nodata, first.dtype) == ("K", 0.5, 3.0, -7, "int16")
    assert (second.unit, second.scale, second.offset, second.nodata) == ("", 1.0, 0.0, -7)


def test_nothing_but_transparency(tmp_path: Path) -> None:
    path = write(tmp_path / "a b.tif", [ALPHA], [None])
    with rasterio.open(path) as source, pytest.raises(DataError, match=r"a b\.tif holds no band but transparency"):
        file_bands(source, alpha_number(source))


def test_bands_of_real_files(real_data: Path) -> None:
    scene = next((real_data / "zion_landsat_nlcd").rglob("landsat_b5.tif"))
    photograph = next((real_data / "deepglobe_roads_sample").rglob("*_sat.jpg"))
    with rasterio.open(photograph) as source:
        assert file_bands(source, alpha_number(source)).names == ("red", "green", "blue")
    with rasterio.open(scene) as source:
        (band,) = file_bands(source, alpha_number(source))
    assert (band.nodata, band.dtype) == (65535, "uint16")
