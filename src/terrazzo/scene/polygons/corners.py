"""Corners of a band of the map: lattice points at which borders turn or meet, and the straight edges between them.

Directions count clockwise as seen on the map's rows: right, down, left, up. An edge taken in one of its two directions
is a step; on the right of a step lies the area that it goes around. The pixel clockwise from direction d at a corner
is its quadrant d: lower right, lower left, upper left, upper right.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64, Shaped, UInt8

__all__ = ["CROSS", "DOWN", "LEFT", "RIGHT", "UP", "Corners", "corners_of", "onwards"]

RIGHT, DOWN, LEFT, UP = range(4)
CROSS = 15
"""Edges of a corner that four of them meet in."""


def _corner_codes() -> UInt8[np.ndarray, "16"]:
    """Return 1 for sets of edges at which a border turns or borders meet: all but none and the two straight ones."""
    codes = np.ones(16, dtype=np.uint8)
    codes[[0, 1 << RIGHT | 1 << LEFT, 1 << DOWN | 1 << UP]] = 0
    return codes


def _onwards() -> UInt8[np.ndarray, "16 4"]:
    """Return where a step goes on, by the edges of the corner and the one it arrives by: sharpest to the right."""
    table = np.zeros((16, 4), dtype=np.uint8)
    for edges in range(16):
        for arrival in range(4):
            turns = [(arrival - turn) % 4 for turn in (1, 2, 3, 4)]
            table[edges, arrival] = next((turn for turn in turns if edges >> turn & 1), 0)
    return table


_CORNER = _corner_codes()
_ONWARDS = _onwards()


@dataclass(frozen=True)
class Corners:
    """The corners of a band in raster order.

    Attributes:
        y: Row of lattice points in the band, 0 for its upper border.
        x: Column of lattice points, 0..width.
        edges: Bit d is set where an edge leaves in direction d.
        neighbours: The corner at the other end of each edge; -1 where there is no edge or it leaves the band.
    """

    y: Int32[np.ndarray, " corner"]
    x: Int32[np.ndarray, " corner"]
    edges: UInt8[np.ndarray, " corner"]
    neighbours: Int32[np.ndarray, "corner 4"]

    def __len__(self) -> int:
        return len(self.y)

    def leaves(self, direction: int) -> Int64[np.ndarray, " leaving"]:
        """Return the corners from which an edge leaves the band, `UP` or `DOWN`."""
        return np.flatnonzero((self.edges >> direction & 1).astype(bool) & (self.neighbours[:, direction] < 0))


def corners_of(values: Shaped[np.ndarray, "y x"]) -> Corners:
    """Find the corners of a band.

    Args:
        values: The band's rows below the row before them; on both sides a column of what lies outside of the map.

    >>> found = corners_of(np.array([[9, 9, 9, 9], [9, 1, 2, 9], [9, 1, 2, 9]]))
    >>> found.y, found.x, found.edges
    (array([0, 0, 0], dtype=int32), array([0, 1, 2], dtype=int32), array([3, 7, 6], dtype=uint8))
    """
    across = values[:, 1:] != values[:, :-1]
    along = values[1:] != values[:-1]
    edges = np.zeros((len(along), across.shape[1]), dtype=np.uint8)
    for direction, present in ((RIGHT, along[:, 1:]), (DOWN, across[1:]), (LEFT, along[:, :-1]), (UP, across[:-1])):
        edges |= present.view(np.uint8) << np.uint8(direction)
    where = np.flatnonzero(_CORNER[edges])
    width = edges.shape[1]
    y, x = (part.astype(np.int32) for part in np.divmod(where, width))
    found = edges.ravel()[where]
    return Corners(y, x, found, _neighbours(x, found))


def _neighbours(x: Int32[np.ndarray, " corner"], edges: UInt8[np.ndarray, " corner"]) -> Int32[np.ndarray, "corner 4"]:
    """Find the other end of each edge: the next corner in its row or column."""
    count = len(x)
    neighbours = np.full((count, 4), -1, dtype=np.int32)
    numbers = np.arange(count, dtype=np.int32)
    neighbours[:, RIGHT] = np.where(edges >> RIGHT & 1, numbers + 1, -1)
    neighbours[:, LEFT] = np.where(edges >> LEFT & 1, numbers - 1, -1)
    by_column = np.argsort(x, kind="stable").astype(np.int32)
    upper, lower = by_column[:-1], by_column[1:]
    linked = (x[upper] == x[lower]) & (edges[upper] >> DOWN & 1).astype(bool)
    neighbours[upper[linked], DOWN] = lower[linked]
    neighbours[lower[linked], UP] = upper[linked]
    return neighbours


def onwards(edges: UInt8[np.ndarray, " step"], arrival: UInt8[np.ndarray, " step"]) -> UInt8[np.ndarray, " step"]:
    """Return the direction in which a step goes on around the same pixel.

    Args:
        edges: Of the corner that it reaches.
        arrival: The edge there by which it arrives: opposite to its own direction.
    """
    return np.asarray(_ONWARDS[edges, arrival])
