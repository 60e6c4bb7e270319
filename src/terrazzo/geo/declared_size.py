"""Whether a raster's declared size can be true: a file of a few kilobytes may claim more pixels than memory holds."""

from terrazzo.errors import DataError

__all__ = ["LARGEST_AT_ONCE", "LARGEST_RATIO", "LARGEST_WHOLE", "WHOLE_FORMATS", "check_declared_size"]

LARGEST_AT_ONCE = 2**31
"""Decoded bytes that may have to be held together: a whole PNG or JPEG, one block of anything tiled."""
LARGEST_WHOLE = 2**42
"""Decoded bytes of a whole raster that is read block by block."""
LARGEST_RATIO = 200
"""Decoded bytes for each byte of the file up to which a large size is believed."""
WHOLE_FORMATS = frozenset({"BMP", "GIF", "JPEG", "PNG", "WEBP"})
"""Formats that can be decoded from their beginning only, by GDAL's names."""


def check_declared_size(path: str, *, whole_bytes: int, block_bytes: int, file_bytes: int, driver: str) -> None:
    """Refuse a raster that claims far more than its file can hold, before anything is decoded.

    Args:
        path: The file, for the message.
        whole_bytes: Decoded bytes of all bands.
        block_bytes: Decoded bytes of one block, all bands together.
        file_bytes: Bytes on disk.
        driver: GDAL's name of the format.

    Raises:
        DataError: The size is absurd for the file.
    """
    if driver == "VRT":
        return  # a description of other files, which are asked themselves
    at_once = whole_bytes if driver in WHOLE_FORMATS else block_bytes
    if at_once <= LARGEST_AT_ONCE and whole_bytes <= LARGEST_WHOLE:
        return
    if whole_bytes > LARGEST_RATIO * max(file_bytes, 1):
        raise DataError(
            f"{path} claims {whole_bytes / 2**30:,.1f} GiB of pixels in a file of {file_bytes:,} bytes, as a "
            "decompression bomb does; it is not decoded. Where the size is true, store it as a tiled GeoTIFF."
        )
