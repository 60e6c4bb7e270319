"""Rings around areas, and the pieces that they are made of."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64

__all__ = ["NO_JOIN", "Pieces", "Rings", "selected"]

NO_JOIN = -1
"""Start and end of a piece that is a whole ring."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of rings, or whole rings.

    Attributes:
        start: Join that each begins with; none where it is a whole ring.
        end: Join that it ends with.
        area: The area that it goes around.
        signed: Its share in the pixels that its ring encloses, which are negative where the ring bounds a hole.
        counts: Its points.
        points: Row and column of lattice points, one piece after the other.
    """

    start: Int64[np.ndarray, " piece"]
    end: Int64[np.ndarray, " piece"]
    area: Int64[np.ndarray, " piece"]
    signed: Int64[np.ndarray, " piece"]
    counts: Int64[np.ndarray, " piece"]
    points: Int32[np.ndarray, "point 2"]


@dataclass(frozen=True)
class Rings:
    """Whole rings.

    Attributes:
        area: The area that each bounds.
        signed: Pixels that each encloses, negative where it bounds a hole.
        counts: Its points.
        points: Row and column of lattice points, one ring after the other.
    """

    area: Int64[np.ndarray, " ring"]
    signed: Int64[np.ndarray, " ring"]
    counts: Int64[np.ndarray, " ring"]
    points: Int32[np.ndarray, "point 2"]


def selected(pieces: Pieces, chosen: Bool[np.ndarray, " piece"]) -> Pieces:
    """Return some pieces with their points."""
    points = pieces.points[np.repeat(chosen, pieces.counts)]
    return Pieces(
        pieces.start[chosen],
        pieces.end[chosen],
        pieces.area[chosen],
        pieces.signed[chosen],
        pieces.counts[chosen],
        points,
    )
