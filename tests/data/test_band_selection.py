"""Which bands are used, under which names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.data.band_selection import select_bands, with_bands
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.settings import BandSettings
from terrazzo.data.sources.headers import Header, read_header
from terrazzo.data.sources.source import Pair
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands, Collar


def header(*names, dtype="uint16", path="a.tif"):
    stack = tuple(BandPlace(name, 0, number) for number, name in enumerate(names))
    entry = ImageEntry("a", Path(path), None, (), "train", None, 3, 4, stack=stack)
    return Header(entry, Bands(items=tuple(Band(name=name, dtype=dtype, nodata=0, unit="dn") for name in names)))


RGB = header("red", "green", "blue")
NAMELESS = header("gray", "band_2", "band_3")


def test_all_bands_by_default():
    bands, positions = select_bands(RGB, None)
    assert bands == RGB.bands
    assert positions == (0, 1, 2)


def test_names_select_in_the_order_given():
    bands, positions = select_bands(RGB, ["blue", "red"])
    assert bands.names == ("blue", "red")
    assert positions == (2, 0)
    assert with_bands(RGB, bands, positions, first=RGB).stack == (BandPlace("blue", 0, 2), BandPlace("red", 0, 0))


def test_names_are_given_by_order_where_the_files_have_none():
    bands, positions = select_bands(NAMELESS, ["red", "nir", "swir"])
    assert bands.names == ("red", "nir", "swir")
    assert with_bands(NAMELESS, bands, positions, first=NAMELESS).stack[1] == BandPlace("nir", 0, 1)


@pytest.mark.parametrize("wanted", [["red", "nir"], ["red", "nir", "swir", "thermal"]])
def test_names_are_not_given_by_order_where_the_number_differs(wanted):
    with pytest.raises(DataError, match='no band "red"; it has gray, band_2, band_3'):
        select_bands(NAMELESS, wanted)


def test_a_named_band_is_never_renamed_by_order():
    with pytest.raises(DataError, match='no band "nir"'):
        select_bands(RGB, ["nir", "red", "green"])


def test_records_rename_and_describe():
    bands, positions = select_bands(
        RGB, [BandSettings(name="nir", number=1, unit="reflectance", scale=0.5, nodata=9), BandSettings(name="blue")]
    )
    assert positions == (0, 2)
    assert bands.items[0] == Band(name="nir", unit="reflectance", scale=0.5, nodata=9, dtype="uint16")
    assert bands.items[1] == RGB.bands.items[2]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["rad"], 'no band "rad"; it has red, green, blue. Did you mean "red"'),
        (["red", "red"], "twice"),
        ([BandSettings(name="red", number=2), "green"], "twice"),
        ([BandSettings(name="nir", number=4)], "nir is band 4, but a.tif .* has 3"),
    ],
)
def test_bands_that_are_not_there(wanted, message):
    with pytest.raises(DataError, match=message):
        select_bands(RGB, wanted)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (header("red", "green", path="b.tif"), r"b.tif has 2 bands, so band 3 \(blue\) is missing"),
        (header("red", "blue", "green", path="b.tif"), "b.tif: band 2 is blue .* a.tif it is green"),
        (header("red", "green", "blue", dtype="uint8", path="b.tif"), r"band 1 is red \(uint8\).*red \(uint16\)"),
    ],
)
def test_every_image_needs_the_bands_of_the_first(other, message):
    bands, positions = select_bands(RGB, None)
    with pytest.raises(DataError, match=message):
        with_bands(other, bands, positions, first=RGB)


def test_a_band_that_is_not_used_may_differ():
    bands, positions = select_bands(RGB, ["green"])
    other = replace(RGB, bands=header("x", "green").bands, entry=header("x", "green").entry)
    assert with_bands(other, bands, positions, first=RGB).stack == (BandPlace("green", 0, 1),)


@pytest.mark.parametrize("wanted", [None, ["blue"]])
def test_a_collar_goes_with_the_bands(wanted):
    collar = Collar(value=255)
    assert select_bands(RGB, wanted, collar=collar)[0].collar == collar
    assert select_bands(RGB, wanted)[0].collar is None


def test_a_band_that_the_file_calls_transparency_is_told_how_to_become_one(tmp_path):
    path = tmp_path / "scene.tif"
    size = {"width": 8, "height": 8, "count": 4, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", alpha="yes", **size) as out:
        out.write(np.ones((4, 8, 8), np.uint8))
    header = read_header(Pair("scene", path, None), georeferenced=False)
    with pytest.raises(
        DataError, match=r"Its band 4 is marked as transparency.*: rio edit-info --colorinterp red,green,blue,undefined"
    ):
        select_bands(header, ["red", "green", "blue", "nir"])
    with pytest.raises(DataError, match="Its band 4 is marked as transparency"):
        select_bands(header, [BandSettings(name="nir", number=4)])


def test_a_name_goes_by_order_to_the_only_nameless_band():
    photograph = header("red", "green", "blue", "band_4")
    bands, positions = select_bands(photograph, ["red", "green", "blue", "nir"])
    assert (bands.names, positions) == (("red", "green", "blue", "nir"), (0, 1, 2, 3))
    with pytest.raises(DataError, match='no band "nir"'):
        select_bands(photograph, ["green", "red", "blue", "nir"])
