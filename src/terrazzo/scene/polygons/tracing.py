"""Following the borders of areas through a map, band by band.

Each area's border is a set of rings with the area on the right of their steps. At a corner where four pixels meet
crosswise, a ring turns around its own pixel, unless the pixel opposite belongs to the same area: then it crosses to
that one. So no ring touches itself, and holes that meet in a point are holes of their own, as valid polygons need it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int32, Int64, Shaped

from terrazzo.scene.polygons.areas import BandAreas
from terrazzo.scene.polygons.chains import Chains, chains_of
from terrazzo.scene.polygons.corners import CROSS, DOWN, LEFT, RIGHT, UP, Corners, onwards
from terrazzo.scene.polygons.rings import NO_JOIN, Pieces
from terrazzo.scene.polygons.runs import Runs

__all__ = ["BorderTracer"]


@dataclass(frozen=True)
class _Steps:
    """Steps along edges, each with the area on its right.

    Attributes:
        corner: Corner that each leaves.
        direction: Direction in which it does.
        area: The area.
        number: Position of each possible step, 4 a corner, among these; -1 where it goes around no wanted area.
    """

    corner: Int64[np.ndarray, " step"]
    direction: Int64[np.ndarray, " step"]
    area: Int64[np.ndarray, " step"]
    number: Int64[np.ndarray, " possible"]


@dataclass(frozen=True)
class _Arrivals:
    """Steps as they reach a corner of the band.

    Attributes:
        corner: The corner.
        edge: The edge there by which each arrives.
        step: The step; -1 where it comes from another band.
        join: Join that a piece from another band begins with; none for steps of this band.
    """

    corner: Int64[np.ndarray, " arrival"]
    edge: Int64[np.ndarray, " arrival"]
    step: Int64[np.ndarray, " arrival"]
    join: Int64[np.ndarray, " arrival"]


class BorderTracer:
    """Makes pieces of rings of one band after the other.

    Args:
        width: Pixels of a row.
    """

    def __init__(self, width: int) -> None:
        self._next_join = 0
        # Of each column's edge that leaves the band: the join of the step down, and of the step up.
        self._down = np.full(width + 1, NO_JOIN, dtype=np.int64)
        self._up = np.full(width + 1, NO_JOIN, dtype=np.int64)

    def trace(
        self,
        values: Shaped[np.ndarray, "y x"],
        corners: Corners,
        runs: Runs,
        areas: BandAreas,
        *,
        wanted: Bool[np.ndarray, " area"],
        dropped: Bool[np.ndarray, " corner"],
        top: int,
    ) -> Pieces:
        """Return the pieces of a band.

        Args:
            values: The row before the band and the band's, with a column of what lies outside on both sides.
            corners: Of these.
            runs: Of these.
            areas: Of these.
            wanted: Areas whose borders are followed.
            dropped: Corners that are left out of the rings.
            top: First row of the band in the map.
        """
        steps = _steps(corners, runs, areas, wanted)
        start = np.full(len(steps.corner), NO_JOIN, dtype=np.int64)
        end = np.full(len(steps.corner), NO_JOIN, dtype=np.int64)
        successors = np.full(len(steps.corner), -1, dtype=np.int64)
        reached = corners.neighbours[steps.corner, steps.direction].astype(np.int64)
        arrivals = self._arrivals(corners, steps, reached, end)
        direction, undecided = _directions(arrivals, values, corners, runs, areas)
        onto = steps.number[4 * arrivals.corner + direction]
        # A step onto nothing goes around an area that is not wanted.
        undecided &= onto >= 0
        join = 4 * (self._next_join + 2 * arrivals.corner + (arrivals.edge & 1)) + 2 + (arrivals.edge >> 1)
        self._next_join += 2 * len(corners)
        inner = arrivals.step >= 0
        start[onto[undecided]] = join[undecided]
        end[arrivals.step[undecided & inner]] = join[undecided & inner]
        passing = ~undecided & inner
        successors[arrivals.step[passing]] = onto[passing]
        entering = ~undecided & ~inner & (onto >= 0)
        start[onto[entering]] = arrivals.join[entering]
        # From another band straight to an undecided crossing: a piece without a point.
        empty = undecided & ~inner
        face = steps.area[onto[empty]]
        chains = chains_of(successors)
        points, counts = _points(chains, corners.y[steps.corner] + top, corners.x[steps.corner], dropped[steps.corner])
        signed = _signed(corners, steps, reached, top)
        nothing = np.zeros(len(face), dtype=np.int64)
        return Pieces(
            np.concatenate([start[chains.heads], arrivals.join[empty]]),
            np.concatenate([end[chains.tails], join[empty]]),
            np.concatenate([steps.area[chains.heads], face]),
            np.concatenate([_chain_sums(signed, chains), nothing]),
            np.concatenate([counts, nothing]),
            points,
        )

    def _arrivals(
        self,
        corners: Corners,
        steps: _Steps,
        reached: Int64[np.ndarray, " step"],
        end: Int64[np.ndarray, " step"],
    ) -> _Arrivals:
        """Return the steps as they reach corners of the band; write down the joins of those that leave it."""
        inner = np.flatnonzero(reached >= 0)
        column = corners.x[steps.corner]
        upwards = np.flatnonzero((reached < 0) & (steps.direction == UP))
        end[upwards] = self._up[column[upwards]]
        above, below = corners.leaves(UP), corners.leaves(DOWN)
        from_above = self._down[corners.x[above]]
        new = 4 * (self._next_join + np.arange(len(below)))
        self._next_join += len(below)
        # Where a column's edge passes the whole band, its joins stay as they are.
        self._down[corners.x[below]] = new
        self._up[corners.x[below]] = new + 1
        downwards = np.flatnonzero((reached < 0) & (steps.direction == DOWN))
        end[downwards] = self._down[column[downwards]]
        return _Arrivals(
            np.concatenate([reached[inner], above, below]),
            np.concatenate([(steps.direction[inner] + 2) % 4, np.full(len(above), UP), np.full(len(below), DOWN)]),
            np.concatenate([inner, np.full(len(above) + len(below), -1)]),
            np.concatenate([np.full(len(inner), NO_JOIN), from_above, new + 1]),
        )


def _quadrants(
    corners: Corners, corner: Int64[np.ndarray, " one"], direction: Int64[np.ndarray, " one"], width: int
) -> Int64[np.ndarray, " one"]:
    """Return the flat position of the pixel clockwise from a direction at a corner."""
    shifts = np.array([width + 1, width, 0, 1])
    upper_left: Int64[np.ndarray, " corner"] = corners.y.astype(np.int64) * width + corners.x
    return np.asarray(upper_left[corner] + shifts[direction])


def _steps(corners: Corners, runs: Runs, areas: BandAreas, wanted: Bool[np.ndarray, " area"]) -> _Steps:
    """Return the steps around wanted areas."""
    present = (corners.edges[:, None] >> np.arange(4, dtype=np.uint8) & 1).astype(bool)
    possible = np.flatnonzero(present)
    corner, direction = possible >> 2, possible & 3
    area = areas.of_run[runs.numbers.ravel()[_quadrants(corners, corner, direction, runs.numbers.shape[1])]]
    kept = wanted[area]
    number = np.full(present.size, -1, dtype=np.int64)
    number[possible[kept]] = np.arange(int(kept.sum()))
    return _Steps(corner[kept], direction[kept], area[kept], number)


def _directions(
    arrivals: _Arrivals, values: Shaped[np.ndarray, "y x"], corners: Corners, runs: Runs, areas: BandAreas
) -> tuple[Int64[np.ndarray, " arrival"], Bool[np.ndarray, " arrival"]]:
    """Return in which direction each arrival goes on, and where that is not known yet."""
    edges = corners.edges[arrivals.corner]
    direction = onwards(edges, arrivals.edge.astype(np.uint8)).astype(np.int64)
    undecided = np.zeros(len(direction), dtype=bool)
    cross = np.flatnonzero(edges == CROSS)
    corner, edge, width = arrivals.corner[cross], arrivals.edge[cross], values.shape[1]
    own = _quadrants(corners, corner, (edge + 3) % 4, width)
    opposite = _quadrants(corners, corner, (edge + 1) % 4, width)
    numbers = runs.numbers.ravel()
    one, other = areas.of_run[numbers[own]], areas.of_run[numbers[opposite]]
    direction[cross] = np.where(one == other, (edge + 1) % 4, direction[cross])
    alike = values.ravel()[own] == values.ravel()[opposite]
    still_open = (areas.still_open[one] >= 0) & (areas.still_open[other] >= 0)
    undecided[cross] = alike & still_open & (one != other)
    return direction, undecided


def _signed(
    corners: Corners, steps: _Steps, reached: Int64[np.ndarray, " step"], top: int
) -> Int64[np.ndarray, " step"]:
    """Return each step's share in the area of its ring: Green's theorem leaves horizontal edges only."""
    level = np.flatnonzero((steps.direction == RIGHT) | (steps.direction == LEFT))
    corner = steps.corner[level]
    signed = np.zeros(len(steps.corner), dtype=np.int64)
    to_the_left = corners.x[corner].astype(np.int64) - corners.x[reached[level]]
    signed[level] = to_the_left * (corners.y[corner].astype(np.int64) + top)
    return signed


def _chain_sums(amounts: Int64[np.ndarray, " step"], chains: Chains) -> Int64[np.ndarray, " chain"]:
    """Add up by chain."""
    if not len(chains):
        return np.zeros(0, dtype=np.int64)
    return np.add.reduceat(amounts[chains.order], chains.begins[:-1])


def _points(
    chains: Chains, y: Int[np.ndarray, " step"], x: Int[np.ndarray, " step"], dropped: Bool[np.ndarray, " step"]
) -> tuple[Int32[np.ndarray, "point 2"], Int64[np.ndarray, " chain"]]:
    """Return the corners that steps leave, chain by chain, without those that are dropped."""
    kept = ~dropped
    order = chains.order[kept[chains.order]]
    return np.stack([y[order], x[order]], axis=1).astype(np.int32), _chain_sums(kept.astype(np.int64), chains)
