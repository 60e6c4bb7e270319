"""Borders with fewer corners that stay shared: which corners of a band can be left out of all rings.

A border is cut into arcs: at corners where more than two areas meet, at the corners of the map, and at the ends of
edges that leave the band. Each arc is simplified once (Douglas-Peucker), so that both its sides stay together. A
stretch of an arc is straightened only if the convex hull of its corners holds no other corner of any border; else it
stays as it is.

Why this suffices: a straightened stretch sweeps over a part of its hull only. No original border enters there, since it
would need a corner inside, or cross the stretch itself. If two straightened stretches crossed, one original stretch
would enter what the other one swept. So no two borders cross, no area is turned inside out or vanishes, and no
area comes to lie in another one. What remains are two stretches between the same two corners: both stay as they are.

Source: Douglas and Peucker, Algorithms for the reduction of the number of points required to represent a digitized line
or its caricature, 1973.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Int64, Shaped

from terrazzo.scene.polygons.boxes import Boxes
from terrazzo.scene.polygons.chains import chains_of, ranges
from terrazzo.scene.polygons.corners import DOWN, UP, Corners, onwards

__all__ = ["needless_corners"]

# Sets of edges with two at a right angle: one border turns here, and nothing else meets it.
_TURNS = np.array([edges.bit_count() == 2 and edges not in (5, 10) for edges in range(16)])


@dataclass(frozen=True)
class _Lines:
    """Corners line by line, both ends included.

    Attributes:
        corner: Corners.
        begins: Where each line begins, and the number of corners.
    """

    corner: Int64[np.ndarray, " place"]
    begins: Int64[np.ndarray, " lines_and_one"]

    @property
    def lengths(self) -> Int64[np.ndarray, " line"]:
        """Corners of each line."""
        return np.diff(self.begins)

    @property
    def line(self) -> Int64[np.ndarray, " place"]:
        """The line of each corner."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


def needless_corners(
    corners: Corners, tolerance: float, *, fixed: Bool[np.ndarray, " corner"]
) -> Bool[np.ndarray, " corner"]:
    """Return the corners that every ring can do without.

    Args:
        corners: Of a band; all corners of the map in its rows.
        tolerance: Pixels by which a border may be moved.
        fixed: Corners that must stay, besides those where borders meet or leave the band.
    """
    leaving = np.zeros(len(corners), dtype=bool)
    leaving[corners.leaves(UP)] = True
    leaving[corners.leaves(DOWN)] = True
    fixed = fixed | ~_TURNS[corners.edges] | leaving
    lines = _cut_open(corners, _arcs(corners, fixed))
    kept = _douglas_peucker(corners, lines, tolerance)
    kept[lines.corner[lines.begins[:-1]]] = True
    kept[lines.corner[lines.begins[1:] - 1]] = True
    return _only_safe(corners, lines, ~kept)


def _arcs(corners: Corners, fixed: Bool[np.ndarray, " corner"]) -> _Lines:
    """Return each arc once, of its two directions the one that begins with the lower step."""
    steps = np.flatnonzero(corners.neighbours.ravel() >= 0)
    number = np.full(corners.neighbours.size, -1, dtype=np.int64)
    number[steps] = np.arange(len(steps))
    reached = corners.neighbours.ravel()[steps].astype(np.int64)
    arrival = (steps + 2) % 4
    edges = corners.edges[reached]
    # At a turn there is one way on, whichever side one keeps to.
    onto = 4 * reached + onwards(edges, arrival.astype(np.uint8))
    chains = chains_of(np.where(fixed[reached], -1, number[onto]))
    first, back = steps[chains.heads], 4 * reached[chains.tails] + arrival[chains.tails]
    # An arc without a fixed corner begins at its lowest one, in both directions.
    lowest = first & 3 == np.argmax(corners.edges[first >> 2, None] >> np.arange(4, dtype=np.uint8) & 1, axis=1)
    chosen = np.flatnonzero(np.where(chains.closed, lowest, first < back))
    lengths = chains.lengths[chosen]
    ordered = chains.order[ranges(chains.begins[:-1][chosen], lengths)]
    ends = np.cumsum(lengths)
    corner = np.insert(steps[ordered] >> 2, ends, reached[ordered[ends - 1]]) if len(ends) else ordered
    return _Lines(corner, np.concatenate([[0], ends + np.arange(1, len(ends) + 1)]).astype(np.int64))


