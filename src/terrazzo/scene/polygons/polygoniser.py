"""From rows of a class map to the polygons of its areas, each as soon as it can no longer grow."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from terrazzo.geo.grid import Grid
from terrazzo.scene.polygons.areas import BandAreas, follow_areas, no_areas
from terrazzo.scene.polygons.assembly import Polygons, polygons_of
from terrazzo.scene.polygons.bands import BandLimits, BandRows
from terrazzo.scene.polygons.corners import Corners, corners_of
from terrazzo.scene.polygons.ground import GroundAreas
from terrazzo.scene.polygons.open_rings import OpenRings
from terrazzo.scene.polygons.point_store import PointStore
from terrazzo.scene.polygons.runs import Runs, runs_of
from terrazzo.scene.polygons.simplification import needless_corners
from terrazzo.scene.polygons.tracing import BorderTracer

__all__ = ["Polygoniser"]


class Polygoniser:
    """Follows areas and their borders down a map.

    Args:
        grid: Where the map lies.
        wanted: For each value whether its areas become polygons.
        outside: Value that no pixel has.
        simplify: Pixels by which a border may be moved.
        folder: Where long open rings are kept.
        limits: What bounds memory.
    """

    def __init__(
        self,
        grid: Grid,
        wanted: Bool[np.ndarray, " value"],
        *,
        outside: int,
        simplify: float,
        folder: Path,
        limits: BandLimits,
    ) -> None:
        self._grid = grid
        self._wanted = wanted
        self._outside = outside
        self._simplify = simplify
        self._ground = GroundAreas(grid)
        pixels = limits.simplified_pixels if simplify else limits.pixels
        self._bands = BandRows(grid.width, pixels=pixels, limits=limits)
        self._tracer = BorderTracer(grid.width)
        self._store = PointStore(folder, memory_points=limits.memory_points)
        self._rings = OpenRings(self._store, most_parts=limits.parts)
        # Above the first row lies nothing: one run.
        self._open = no_areas(1)
        self._row_before: Shaped[np.ndarray, "one x"] | None = None
        self._top = 0

    @property
    def spilled_points(self) -> int:
        """Points of open rings that have gone to the disk."""
        return self._store.spilled_points

    def write(self, rows: Shaped[np.ndarray, "y x"]) -> list[Polygons]:
        """Take rows of classes and return the polygons of areas that they complete."""
        return [self._band(band) for band in self._bands.feed(rows)]

    def finish(self) -> list[Polygons]:
        """Return the polygons of all areas that are still open after the last row."""
        polygons = [self._band(band) for band in self._bands.finish()]
        # Below the last row lies nothing: it completes everything.
        if self._row_before is not None:
            polygons.append(self._traced(np.full_like(self._row_before, self._outside)))
        return polygons

    def close(self) -> None:
        """Give back memory and disk."""
        self._store.close()

    def _band(self, rows: Shaped[np.ndarray, "y x"]) -> Polygons:
        return self._traced(np.pad(rows, ((0, 0), (1, 1)), constant_values=self._outside))

    def _traced(self, rows: Shaped[np.ndarray, "y x"]) -> Polygons:
        """Follow areas through a band that has a column of what lies outside on both sides."""
        before = np.full_like(rows[:1], self._outside) if self._row_before is None else self._row_before
        values = np.concatenate([before, rows])
        self._row_before = rows[-1:].copy()
        runs = runs_of(values)
        areas = self._areas(values, runs)
        corners = corners_of(values)
        dropped = self._dropped(corners)
        wanted = self._wanted[areas.values]
        pieces = self._tracer.trace(values, corners, runs, areas, wanted=wanted, dropped=dropped, top=self._top)
        rings = self._rings.advance(pieces, areas.moved, areas.still_open)
        self._top += len(rows)
        return polygons_of(rings, areas, self._grid.transform)

    def _areas(self, values: Shaped[np.ndarray, "y x"], runs: Runs) -> BandAreas:
        width = self._grid.width
        first = len(self._open.of_run)
        y = runs.rows[first:] - 1 + self._top
        # Without the column on the left.
        begin = runs.begins[first:] % (width + 2) - 1
        end = begin + runs.lengths[first:]
        inside = values.ravel()[runs.begins[first:]] != self._outside
        square_metres = np.zeros(len(y))
        square_metres[inside] = self._ground.of_runs(y[inside], begin[inside], end[inside])
        areas = follow_areas(self._open, values, runs, top=self._top, square_metres=square_metres)
        self._open = areas.after
        return areas

    def _dropped(self, corners: Corners) -> Bool[np.ndarray, " corner"]:
        """Return the corners that are left out; those of the map itself stay."""
        if self._simplify == 0:
            return np.zeros(len(corners), dtype=bool)
        y = corners.y + self._top
        fixed = ((y == 0) | (y == self._grid.height)) & ((corners.x == 0) | (corners.x == self._grid.width))
        return needless_corners(corners, self._simplify, fixed=fixed)
