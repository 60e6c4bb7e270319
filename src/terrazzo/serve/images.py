"""What may be read as an image at all: known by its first bytes and its header, before a pixel is decoded.

Of all that GDAL can open, only three drivers are asked: others follow references to further files (VRT, XML), unpack
archives, or fetch from the network.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.errors import RasterioError

from terrazzo.geo.kept_open import opened_header
from terrazzo.serve.problems import Problem

__all__ = ["ImageFacts", "check_image", "kind_of"]

_KINDS = {
    b"\x89PNG\r\n\x1a\n": ("PNG", ".png"),
    b"\xff\xd8\xff": ("JPEG", ".jpg"),
    b"II*\x00": ("GTiff", ".tif"),
    b"MM\x00*": ("GTiff", ".tif"),
    b"II+\x00": ("GTiff", ".tif"),
    b"MM\x00+": ("GTiff", ".tif"),
}
"""First bytes, GDAL's name of the format, and our suffix; the last two of TIFF are BigTIFF."""

_LARGEST_BLOCK = 2**28
"""Decoded bytes of one block, all bands together, that are held at once."""
_MOST_BANDS = 1024
_PIXEL_BYTES = 64
"""Decoded bytes of a pixel over all bands, on the average of the largest image that is taken."""


@dataclass(frozen=True)
class ImageFacts:
    """What the header says.

    Attributes:
        driver: GDAL's name of the format.
        suffix: Of its file name here.
        height: Rows.
        width: Columns.
        bands: Bands, transparency included.
    """

    driver: str
    suffix: str
    height: int
    width: int
    bands: int


def kind_of(head: bytes) -> tuple[str, str]:
    """Return GDAL's name of a format, and the suffix of its files, by a file's first bytes.

    Raises:
        Problem: 415, it is none that is taken.
    """
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            return kind
    begins = f"begins with {head[:8].hex(' ')}" if head else "is empty"
    raise Problem(415, f"The image is neither a TIFF nor a PNG nor a JPEG: it {begins}.")


def check_image(path: Path, *, most_pixels: int, name: str, advice: str = "") -> ImageFacts:
    """Read a file's header and refuse what is too large or of another kind.

    Args:
        path: The file.
        most_pixels: Pixels that are taken.
        name: What the client calls it.
        advice: What to do about an image with too many pixels.

    Raises:
        Problem: 413 too many pixels, bytes or bands; 415 another format; 422 a damaged header.
    """
    with path.open("rb") as file:
        driver, suffix = kind_of(file.read(8))
    try:
        with opened_header(str(path.absolute()), driver=driver) as source:
            height, width, bands = source.height, source.width, source.count
            dtypes, blocks, inside = source.dtypes, source.block_shapes, source.subdatasets
    except RasterioError as error:
        raise Problem(422, f"{name} cannot be read as an image: {_without(path, error, name)}.") from error
    if not bands:
        held = f"; it holds {len(inside)} others" if inside else ""
        raise Problem(422, f"{name} is no image by itself: it has no band{held}.")
    if height * width > most_pixels:
        raise Problem(
            413, f"{name} has {height} x {width} pixels, and at most {most_pixels:,} are taken.", advice=advice
        )
    if bands > _MOST_BANDS:
        raise Problem(413, f"{name} has {bands:,} bands, and at most {_MOST_BANDS:,} are taken.")
    unknown = [kind for kind in dtypes if kind.startswith("complex")]
    if unknown:
        raise Problem(422, f"{name} holds {unknown[0]} values; numbers without an imaginary part are taken.")
    pixel_bytes = sum(np.dtype(kind).itemsize for kind in dtypes)
    if height * width * pixel_bytes > most_pixels * _PIXEL_BYTES:
        raise Problem(
            413,
            f"{name} claims {height * width * pixel_bytes / 2**30:,.1f} GiB of values, and at most "
            f"{most_pixels * _PIXEL_BYTES / 2**30:,.1f} GiB are taken.",
            advice=advice,
        )
    block_bytes = max(math.prod(shape) for shape in blocks) * pixel_bytes
    if block_bytes > max(_LARGEST_BLOCK, 0 if driver == "GTiff" else height * width * pixel_bytes):
        raise Problem(
            413,
            f"{name} is stored in blocks of {block_bytes / 2**20:,.0f} MiB, and at most "
            f"{_LARGEST_BLOCK / 2**20:,.0f} MiB are held at once.",
            advice="Store it in tiles of 512 pixels.",
        )
    return ImageFacts(driver, suffix, height, width, bands)


def _without(path: Path, error: Exception, name: str) -> str:
    """Return what the system said, without where the file lies here."""
    return str(error).replace(str(path), name).replace(path.name, name).rstrip(".")
