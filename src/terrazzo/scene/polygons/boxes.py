"""Boxes of lattice points, and which corners they hold."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64

from terrazzo.scene.polygons.corners import Corners

__all__ = ["Boxes"]


@dataclass(frozen=True)
class Boxes:
    """Boxes of lattice points, all four sides included.

    Attributes:
        top: First row.
        bottom: Last row.
        left: First column.
        right: Last column.
    """

    top: Int64[np.ndarray, " box"]
    bottom: Int64[np.ndarray, " box"]
    left: Int64[np.ndarray, " box"]
    right: Int64[np.ndarray, " box"]

    @staticmethod
    def around(
        corners: Corners, stretches: Int64[np.ndarray, " place"], lengths: Int64[np.ndarray, " stretch"]
    ) -> "Boxes":
        """Return the box of each stretch."""
        begins = np.cumsum(lengths) - lengths
        y, x = corners.y[stretches].astype(np.int64), corners.x[stretches].astype(np.int64)
        return Boxes(
            np.minimum.reduceat(y, begins),
            np.maximum.reduceat(y, begins),
            np.minimum.reduceat(x, begins),
            np.maximum.reduceat(x, begins),
        )

    def chosen(self, boxes: Int64[np.ndarray, " chosen"]) -> "Boxes":
        """Return some of them."""
        return Boxes(self.top[boxes], self.bottom[boxes], self.left[boxes], self.right[boxes])

    def counts(self, corners: Corners) -> Int64[np.ndarray, " box"]:
        """Return how many corners each holds, by sums over all rectangles from the upper left."""
        sums = _plane(corners)
        sums[corners.y + 1, corners.x + 1] = 1
        np.cumsum(sums, axis=0, out=sums)
        np.cumsum(sums, axis=1, out=sums)
        below, after = self.bottom + 1, self.right + 1
        found = sums[below, after] - sums[self.top, after] - sums[below, self.left] + sums[self.top, self.left]
        return np.asarray(found, dtype=np.int64)

    def cover(self, corners: Corners) -> Bool[np.ndarray, " corner"]:
        """Return which corners lie in any of them."""
        depth = _plane(corners)
        for y, x, change in (
            (self.top, self.left, 1),
            (self.top, self.right + 1, -1),
            (self.bottom + 1, self.left, -1),
            (self.bottom + 1, self.right + 1, 1),
        ):
            np.add.at(depth, (y, x), change)
        np.cumsum(depth, axis=0, out=depth)
        np.cumsum(depth, axis=1, out=depth)
        return np.asarray(depth[corners.y, corners.x] > 0)


def _plane(corners: Corners) -> Int32[np.ndarray, "y x"]:
    """Return zeros for the lattice points of a band, with one row and column to spare."""
    return np.zeros((int(corners.y.max()) + 2, int(corners.x.max()) + 2), dtype=np.int32)
