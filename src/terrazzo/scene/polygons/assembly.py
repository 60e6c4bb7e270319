"""From rings of lattice points to polygons with holes, in one canonical order."""

from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Float64, Int, Int64, Shaped

from terrazzo.errors import StorageError
from terrazzo.scene.polygons.areas import BandAreas
from terrazzo.scene.polygons.chains import ranges
from terrazzo.scene.polygons.rings import Rings

__all__ = ["Polygons", "polygons_of"]

MOST_POINTS = 2**26
"""Points of one polygon above which neither format can hold it: a row of a GeoPackage ends at 10^9 bytes."""


@dataclass(frozen=True)
class Polygons:
    """Complete areas.

    Attributes:
        geometries: A valid polygon each, anti-clockwise, its holes clockwise.
        values: Value of their pixels.
        pixels: Their pixels.
        square_metres: What these measure on the ground; NaN where that is not known.
    """

    geometries: Shaped[np.ndarray, " polygon"]
    values: Shaped[np.ndarray, " polygon"]
    pixels: Int64[np.ndarray, " polygon"]
    square_metres: Float64[np.ndarray, " polygon"]

    def __len__(self) -> int:
        return len(self.values)


def polygons_of(rings: Rings, areas: BandAreas, transform: Affine) -> Polygons:
    """Build the polygons of complete areas.

    Areas are sorted by their last row, then by their first corner; so are holes by theirs. Each ring begins at its
    first corner in raster order. So nothing tells in which bands the map came.

    Args:
        rings: All rings of the areas.
        areas: Who they belong to.
        transform: From (x, y) of lattice points to coordinates.

    Raises:
        StorageError: An area has too many corners for one polygon, or its rings do not add up to its pixels.
    """
    begins = np.cumsum(rings.counts) - rings.counts
    first = _first_points(rings, begins)
    y, x = rings.points[first].T.astype(np.int64)
    hole = rings.signed < 0
    exterior = np.flatnonzero(~hole)
    by_area = exterior[np.lexsort((x[exterior], y[exterior], areas.last_row[rings.area[exterior]]))]
    complete = rings.area[by_area]
    rank = np.full(len(areas.values), -1, dtype=np.int64)
    rank[complete] = np.arange(len(complete))
    order = np.lexsort((x, y, hole, rank[rings.area]))
    counts = rings.counts[order]
    points = rings.points[_rotated(begins[order], counts, first[order], clockwise=transform.determinant > 0)]
    rings_each = np.bincount(rank[rings.area], minlength=len(complete))
    # Rings are closed: their first point is written twice.
    offsets = _offsets(counts + 1), _offsets(rings_each)
    _check(rings, areas, complete, offsets[0][offsets[1]])
    across, down = points[:, 1].astype(np.float64), points[:, 0].astype(np.float64)
    places = np.stack(
        [
            transform.a * across + transform.b * down + transform.c,
            transform.d * across + transform.e * down + transform.f,
        ],
        axis=1,
    )
    return Polygons(
        shapely.from_ragged_array(shapely.GeometryType.POLYGON, places, offsets),
        areas.values[complete],
        areas.pixels[complete],
        areas.square_metres[complete],
    )


def _first_points(rings: Rings, begins: Int64[np.ndarray, " ring"]) -> Int64[np.ndarray, " ring"]:
    """Return the position of each ring's first point in raster order; no ring has a point twice."""
    if not len(begins):
        return np.zeros(0, dtype=np.int64)
    key = rings.points[:, 0].astype(np.int64) << 32 | rings.points[:, 1].astype(np.int64)
    lowest = np.minimum.reduceat(key, begins)
    return np.flatnonzero(key == np.repeat(lowest, rings.counts))


def _rotated(
    begins: Int64[np.ndarray, " ring"],
    counts: Int64[np.ndarray, " ring"],
    first: Int64[np.ndarray, " ring"],
    *,
    clockwise: bool,
) -> Int64[np.ndarray, " point"]:
    """Return the positions of all points, ring by ring, each from its first point around and back to it.

    Rings run clockwise as seen on rows and columns; on a north-up grid that is clockwise on the map as well.
    """
    closed = counts + 1
    along = ranges(np.zeros(len(counts), dtype=np.int64), closed)
    sign = 1 if clockwise else -1
    start, size = np.repeat(begins, closed), np.repeat(counts, closed)
    return np.asarray(start + (np.repeat(first - begins, closed) + sign * along) % size)


def _offsets(counts: Int[np.ndarray, " item"]) -> Int64[np.ndarray, " items_and_one"]:
    """Return where each item begins, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _check(
    rings: Rings,
    areas: BandAreas,
    complete: Int64[np.ndarray, " polygon"],
    offsets: Int64[np.ndarray, " polygons_and_one"],
) -> None:
    """Refuse what cannot be written, and what would be wrong."""
    points = np.diff(offsets)
    if len(points) and points.max() > MOST_POINTS:
        raise StorageError(
            f"An area of {areas.pixels[complete[points.argmax()]]} pixels has {points.max()} corners, more than one "
            f"polygon can hold ({MOST_POINTS}); set predict.polygons.smallest_pixels so that single pixels join it, or "
            "predict.polygons.simplify."
        )
    enclosed = np.zeros(len(areas.values), dtype=np.int64)
    np.add.at(enclosed, rings.area, rings.signed)
    if (enclosed[complete] != areas.pixels[complete]).any():
        raise StorageError("The rings of an area do not add up to its pixels: this is an error in Terrazzo.")
