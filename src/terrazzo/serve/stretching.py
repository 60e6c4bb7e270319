"""Which values of an image's bands are shown as black and as full brightness."""

from typing import Literal

import numpy as np

from terrazzo.serve.rasters import ViewedRaster

__all__ = ["Stretch", "band_range", "default_stretch"]

Stretch = Literal["percentiles", "full"]
"""`percentiles`: what lies between the 2nd and the 98th fills the range; `full`: all values do, of 8 bits 0 to 255."""

_LONGEST = 1024
_LOW, _HIGH = 2.0, 98.0


def default_stretch(raster: ViewedRaster) -> Stretch:
    """Return how an image is shown at first: pictures of 8 bits as they are, measurements stretched."""
    return "full" if set(raster.source.dtypes) == {"uint8"} else "percentiles"


def band_range(raster: ViewedRaster, band: int, stretch: Stretch) -> tuple[float, float]:
    """Return the values of a band that become black and full brightness.

    They are taken from an overview of the whole image, so that every tile is shown alike.

    Args:
        raster: The image.
        band: Its number, from 1.
        stretch: How.

    Raises:
        DataError: The image cannot be decoded.
    """
    if stretch == "full" and raster.source.dtypes[band - 1] == "uint8":
        return 0.0, 255.0
    found = raster.overview([band], longest=_LONGEST)
    measured = found.values[0][found.valid].astype(np.float64)
    measured = measured[np.isfinite(measured)]
    if not measured.size:
        return 0.0, 1.0
    if stretch == "full":
        return float(measured.min()), float(measured.max())
    low, high = np.percentile(measured, [_LOW, _HIGH])
    return float(low), float(high)
