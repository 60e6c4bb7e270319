"""Several pictures as one scene, against one array in which they were put together by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrazzo.errors import ContractError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.inputs import mosaic as mosaic_module
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.inputs.joined import joined
from terrazzo.scene.inputs.mosaic import OpenMosaic, Order
from terrazzo.scene.inputs.single import file_entry

Write = Callable[..., Path]
Noise = Callable[..., np.ndarray]


def mosaic(*paths: Path, order: Order = "first") -> SceneEntry:
    return joined([file_entry(str(path), whole=True) for path in paths], order=order, name="m")


@pytest.mark.parametrize("order", ["first", "last"])
def test_overlaps_come_in_the_stated_order_and_nodata_lets_the_next_show(
    order: Order, write_raster: Write, noise: Noise
) -> None:
    one, two, three = noise(3, 30, 40, seed=1), noise(3, 30, 40, seed=2), noise(3, 10, 10, seed=3)
    one[:, 5:12, 20:38] = 0
    two[:, 10:20, :15] = 0
    paths = (
        write_raster("ä 1.tif", one, nodata=0),
        write_raster("2.tif", two, x=500_025, y=4_999_990, nodata=0),
        write_raster("3.tif", three, x=500_020, y=5_000_004, nodata=0),
    )
    entry = mosaic(*paths, order=order)
    expected = np.zeros((3, 44, 65), "uint8")
    layers = [(one, 4, 0), (two, 14, 25), (three, 0, 20)]
    for values, y, x in layers if order == "last" else reversed(layers):
        below = expected[:, y : y + values.shape[1], x : x + values.shape[2]]
        np.copyto(below, values, where=values.any(axis=0))
    assert entry.grid.shape == (44, 65)
    with entry.open() as opened:
        assert isinstance(opened, OpenMosaic)
        whole = opened.read(entry.grid.whole, entry.bands)
        np.testing.assert_array_equal(whole.values, expected)
        np.testing.assert_array_equal(whole.valid, expected.any(axis=0))
        part = opened.read(Window(7, 11, 20, 33), Bands(items=entry.bands.items[::-1]))
        np.testing.assert_array_equal(part.values, expected[::-1, 7:27, 11:44])
        assert part.grid == entry.grid.window(Window(7, 11, 20, 33))
        with pytest.raises(ContractError, match="leaves the mosaic of 44 x 65"):
            opened.read(Window(40, 0, 5, 5), entry.bands)
        with pytest.raises(ContractError, match="No band is called"):
            opened.read(Window(0, 0, 1, 1), Bands(items=(entry.bands.items[0].model_copy(update={"name": "x"}),)))


def test_aligned_files_are_never_resampled(write_raster: Write, noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    warped: list[bool] = []
    begin = RasterFile.__init__

    def look(self: RasterFile, *given: object, **more: object) -> None:
        begin(self, *given, **more)
        warped.append(self.warped)

    # Coordinates as programs write them, a rounding error beside whole pixels.
    entry = mosaic(
        write_raster("1.tif", noise(1, 9, 9), size=0.3),
        write_raster("2.tif", noise(1, 9, 9), x=500_000 + 9 * 0.3 + 1e-9, size=0.3),
    )
    assert entry.grid.shape == (9, 18)
    monkeypatch.setattr(RasterFile, "__init__", look)
    with entry.open() as opened:
        opened.read(entry.grid.whole, entry.bands)
    assert warped == [False, False]


def test_another_resolution_and_system_come_onto_the_first_grid(write_raster: Write) -> None:
    flat = np.full((1, 40, 40), 100, "uint8")
    first = write_raster("1.tif", flat, size=10.0)
    coarse = write_raster("2.tif", np.full((1, 10, 10), 50, "uint8"), x=500_400, size=40.0)
    # The same place in the next zone, as a raster that covers it with room to spare.
    west = write_raster("3.tif", np.full((1, 90, 90), 70, "uint8"), x=28_000, y=5_016_000, size=10.0, crs="EPSG:32633")
    entry = mosaic(first, coarse)
    assert entry.grid.shape == (40, 80)
    with entry.open() as opened:
        found = opened.read(entry.grid.whole, entry.bands)
    assert found.valid.all()
    assert (found.values[0, :, :40] == 100).all()
    assert (found.values[0, :, 40:] == 50).all()
    across = mosaic(first, west)
    with across.open() as opened:
        seen = opened.read(across.grid.whole, across.bands)
    assert across.grid.crs == entry.grid.crs
    assert set(np.unique(seen.values[0][seen.valid])) == {70, 100}
    assert abs(int((seen.values[0][seen.valid] == 70).sum()) - 8100) < 200 + 1600


def test_only_what_is_touched_is_opened_and_few_stay_open(
    write_raster: Write, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_raster(f"{number}.tif", noise(1, 8, 8), y=5_000_000 - 8 * number) for number in range(6)]
    entry = mosaic(*paths)
    opened_paths: list[str] = []
    open_now: set[str] = set()
    begin, close = RasterFile.__init__, RasterFile.close

    def look(self: RasterFile, path: str, **more: object) -> None:
        begin(self, path, **more)
        opened_paths.append(Path(path).name)
        open_now.add(path)

    def shut(self: RasterFile) -> None:
        open_now.discard(self.path)
        close(self)

    monkeypatch.setattr(RasterFile, "__init__", look)
    monkeypatch.setattr(RasterFile, "close", shut)
    monkeypatch.setattr(mosaic_module, "MOST_OPEN", 2)
    with entry.open() as scene:
        # What checks types in tests may have looked at the first one's blocks.
        scene.close()
        opened_paths.clear()
        scene.read(Window(20, 0, 4, 8), entry.bands)
        assert opened_paths == ["2.tif"]
        for y in range(0, 48, 4):
            scene.read(Window(y, 0, 4, 8), entry.bands)
            assert len(open_now) <= 2
        assert sorted(set(opened_paths)) == [path.name for path in paths]
        assert len(opened_paths) == 7
    assert not open_now


def test_each_file_honours_its_own_nodata(write_raster: Write) -> None:
    one = write_raster("1.tif", np.array([[[0, 9]]], dtype="uint8"), nodata=0)
    two = write_raster("2.tif", np.array([[[0, 9]]], dtype="uint8"), x=500_002, nodata=9)
    entry = mosaic(one, two)
    assert entry.bands.items[0].nodata is None
    with entry.open() as opened:
        assert opened.read(entry.grid.whole, entry.bands).valid.tolist() == [[False, True, True, False]]
        assert not opened.never_missing(entry.bands)
        assert opened.tags == {}


def test_real_neighbours(real_data: Path) -> None:
    paths = sorted((real_data / "geotiff_newbrunswick").glob("*.tif"))
    entry = mosaic(*paths)
    with entry.open() as opened, RasterFile(paths[0]) as first:
        found = opened.read(entry.grid.whole, entry.bands)
        alone = first.read()
    height, width = alone.valid.shape
    np.testing.assert_array_equal(found.values[:, :height, :width][:, alone.valid], alone.values[:, alone.valid])
    assert found.valid.sum() > alone.valid.sum()
