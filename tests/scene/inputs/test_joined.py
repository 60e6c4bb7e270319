"""Which scenes make one mosaic."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrazzo.errors import DataError
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.inputs.joined import joined
from terrazzo.scene.inputs.single import file_entry

Write = Callable[..., Path]
PIXELS = np.ones((2, 4, 4), "uint8")


def entry(path: Path) -> SceneEntry:
    return file_entry(str(path), whole=True)


def test_bands_are_joined_by_name(write_raster: Write) -> None:
    first = entry(write_raster("1.tif", np.stack([PIXELS[0], PIXELS[0] * 2]), names=("red", "nir")))
    other = entry(write_raster("2.tif", np.stack([PIXELS[0] * 2, PIXELS[0]]), names=("nir", "red"), x=500_004))
    mosaic = joined([first, other], order="first", name="m")
    assert mosaic.bands.names == ("red", "nir")
    assert (mosaic.name, mosaic.own_grid, len(mosaic.files)) == ("m", False, 2)
    assert "1.tif and 1 more" in mosaic.path
    with mosaic.open() as opened:
        found = opened.read(mosaic.grid.whole, mosaic.bands)
    assert [set(np.unique(plane)) for plane in found.values] == [{1}, {2}]


def test_what_is_resampled_is_said(write_raster: Write) -> None:
    first = entry(write_raster("1.tif", PIXELS))
    beside = entry(write_raster("2.tif", PIXELS, x=500_004))
    between = entry(write_raster("3.tif", PIXELS, x=500_002.5))
    assert joined([first, beside], order="first", name="m").notes == ()
    (note,) = joined([first, beside, between], order="first", name="m").notes
    assert note.startswith("1 of the 3 scenes of the mosaic lie on another grid than")
    assert note.endswith("3.tif.")


def test_one_scene_stays_as_it_is(write_raster: Write) -> None:
    only = entry(write_raster("1.tif", PIXELS))
    assert joined([only], order="last", name="m") == only.model_copy(update={"name": "m"})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"names": ("red", "blue")}, r"2\.tif has the bands red, blue, but .*1\.tif has red, nir"),
        ({"names": ("red", "nir"), "dtype": "uint16"}, r'2\.tif: band "red" holds uint16 .* it holds uint8'),
        ({"names": ("red", "nir"), "crs": None}, r"2\.tif has no coordinate reference system"),
    ],
)
def test_what_does_not_fit_is_refused(other: dict[str, object], message: str, write_raster: Write) -> None:
    dtype = other.pop("dtype", "uint8")
    first = entry(write_raster("1.tif", PIXELS, names=("red", "nir")))
    second = entry(write_raster("2.tif", PIXELS.astype(dtype), x=500_004, **other))
    with pytest.raises(DataError, match=message):
        joined([first, second], order="first", name="m")
