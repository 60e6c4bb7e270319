"""Writing maps: blocks, georeference, verification, and what a format cannot hold."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from terrazzo.errors import ConfigError, StorageError
from terrazzo.geo.grid import Grid
from terrazzo.scene import writer as writer_module
from terrazzo.scene.writer import Georeference, GeoTiffWriter, Layer, open_writer, read_georeference

NOWHERE = Georeference((), None, None, present=False)
SOMEWHERE = Georeference((), None, None, present=True)
LAYER = Layer("class", np.dtype(np.uint8), nodata=255, tags={"CLASS_NAMES": '["ä"]'})

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def grid(height: int, width: int) -> Grid:
    return Grid(CRS.from_epsg(32612), Affine(2, 0, 10, 0, -2, 20), height, width)


@pytest.mark.parametrize("shape", [(1, 1), (40, 1), (600, 530), (513, 17)])
@pytest.mark.parametrize("compression", ["deflate", "zstd"])
def test_rows_come_back_however_they_were_given(shape: tuple[int, int], compression: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 9, (1, *shape)).astype(np.uint8)
    path = tmp_path / "a ü.tif"
    with open_writer(path, LAYER, grid(*shape), SOMEWHERE, goal=path, compression=compression) as writer:
        for top in range(0, shape[0], 37):
            writer.write(pixels[:, top : top + 37])
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), pixels)
        assert file.crs == CRS.from_epsg(32612)
        assert file.transform == Affine(2, 0, 10, 0, -2, 20)
        assert file.profile["compress"] == compression
        assert file.block_shapes[0] == tuple(min(512, -(-side // 16) * 16) for side in shape)
        assert file.tags()["CLASS_NAMES"] == '["ä"]'


def test_only_whole_rows_of_blocks_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BLOCK", 16)
    heights = []
    flush = GeoTiffWriter._flush

    def look(self: GeoTiffWriter) -> None:
        heights.append(self._buffered)
        flush(self)

    monkeypatch.setattr(GeoTiffWriter, "_flush", look)
    with open_writer(tmp_path / "b.tif", LAYER, grid(50, 20), SOMEWHERE, goal=tmp_path / "b.tif") as writer:
        for _ in range(25):
            writer.write(np.zeros((1, 2, 20), dtype=np.uint8))
    assert heights == [16, 16, 16, 2]


def test_missing_rows_are_an_error(tmp_path: Path) -> None:
    opened = open_writer(tmp_path / "b.tif", LAYER, grid(50, 20), SOMEWHERE, goal=tmp_path / "b.tif")
    with pytest.raises(StorageError, match="1 rows were not written"), opened as writer:
        writer.write(np.zeros((1, 49, 20), dtype=np.uint8))


def test_a_file_that_holds_something_else_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "b.tif"
    writer = GeoTiffWriter(path, LAYER, grid(50, 20), SOMEWHERE)
    writer.write(np.ones((1, 50, 20), dtype=np.uint8))
    writer._checksum ^= 1
    with pytest.raises(StorageError, match="does not hold what was written"):
        writer.complete()


def test_an_error_inside_is_passed_on_and_the_file_is_closed(tmp_path: Path) -> None:
    opened = open_writer(tmp_path / "b.tif", LAYER, grid(5, 20), SOMEWHERE, goal=tmp_path / "b.tif")
    with pytest.raises(KeyboardInterrupt), opened as writer:
        raise KeyboardInterrupt
    assert isinstance(writer, GeoTiffWriter)
    assert writer._file.closed


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for name in ("b.tif", "b.png"):
        goal = tmp_path / "goal.tif"
        with (
            pytest.raises(StorageError, match=r"goal\.tif cannot be written"),
            open_writer(tmp_path / "none" / name, LAYER, grid(5, 20), NOWHERE, goal=goal),
        ):
            pass


def test_what_a_png_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "b.png"
    for layer, where, message in (
        (LAYER, SOMEWHERE, "where the scene lies"),
        (Layer("class", np.dtype(np.int16)), NOWHERE, "cannot hold int16"),
    ):
        with pytest.raises(ConfigError, match=message), open_writer(path, layer, grid(5, 20), where, goal=path):
            pass
    with (
        pytest.raises(ConfigError, match="not without suffix"),
        open_writer(tmp_path / "b", LAYER, grid(5, 20), NOWHERE, goal=tmp_path / "b"),
    ):
        pass


def test_sensor_models_are_kept(tmp_path: Path) -> None:
    rpcs = rasterio.rpc.RPC(
        height_off=10, height_scale=5, lat_off=1, lat_scale=1, line_den_coeff=[1.0] + [0.0] * 19,
        line_num_coeff=[0.0, 1.0] + [0.0] * 18, line_off=2, line_scale=2, long_off=3, long_scale=1,
        samp_den_coeff=[1.0] + [0.0] * 19, samp_num_coeff=[0.0, 0.0, 1.0] + [0.0] * 17, samp_off=2, samp_scale=2,
        err_bias=0.0, err_rand=0.0,
    )  # fmt: skip
    scene, path = tmp_path / "scene.tif", tmp_path / "map.tif"
    bare = Grid(None, Affine.identity(), 4, 4)
    for goal, where in ((scene, Georeference((), None, rpcs, present=True)), (path, None)):
        with open_writer(goal, LAYER, bare, where or read_georeference(scene), goal=goal) as writer:
            writer.write(np.zeros((1, 4, 4), dtype=np.uint8))
    found = read_georeference(path)
    assert found.present
    assert found.rpcs is not None
    assert (found.rpcs.line_off, found.rpcs.samp_scale) == (2, 2)


def test_whether_a_scene_says_where_it_lies(tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "height": 2, "width": 2, "count": 1, "dtype": "uint8"}
    for name, more, expected in (
        ("none", {}, False),
        ("crs", {"crs": "EPSG:32612"}, True),
        ("transform", {"transform": Affine(2, 0, 1, 0, -2, 1)}, True),
    ):
        path = tmp_path / f"{name}.tif"
        with rasterio.open(path, "w", **profile, **more):
            pass
        assert read_georeference(path).present is expected, name


def test_scale_and_description_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.tif"
    layer = Layer("confidence", np.dtype(np.uint8), nodata=255, scale=1 / 254)
    with open_writer(path, layer, grid(2, 2), SOMEWHERE, goal=path) as writer:
        writer.write(np.full((1, 2, 2), 127, dtype=np.uint8))
    with rasterio.open(path) as file:
        assert file.scales == (1 / 254,)
        assert file.descriptions == ("confidence",)
        assert file.nodata == 255
