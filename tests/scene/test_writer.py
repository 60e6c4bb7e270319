"""Opening a file for a layer: which format, what it cannot hold, and what happens on errors."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from terrazzo.errors import ConfigError, StorageError
from terrazzo.geo.grid import Grid
from terrazzo.scene.cog import CogWriter
from terrazzo.scene.geotiff import GeoTiffWriter
from terrazzo.scene.layer import NOWHERE, Georeference, Layer, LegendEntry
from terrazzo.scene.writer import RowWriter, open_writer

SOMEWHERE = Georeference((), None, None, present=True)
LEGEND = (LegendEntry(0, "ä", (1, 2, 3)),)
LAYER = Layer("class", np.dtype(np.uint8), nodata=255, tags={"CLASS_NAMES": '["ä"]'}, legend=LEGEND)


def grid(height: int, width: int) -> Grid:
    return Grid(CRS.from_epsg(32612), Affine(2, 0, 10, 0, -2, 20), height, width)


@pytest.mark.parametrize("shape", [(1, 1), (40, 1), (600, 530), (513, 17)])
@pytest.mark.parametrize("compression", ["deflate", "zstd"])
@pytest.mark.parametrize("overviews", [True, False])
def test_rows_come_back_however_they_were_given(
    shape: tuple[int, int], compression: str, overviews: bool, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 9, (1, *shape)).astype(np.uint8)
    path = tmp_path / "a ü.tif"
    opened = open_writer(path, LAYER, grid(*shape), SOMEWHERE, goal=path, compression=compression, overviews=overviews)
    with opened as writer:
        assert isinstance(writer, RowWriter)
        for top in range(0, shape[0], 37):
            writer.write(pixels[:, top : top + 37])
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), pixels)
        assert file.crs == CRS.from_epsg(32612)
        assert file.transform == Affine(2, 0, 10, 0, -2, 20)
        assert file.profile["compress"] == compression
        assert file.tags()["CLASS_NAMES"] == '["ä"]'
        assert file.nodata == 255
        assert file.descriptions == ("class",)
        expected = [2] if overviews and max(shape) > 512 else []
        assert file.overviews(1) == expected
        assert (file.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG") is overviews
    assert list(tmp_path.iterdir()) == [path], "scratch or side files are left"


@pytest.mark.parametrize("overviews", [True, False])
def test_missing_rows_are_an_error(overviews: bool, tmp_path: Path) -> None:
    path = tmp_path / "b.tif"
    opened = open_writer(path, LAYER, grid(50, 20), SOMEWHERE, goal=path, overviews=overviews)
    with pytest.raises(StorageError, match="1 rows were not written"), opened as writer:
        writer.write(np.zeros((1, 49, 20), dtype=np.uint8))


@pytest.mark.parametrize(("overviews", "kind"), [(True, CogWriter), (False, GeoTiffWriter)])
def test_an_error_inside_is_passed_on_and_nothing_beside_is_left(overviews: bool, kind: type, tmp_path: Path) -> None:
    path = tmp_path / "b.tif"
    opened = open_writer(path, LAYER, grid(5, 20), SOMEWHERE, goal=path, overviews=overviews)
    with pytest.raises(KeyboardInterrupt), opened as writer:
        raise KeyboardInterrupt
    assert isinstance(writer, kind)
    assert set(tmp_path.iterdir()) <= {path}
    with pytest.raises((ValueError, OSError, rasterio.errors.RasterioError)):
        writer.write(np.zeros((1, 32, 20), dtype=np.uint8))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    goal = tmp_path / "goal.tif"
    for name, overviews in (("b.tif", False), ("b.png", False)):
        path = tmp_path / "file" / name
        with (
            pytest.raises(StorageError, match=r"goal\.\w+ cannot be written"),
            open_writer(path, LAYER, grid(5, 20), NOWHERE, goal=goal.with_suffix(path.suffix), overviews=overviews),
        ):
            pass
    with (
        pytest.raises(StorageError, match=r"folder .*file.* cannot be made"),
        open_writer(tmp_path / "file" / "b.tif", LAYER, grid(5, 20), NOWHERE, goal=goal),
    ):
        pass


def test_what_a_png_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "b.png"
    for layer, where, message in (
        (LAYER, SOMEWHERE, "where the scene lies"),
        (Layer("class", np.dtype(np.int16)), NOWHERE, "cannot hold int16"),
        (Layer("probabilities", np.dtype(np.uint8), channels=4), NOWHERE, "4 bands of probabilities"),
    ):
        with pytest.raises(ConfigError, match=message), open_writer(path, layer, grid(5, 20), where, goal=path):
            pass
    with (
        pytest.raises(ConfigError, match="not without suffix"),
        open_writer(tmp_path / "b", LAYER, grid(5, 20), NOWHERE, goal=tmp_path / "b"),
    ):
        pass
