"""Whether a file ends before its last block: a download that broke off opens like a whole one."""

from pathlib import Path

from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from terrazzo.geo.kept_open import opened_header

__all__ = ["truncation"]


def truncation(file: str) -> str | None:
    """Return a sentence where a TIFF of this machine is shorter than its last blocks say; None where it is not.

    Args:
        file: Path of any raster; of other formats and of addresses nothing can be told.
    """
    path = Path(file)
    if not path.is_file():
        return None
    try:
        with opened_header(file) as source:
            needed = _end(source) if source.driver == "GTiff" else 0
    except RasterioError:
        return None
    size = path.stat().st_size
    if needed <= size:
        return None
    return f"{file} is truncated: its blocks reach to byte {needed:,}, but it ends at byte {size:,}; fetch it again."


def _end(source: DatasetReader) -> int:
    """Return the byte after the last of the blocks in the four corners, wherever a writer began."""
    height, width = source.block_shapes[0]
    last_y, last_x = (source.height - 1) // height, (source.width - 1) // width
    found = [
        (
            source.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=band),
            source.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=band),
        )
        for band in (1, source.count)
        for y in (0, last_y)
        for x in (0, last_x)
    ]
    # A block that was never written has neither.
    return max((int(offset) + int(size) for offset, size in found if offset and size), default=0)
