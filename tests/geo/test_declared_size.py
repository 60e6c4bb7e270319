"""Absurd sizes are refused before decoding; large rasters that are true are not."""

import struct
import zlib
from pathlib import Path

import pytest
import rasterio
from affine import Affine

from terrazzo.errors import DataError
from terrazzo.geo.declared_size import check_declared_size
from terrazzo.geo.raster import RasterFile

GIB = 2**30


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_a_png_of_ten_gigapixels_in_a_hundred_bytes(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(DataError, match=r"bomb\.png claims 9\.3 GiB of pixels in a file of \d+ bytes"):
        RasterFile(path)


def test_a_sparse_label_raster_in_tiles_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    profile = {"width": 60_000, "height": 60_000, "count": 1, "dtype": "uint8", "tiled": True, "sparse_ok": True}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32612", transform=Affine(1, 0, 5, 0, -1, 9), **profile):
        pass
    with RasterFile(path) as file:
        assert file.grid.height == 60_000
        assert path.stat().st_size < 100_000_000


def test_a_tile_that_holds_everything_is_refused() -> None:
    sizes = {"whole_bytes": 8 * GIB, "file_bytes": 1000, "driver": "GTiff"}
    with pytest.raises(DataError, match=r"claims 8\.0 GiB"):
        check_declared_size("a.tif", block_bytes=8 * GIB, **sizes)
    check_declared_size("a.tif", block_bytes=2**20, **sizes)


def test_a_large_file_may_hold_much() -> None:
    check_declared_size("a.png", whole_bytes=8 * GIB, block_bytes=2**16, file_bytes=GIB // 4, driver="PNG")


def test_a_mosaic_of_files_is_small_itself() -> None:
    check_declared_size("a.vrt", whole_bytes=2**50, block_bytes=2**14, file_bytes=2_000, driver="VRT")
