"""What tells a cloud-optimised GeoTIFF from others; files made by GDAL itself."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling

from terrazzo.errors import StorageError
from terrazzo.scene.cog_structure import check_cog, read_directories


def plain(path: Path, shape: tuple[int, int] = (700, 1100), **options: object) -> Path:
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": shape[0], "width": shape[1]}
    with rasterio.open(path, "w", **{**profile, **options}) as file:
        file.write(np.random.default_rng(0).integers(0, 9, (1, *shape)).astype(np.uint8))
    return path


@pytest.mark.parametrize("big", ["NO", "YES"])
@pytest.mark.parametrize("shape", [(700, 1100), (5, 7)])
def test_gdal_files_are_read_and_pass(big: str, shape: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "cog.tif"
    rasterio.shutil.copy(plain(tmp_path / "a.tif", shape), path, driver="COG", BIGTIFF=big)
    check_cog(path)
    found = read_directories(path)
    assert [(image.height, image.width) for image in found] == (
        [shape, (350, 550), (175, 275)][: 1 + (shape[0] > 5) * 2]
    )
    assert [image.reduced for image in found] == [level > 0 for level in range(len(found))]
    assert all(image.tiled for image in found)


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_both_orders_of_bytes_are_read(endian: str, tmp_path: Path) -> None:
    (found,) = read_directories(plain(tmp_path / "a.tif", endianness=endian))
    assert (found.height, found.width, found.tiled, found.reduced) == (700, 1100, False, False)


def test_what_is_not_laid_out_for_reading_by_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not say"):
        check_cog(plain(tmp_path / "a.tif", tiled=True))
    later = tmp_path / "later.tif"
    rasterio.shutil.copy(plain(tmp_path / "b.tif"), later, driver="COG", OVERVIEWS="NONE")
    with rasterio.open(later, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.build_overviews([2], Resampling.nearest)
    with pytest.raises(StorageError, match=r"pixels lie before a directory|does not say"):
        check_cog(later)


def test_order_is_checked_and_not_just_the_word(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    plain(path, tiled=True)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], Resampling.nearest)
    content = path.read_bytes()
    mark = b"GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\nLAYOUT=IFDS_BEFORE_DATA\n"
    # Somewhere in the first bytes, where the check looks for it; pixels there do not matter.
    begin = 512
    path.write_bytes(content[:begin] + mark + content[begin + len(mark) :])
    with pytest.raises(StorageError, match="pixels lie before a directory"):
        check_cog(path)


def test_torn_files_are_told(tmp_path: Path) -> None:
    whole = plain(tmp_path / "a.tif").read_bytes()
    path = tmp_path / "torn.tif"
    for content in (b"", b"II*\0", whole[:4] + b"\xff\xff\xff\x7f" + whole[8:], b"no TIFF at all", whole[:8]):
        path.write_bytes(content)
        with pytest.raises(StorageError, match="no whole TIFF"):
            read_directories(path)
