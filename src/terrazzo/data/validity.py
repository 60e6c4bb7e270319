"""Rasters beside an image that say which of its pixels were measured."""

from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Bool
from pydantic import Field

from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile
from terrazzo.record import Record

__all__ = ["ValidityMask"]


class ValidityMask(Record):
    """A raster with one band whose values tell what is missing, such as a scene classification."""

    file: Path
    """The raster; on another grid than the image it is brought onto it, each pixel as its nearest."""
    missing: Annotated[tuple[int, ...], Field(min_length=1)]
    """Values at pixels that were not measured, such as 0, 1, 3, 8, 9, 10 of Sentinel-2's scene classification."""

    def valid(self, file: RasterFile, window: Window) -> Bool[np.ndarray, "y x"]:
        """Return which pixels of a window were measured.

        Args:
            file: The opened raster, on the image's grid.
            window: Pixels, inside the image.
        """
        raster = file.read(window)
        return raster.valid & ~np.isin(raster.values[0], self.missing)
