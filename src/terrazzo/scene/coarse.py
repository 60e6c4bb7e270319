"""A raster small enough to travel in a report: means over squares of pixels."""

import base64
import zlib

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from terrazzo.record import Record

__all__ = ["CoarseMean", "CoarseRaster"]


class CoarseRaster(Record):
    """A small raster as text."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    data: str
    """Its values as little-endian half-precision numbers, row by row, deflated and written in base 64; NaN where
    nothing was measured."""

    @classmethod
    def of(cls, values: Shaped[np.ndarray, "y x"]) -> "CoarseRaster":
        """Pack values, which are rounded to half precision."""
        height, width = values.shape
        packed = zlib.compress(np.ascontiguousarray(values, dtype="<f2").tobytes(), 6)
        return cls(height=height, width=width, data=base64.b64encode(packed).decode("ascii"))

    @property
    def values(self) -> Float32[np.ndarray, "y x"]:
        """The values."""
        unpacked = np.frombuffer(zlib.decompress(base64.b64decode(self.data)), dtype="<f2")
        return unpacked.reshape(self.height, self.width).astype(np.float32)


class CoarseMean:
    """Means over squares of pixels, from rows that come one by one.

    Args:
        height: Rows of the scene.
        width: Columns.
        factor: Side of a square.
    """

    def __init__(self, height: int, width: int, *, factor: int) -> None:
        self._factor = factor
        self._cuts = np.arange(0, width, factor)
        shape = (-(-height // factor), len(self._cuts))
        self._sums: Float64[np.ndarray, "y x"] = np.zeros(shape)
        self._counts: Int64[np.ndarray, "y x"] = np.zeros(shape, dtype=np.int64)

    def add(self, y: int, values: Shaped[np.ndarray, " x"], missing: int) -> None:
        """Take one row.

        Args:
            y: Its position in the scene.
            values: Whole numbers.
            missing: The value that does not count.
        """
        measured = values != missing
        self._sums[y // self._factor] += np.add.reduceat(values * measured, self._cuts, dtype=np.int64)
        self._counts[y // self._factor] += np.add.reduceat(measured, self._cuts, dtype=np.int64)

    def means(self, scale: float) -> Float64[np.ndarray, "y x"]:
        """Return means divided by a scale; NaN where nothing was measured."""
        counted = self._counts > 0
        return np.where(counted, self._sums / np.maximum(self._counts, 1) / scale, np.nan)
