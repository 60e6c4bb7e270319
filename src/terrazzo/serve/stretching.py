"""Which values of an image's bands are shown as black and as full brightness."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Shaped

from terrazzo.serve.rasters import ViewedRaster

__all__ = ["Stretch", "band_ranges", "default_stretch"]

Stretch = Literal["percentiles", "full"]
"""`percentiles`: what lies between the 2nd and the 98th fills the range; `full`: all values do, of 8 bits 0 to 255."""

_LONGEST = 512
_LOW, _HIGH = 2.0, 98.0


def default_stretch(raster: ViewedRaster) -> Stretch:
    """Return how an image is shown at first: pictures of 8 bits as they are, measurements stretched."""
    return "full" if set(raster.source.dtypes) == {"uint8"} else "percentiles"


def band_ranges(raster: ViewedRaster, bands: Sequence[int], stretch: Stretch) -> list[tuple[float, float]]:
    """Return of each band the values that become black and full brightness.

    They are taken from an overview of the whole image, so that every tile is shown alike.

    Args:
        raster: The image.
        bands: Their numbers, from 1.
        stretch: How.

    Raises:
        DataError: The image cannot be decoded.
    """
    if stretch == "full" and all(raster.source.dtypes[band - 1] == "uint8" for band in bands):
        return [(0.0, 255.0)] * len(bands)
    found = raster.overview(bands, longest=_LONGEST)
    return [_range(values[found.valid], stretch) for values in found.values]


def _range(measured: Shaped[np.ndarray, " pixel"], stretch: Stretch) -> tuple[float, float]:
    known = measured[np.isfinite(measured)].astype(np.float64)
    if not known.size:
        return 0.0, 1.0
    if stretch == "full":
        return float(known.min()), float(known.max())
    low, high = np.percentile(known, [_LOW, _HIGH])
    return float(low), float(high)
