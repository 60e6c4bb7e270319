"""One picture of a scene, whatever its files are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrazzo.data.catalog import BandPlace
from terrazzo.data.validity import ValidityMask
from terrazzo.errors import ContractError, DataError
from terrazzo.geo.bands import Band, Bands, Collar
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.inputs.part import OpenPart, ScenePart
from terrazzo.scene.inputs.single import file_entry

Write = Callable[..., Path]
Noise = Callable[..., np.ndarray]


def stack(*paths: Path, names: tuple[str, ...], grid: Grid, nodata: float | None = None, **more: object) -> ScenePart:
    bands = Bands(items=tuple(Band(name=name, nodata=nodata) for name in names))
    places = tuple(BandPlace(name, number, 0) for number, name in enumerate(names))
    files = tuple(str(path) for path in paths)
    return ScenePart(files=files, bands=bands, places=places, window=grid.whole, **more)


def test_a_file_is_read_as_the_raster_itself(write_raster: Write, noise: Noise) -> None:
    path = write_raster("ä b.tif", noise(3, 40, 50), tiled=True, blockxsize=16, blockysize=16, nodata=7)
    (part,) = file_entry(str(path), whole=True).parts
    with RasterFile(path) as file, OpenPart(part, file.grid, path="ä b") as opened:
        assert (opened.grid, opened.bands, opened.block_shape) == (file.grid, file.bands, (16, 16))
        assert not opened.sequential
        assert opened.tags == file.tags
        assert not opened.never_missing(opened.bands)
        bands = Bands(items=opened.bands.items[::-1], collar=Collar(value=9))
        ours, theirs = opened.read(Window(3, 5, 20, 30), bands), file.read(Window(3, 5, 20, 30), bands)
        np.testing.assert_array_equal(ours.values, theirs.values)
        np.testing.assert_array_equal(ours.valid, theirs.valid)
        assert (ours.grid, ours.bands) == (theirs.grid, theirs.bands)
        with pytest.raises(ContractError, match="leaves the raster"):
            opened.read(Window(39, 0, 2, 2), opened.bands)


def test_bands_of_several_files_and_resolutions(write_raster: Write, noise: Noise) -> None:
    fine = write_raster("b1.tif", noise(1, 40, 40))
    coarse = write_raster("b2.tif", np.full((1, 20, 20), 50, "uint8"), size=2.0)
    with RasterFile(fine) as file:
        grid = file.grid
        expected = file.read().values[0]
    part = stack(fine, coarse, names=("one", "two"), grid=grid)
    with OpenPart(part, grid, path="scene") as opened:
        found = opened.read(Window(10, 10, 20, 20), Bands(items=part.bands.items[::-1]))
    np.testing.assert_array_equal(found.values[0], 50)
    np.testing.assert_array_equal(found.values[1], expected[10:30, 10:30])


def test_nodata_that_no_file_states(write_raster: Write) -> None:
    values = np.array([[[0, 5], [6, 7]]], dtype="uint8")
    path = write_raster("a.tif", values)
    with RasterFile(path) as file:
        grid = file.grid
    part = stack(path, names=("one",), grid=grid, nodata=0.0)
    with OpenPart(part, grid, path="a") as opened:
        assert not opened.never_missing(opened.bands)
        bare = Bands(items=(Band(name="one"),))
        assert opened.read(grid.whole, bare).valid.tolist() == [[False, True], [True, True]]
        other = Bands(items=(Band(name="one", nodata=7.0),))
        assert opened.read(grid.whole, other).valid.tolist() == [[True, True], [True, False]]


def test_a_mask_beside(write_raster: Write) -> None:
    path = write_raster("a.tif", np.full((1, 2, 2), 9, "uint8"))
    mask = write_raster("m.tif", np.array([[[4, 9], [4, 4]]], dtype="uint8"))
    with RasterFile(path) as file:
        grid = file.grid
    part = stack(path, names=("one",), grid=grid, mask=ValidityMask(file=mask, missing=(9,)))
    with OpenPart(part, grid, path="a") as opened:
        assert opened.read(grid.whole, part.bands).valid.tolist() == [[True, False], [True, True]]
        assert not opened.never_missing(part.bands)


def test_a_file_that_cannot_be_opened_leaves_none_open(
    write_raster: Write, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raster("a.tif", noise(1, 4, 4))
    closed: list[str] = []
    close = RasterFile.close
    monkeypatch.setattr(RasterFile, "close", lambda self: (closed.append(self.path), close(self))[1])
    with RasterFile(path) as file:
        grid = file.grid
    closed.clear()
    with pytest.raises(DataError, match=r"missing\.tif cannot be read"):
        OpenPart(stack(path, path.with_name("missing.tif"), names=("one", "two"), grid=grid), grid, path="a")
    assert closed == [str(path)]


def test_a_truncated_file_is_called_so(write_raster: Write, noise: Noise) -> None:
    path = write_raster("a.tif", noise(1, 64, 64), tiled=True, blockxsize=16, blockysize=16)
    path.write_bytes(path.read_bytes()[:-300])
    (part,) = file_entry(str(path), whole=False).parts
    with RasterFile(path) as file, OpenPart(part, file.grid, path="a") as opened:
        assert opened.read(Window(0, 0, 16, 16), opened.bands).valid.all()
        with pytest.raises(DataError, match=r"a\.tif is truncated: its blocks reach to byte"):
            opened.read(Window(48, 48, 16, 16), opened.bands)


def test_secrets_of_an_address_are_not_in_its_errors(serve: Callable[[Path], str], write_raster: Write) -> None:
    path = write_raster("served/a.tif", np.ones((1, 64, 64), "uint8"), tiled=True, blockxsize=16, blockysize=16)
    with RasterFile(path) as file:
        part = stack(path, names=("one",), grid=file.grid)
        address = f"/vsicurl/{serve(path.parent)}/gone.tif?token=secret"
        with pytest.raises(DataError) as error:
            OpenPart(part.model_copy(update={"files": (address,)}), file.grid, path="a")
    assert "gone.tif" in str(error.value)
    assert "secret" not in str(error.value)
