"""The GeoTIFF itself: rows of blocks, verification, sensor models, scales."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC

from terrazzo.errors import StorageError
from terrazzo.geo.grid import Grid
from terrazzo.scene import geotiff
from terrazzo.scene.geotiff import GeoTiffWriter, pixels_checksum
from terrazzo.scene.layer import NOWHERE, Georeference, Layer, read_georeference

LAYER = Layer("class", np.dtype(np.uint8), nodata=255)
DEFLATE = {"compress": "deflate"}


def grid(height: int, width: int) -> Grid:
    return Grid(CRS.from_epsg(32612), Affine(2, 0, 10, 0, -2, 20), height, width)


def test_only_whole_rows_of_blocks_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geotiff, "BLOCK", 16)
    heights = []
    flush = GeoTiffWriter._flush

    def look(self: GeoTiffWriter) -> None:
        heights.append(self._buffered)
        flush(self)

    monkeypatch.setattr(GeoTiffWriter, "_flush", look)
    writer = GeoTiffWriter(tmp_path / "b.tif", LAYER, grid(50, 20), NOWHERE, options=DEFLATE)
    for _ in range(25):
        writer.write(np.zeros((1, 2, 20), dtype=np.uint8))
    writer.complete()
    assert heights == [16, 16, 16, 2]


def test_many_bands_wait_in_lower_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geotiff, "_LARGEST_BUFFER", 100_000)
    layer = Layer("probabilities", np.dtype(np.uint8), channels=30, nodata=255)
    pixels = np.random.default_rng(0).integers(0, 255, (30, 120, 100)).astype(np.uint8)
    path = tmp_path / "p.tif"
    writer = GeoTiffWriter(path, layer, grid(120, 100), NOWHERE, options=DEFLATE)
    assert writer._buffer.nbytes <= 100_000
    writer.write(pixels)
    writer.complete()
    with rasterio.open(path) as file:
        assert file.block_shapes[0] == (32, 112)
        assert file.interleaving is rasterio.enums.Interleaving.band
        np.testing.assert_array_equal(file.read(), pixels)


def test_a_file_that_holds_something_else_is_an_error(tmp_path: Path) -> None:
    writer = GeoTiffWriter(tmp_path / "b.tif", LAYER, grid(50, 20), NOWHERE, options=DEFLATE)
    writer.write(np.ones((1, 50, 20), dtype=np.uint8))
    writer.checksum ^= 1
    with pytest.raises(StorageError, match="does not hold what was written"):
        writer.complete()


def test_the_checksum_knows_every_pixel(tmp_path: Path) -> None:
    found = set()
    for place in [None, (0, 0), (49, 19), (17, 3)]:
        pixels = np.zeros((1, 50, 20), dtype=np.uint8)
        if place is not None:
            pixels[0, *place] = 1
        path = tmp_path / "b.tif"
        writer = GeoTiffWriter(path, LAYER, grid(50, 20), NOWHERE, options=DEFLATE)
        writer.write(pixels)
        writer.complete()
        assert pixels_checksum(path, writer.step) == writer.checksum
        found.add(writer.checksum)
    assert len(found) == 4


def test_sensor_models_are_kept(tmp_path: Path) -> None:
    rpcs = RPC(
        height_off=10, height_scale=5, lat_off=1, lat_scale=1, line_den_coeff=[1.0] + [0.0] * 19,
        line_num_coeff=[0.0, 1.0] + [0.0] * 18, line_off=2, line_scale=2, long_off=3, long_scale=1,
        samp_den_coeff=[1.0] + [0.0] * 19, samp_num_coeff=[0.0, 0.0, 1.0] + [0.0] * 17, samp_off=2, samp_scale=2,
        err_bias=0.0, err_rand=0.0,
    )  # fmt: skip
    bare, path = Grid(None, Affine.identity(), 4, 4), tmp_path / "map.tif"
    writer = GeoTiffWriter(path, LAYER, bare, Georeference((), None, rpcs, present=True), options=DEFLATE)
    writer.write(np.zeros((1, 4, 4), dtype=np.uint8))
    writer.complete()
    found = read_georeference(path)
    assert found.present
    assert found.rpcs is not None
    assert (found.rpcs.line_off, found.rpcs.samp_scale) == (2, 2)


def test_a_transform_goes_before_control_points(tmp_path: Path) -> None:
    points = tuple(GroundControlPoint(row, column, column, row, 0) for row in (0, 4) for column in (0, 4))
    where = Georeference(points, CRS.from_epsg(4326), None, present=True)
    for place, count in ((grid(4, 4), 0), (Grid(None, Affine.identity(), 4, 4), 4)):
        path = tmp_path / f"{count}.tif"
        writer = GeoTiffWriter(path, LAYER, place, where, options=DEFLATE)
        writer.write(np.zeros((1, 4, 4), dtype=np.uint8))
        writer.complete()
        with rasterio.open(path) as file:
            assert len(file.gcps[0]) == count
            assert (file.transform, file.crs) == (place.transform, place.crs)


def test_scale_and_description_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.tif"
    layer = Layer("confidence", np.dtype(np.uint8), nodata=255, scale=1 / 254)
    writer = GeoTiffWriter(path, layer, grid(2, 2), NOWHERE, options=DEFLATE)
    writer.write(np.full((1, 2, 2), 127, dtype=np.uint8))
    writer.complete()
    with rasterio.open(path) as file:
        assert file.scales == (1 / 254,)
        assert file.descriptions == ("confidence",)
        assert file.nodata == 255


def test_every_half_precision_share_comes_back(tmp_path: Path) -> None:
    shares = np.arange(0x3C01, dtype=np.uint16).view(np.float16)
    assert (shares[0], shares[-1]) == (0, 1)
    pixels = np.full((1, 16, 1000), np.nan, dtype=np.float16)
    pixels.reshape(-1)[: len(shares)] = shares
    path = tmp_path / "p.tif"
    layer = Layer("probabilities", np.dtype(np.float16), nodata=float("nan"))
    writer = GeoTiffWriter(path, layer, grid(16, 1000), NOWHERE, options=DEFLATE)
    writer.write(pixels)
    writer.complete()
    with rasterio.open(path) as file:
        assert file.dtypes == ("float32",)
        assert file.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "16"
        np.testing.assert_array_equal(file.read(), pixels.astype(np.float32))
        assert np.isnan(file.nodata)
