"""Whole rows of one file, read in parts that bound the memory."""

from collections.abc import Iterator

from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster, RasterFile
from terrazzo.scene.reader import Unreadable

__all__ = ["FileRows"]

# Bounds what reading holds beside the strip; GDAL's cache keeps the blocks that such rows cut through.
_ROWS_AT_ONCE = 128


class FileRows:
    """Rows of an open raster.

    Args:
        file: The raster.
        bands: Which of its bands, in order.
    """

    def __init__(self, file: RasterFile, bands: Bands) -> None:
        self._file = file
        self._bands = bands

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        """Yield rows from top to bottom.

        Raises:
            DataError: The file cannot be read, or not to its end.
        """
        for first in range(top, bottom, _ROWS_AT_ONCE):
            height = min(_ROWS_AT_ONCE, bottom - first)
            yield self._file.read(Window(first, 0, height, self._file.grid.width), self._bands)

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        """Return nothing: what cannot be read is an error here."""
        return ()
