"""Which bands an open raster file holds: their names, units, scales and nodata values, transparency told apart."""

from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands

__all__ = ["COLOURS", "alpha_number", "file_bands"]

COLOURS = frozenset({"red", "green", "blue", "nir", "gray"})
"""Colour interpretations that name a band."""


def alpha_number(source: DatasetReader) -> int | None:
    """Return the 1-based number of the band that is transparency by its colour interpretation, if any.

    A band with a description of its own is none: GDAL calls the fourth band of any 8-bit GeoTIFF alpha unless its
    writer says otherwise, a near-infrared one too.
    """
    described = zip(source.colorinterp, source.descriptions, strict=True)
    for number, (kind, description) in enumerate(described, 1):
        if kind == ColorInterp.alpha and (description or "alpha").strip().lower() in {"alpha", "transparency"}:
            return number
    return None


def file_bands(source: DatasetReader, alpha: int | None) -> Bands:
    """Return all bands but transparency: named by description, else by colour, else `band_1`, `band_2`, ...

    Args:
        source: The open file.
        alpha: Number of the band that is transparency, if any.

    Raises:
        DataError: There is no other band.
    """
    described = [
        (description or (kind.name if kind.name in COLOURS else "")).strip().lower()
        for description, kind in zip(source.descriptions, source.colorinterp, strict=True)
    ]
    found = []
    for number, word in enumerate(described, 1):
        if number != alpha:
            # A description such as "band_2" on another band than the second would take that one's name.
            usable = word and described.count(word) == 1 and not word.startswith("band_")
            found.append(_band(source, number, word if usable else f"band_{number}"))
    if not found:
        raise DataError(f"{source.name} holds no band but transparency.")
    return Bands(items=tuple(found))


def _band(source: DatasetReader, number: int, name: str) -> Band:
    index = number - 1
    return Band(
        name=name,
        unit=source.units[index] or "",
        scale=source.scales[index],
        offset=source.offsets[index],
        nodata=source.nodatavals[index],
        dtype=str(source.dtypes[index]),
    )
