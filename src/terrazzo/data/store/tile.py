"""One file of the patch store: an image's bands, its validity and its label as tiles that are read one by one.

The file is a GeoTIFF on the image's grid. Its bands are those of the data set in channel order, then a band "valid"
(1 measured, 0 missing) where a pixel may be missing, then a band "class" (class numbers and the ignore value).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from jaxtyping import Bool, Shaped
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from terrazzo.data.classes import Classes
from terrazzo.errors import DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window

__all__ = ["TILE", "TileFile", "TilePixels", "Tiles"]

TILE = 256
"""Side of a tile in pixels."""


@dataclass(frozen=True)
class Tiles:
    """Where an image's pixels lie as tiles, and which of them.

    Attributes:
        path: The file.
        bands: Bands that it holds, as they are read; None where the image itself is read by windows.
        dtype: numpy type of the image's values.
        masked: Whether it says which pixels are missing; else none is.
        classes: Classes of its label; None where it holds none.
    """

    path: Path
    bands: Bands | None
    dtype: str
    masked: bool
    classes: Classes | None

    def hold_image(self, bands: Bands) -> bool:
        """Return whether these bands, in this order and with this meaning, are there."""
        return self.bands is bands or self.bands == bands

    def hold_label(self, classes: Classes) -> bool:
        """Return whether the label is there in these classes."""
        return self.classes is classes or self.classes == classes


class TilePixels(NamedTuple):
    """Pixels of a window; None what was not asked for.

    Attributes:
        values: Raw values in channel order.
        valid: Where every band was measured.
        target: Class numbers or the ignore value.
    """

    values: Shaped[np.ndarray, "band y x"] | None
    valid: Bool[np.ndarray, "y x"] | None
    target: Shaped[np.ndarray, "y x"] | None


class TileFile:
    """An open file of the store.

    Args:
        tiles: What it holds.

    Raises:
        DataError: It is missing or damaged.
    """

    def __init__(self, tiles: Tiles) -> None:
        self._tiles = tiles
        count = 0 if tiles.bands is None else len(tiles.bands)
        self._image = list(range(1, count + 1 + (tiles.masked and count > 0)))
        self._label = [] if tiles.classes is None else [len(self._image) + 1]
        try:
            self._source = rasterio.open(tiles.path)
        except RasterioError as error:
            raise self._damaged(str(error)) from error
        if self._source.count != len(self._image) + len(self._label):
            self._source.close()
            raise self._damaged(f"it has {self._source.count} bands")

    def read(self, window: Window, *, image: bool, label: bool) -> TilePixels:
        """Read a window that lies inside the image.

        Args:
            window: Pixels.
            image: Read the bands and their validity.
            label: Read the label.

        Raises:
            DataError: The file is damaged.
        """
        tiles = self._tiles
        numbers = (self._image if image else []) + (self._label if label else [])
        try:
            planes = self._source.read(numbers, window=RasterioWindow(window.x, window.y, window.width, window.height))
        except RasterioError as error:
            raise self._damaged(str(error)) from error
        values = valid = target = None
        if image and tiles.bands is not None:
            values = planes[: len(tiles.bands)].astype(tiles.dtype, copy=False)
            valid = planes[len(tiles.bands)] != 0 if tiles.masked else np.ones(planes.shape[1:], dtype=bool)
        if label and tiles.classes is not None:
            target = planes[-1].astype(np.uint8 if tiles.classes.ignore == 255 else np.uint16, copy=False)
        return TilePixels(values, valid, target)

    def close(self) -> None:
        """Free the file."""
        self._source.close()

    def _damaged(self, reason: str) -> DataError:
        return DataError(
            f"{self._tiles.path} is no whole file of the patch store ({reason}); run `terrazzo verify --fix`, then "
            "`terrazzo prepare`, which writes it again."
        )