def _cut_open(corners: Corners, arcs: _Lines) -> _Lines:
    """Divide arcs that end where they begin at the corner that is farthest from there."""
    corner, begins = arcs.corner, arcs.begins
    if not len(corner):
        return arcs
    first = corner[begins[:-1]]
    closed = np.flatnonzero(first == corner[begins[1:] - 1])
    if not len(closed):
        return arcs
    lengths = arcs.lengths[closed]
    places = ranges(begins[closed], lengths)
    origin = np.repeat(first[closed], lengths)
    across = corners.x[corner[places]].astype(np.int64) - corners.x[origin]
    down = corners.y[corner[places]].astype(np.int64) - corners.y[origin]
    distance = across**2 + down**2
    starts = np.cumsum(lengths) - lengths
    farthest = np.flatnonzero(distance == np.repeat(np.maximum.reduceat(distance, starts), lengths))
    owner = np.repeat(np.arange(len(closed)), lengths)[farthest]
    # The first of several, in each arc.
    cuts = places[farthest[np.unique(owner, return_index=True)[1]]]
    extended = np.insert(corner, cuts, corner[cuts])
    return _Lines(
        extended, np.sort(np.concatenate([begins + np.searchsorted(cuts, begins), cuts + np.arange(len(cuts)) + 1]))
    )


def _douglas_peucker(corners: Corners, lines: _Lines, tolerance: float) -> Bool[np.ndarray, " corner"]:
    """Return the corners that are kept; those of no line, and lines without inner corners, are."""
    kept = np.ones(len(corners), dtype=bool)
    several = np.flatnonzero(lines.lengths > 2)
    lengths = lines.lengths[several]
    corner = lines.corner[ranges(lines.begins[:-1][several], lengths)]
    kept[corner] = False
    simple = shapely.simplify(_linestrings(corners, corner, lengths), tolerance, preserve_topology=False)
    found = shapely.get_coordinates(simple).astype(np.int64)
    # Corners are sorted by row and column.
    kept[np.searchsorted(_key(corners.x, corners.y), _key(found[:, 0], found[:, 1]))] = True
    return kept


def _only_safe(corners: Corners, lines: _Lines, dropped: Bool[np.ndarray, " corner"]) -> Bool[np.ndarray, " corner"]:
    """Put back the corners of stretches that could not be straightened without harm."""
    kept = np.flatnonzero(~dropped[lines.corner])
    inside = lines.line[kept[:-1]] == lines.line[kept[1:]]
    begins, lasts = kept[:-1][inside], kept[1:][inside]
    one, other = lines.corner[begins], lines.corner[lasts]
    _, same, twins = np.unique(
        np.minimum(one, other) * len(corners) + np.maximum(one, other), return_inverse=True, return_counts=True
    )
    straightened = lasts - begins > 1
    unsafe = straightened & (twins[same] > 1)
    asked = np.flatnonzero(straightened & ~unsafe)
    lengths = lasts[asked] - begins[asked] + 1
    stretches = lines.corner[ranges(begins[asked], lengths)]
    unsafe[asked] = _others_inside(corners, stretches, lengths)
    back = np.flatnonzero(unsafe)
    dropped = dropped.copy()
    dropped[lines.corner[ranges(begins[back], lasts[back] - begins[back])]] = False
    return dropped


def _others_inside(
    corners: Corners, stretches: Int64[np.ndarray, " place"], lengths: Int64[np.ndarray, " stretch"]
) -> Bool[np.ndarray, " stretch"]:
    """Return which stretches have corners in the hull of their own that are not theirs."""
    others = np.zeros(len(lengths), dtype=bool)
    if not len(lengths):
        return others
    boxes = Boxes.around(corners, stretches, lengths)
    # Most boxes hold no other corner, so that their hulls need not be made.
    asked = np.flatnonzero(boxes.counts(corners) != lengths)
    begins = np.cumsum(lengths) - lengths
    hulls = shapely.convex_hull(_linestrings(corners, stretches[ranges(begins[asked], lengths[asked])], lengths[asked]))
    near = np.flatnonzero(boxes.chosen(asked).cover(corners))
    tree = shapely.STRtree(shapely.points(corners.x[near], corners.y[near]))
    stretch, _ = tree.query(hulls, predicate="intersects")
    others[asked] = np.bincount(stretch, minlength=len(asked)) != lengths[asked]
    return others


def _linestrings(
    corners: Corners, corner: Int64[np.ndarray, " place"], lengths: Int64[np.ndarray, " line"]
) -> Shaped[np.ndarray, " line"]:
    """Return lines of lattice points."""
    places = np.stack([corners.x[corner], corners.y[corner]], axis=1).astype(np.float64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.asarray(shapely.from_ragged_array(shapely.GeometryType.LINESTRING, places, (offsets,)))


def _key(x: Shaped[np.ndarray, " place"], y: Shaped[np.ndarray, " place"]) -> Int64[np.ndarray, " place"]:
    """Return one number for each lattice point, which rises in raster order."""
    return y.astype(np.int64) << 32 | x.astype(np.int64)
