"""How much ground a pixel covers, on the ellipsoid, so that areas of classes are right in any map projection."""

import math
from dataclasses import dataclass

import numpy as np
import pyproj
from jaxtyping import Float64

from terrazzo.geo.grid import Grid

__all__ = ["row_areas"]

NODES = 513
"""Rows at which the area is computed at most; between them it is interpolated."""
REACH_M = 500.0
"""About half the distance over which a derivative is taken: far above what rounding does to a position."""


def row_areas(grid: Grid) -> Float64[np.ndarray, " y"] | None:
    """Return the square metres of ground under a pixel of each row; None where the grid's place on earth is unknown.

    Along a row the area hardly changes in any usual projection; the mean of its ends and its middle is taken, by
    Simpson's rule.

    Source: the area element of an ellipsoid of revolution, M N cos(latitude), with the radii of curvature of the
    meridian M = a (1 - e²) / (1 - e² sin²)^(3/2) and of the prime vertical N = a / (1 - e² sin²)^(1/2); Snyder 1987,
    "Map Projections: A Working Manual", equations 4-18 to 4-20.
    """
    if grid.crs is None:
        return None
    crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
    geodetic, geod = crs.geodetic_crs, crs.get_geod()
    if geodetic is None or geod is None or not (crs.is_geographic or crs.is_projected):
        return None
    ground = _Ground(
        grid, pyproj.Transformer.from_crs(crs, geodetic, always_xy=True), _radians(geodetic), geod.a, geod.es
    )
    rows = np.linspace(0.5, grid.height - 0.5, min(NODES, grid.height))
    parts = [ground.areas(rows, np.full_like(rows, column)) for column in (0.5, grid.width / 2, grid.width - 0.5)]
    nodes = (parts[0] + 4 * parts[1] + parts[2]) / 6
    # Where a corner of the grid lies beyond what the projection can show, nothing is known of the whole.
    if not np.isfinite(nodes).all():
        return None
    areas: Float64[np.ndarray, " y"] = np.interp(np.arange(grid.height) + 0.5, rows, nodes)
    return areas


@dataclass(frozen=True)
class _Ground:
    """From pixels to ground.

    Attributes:
        grid: The pixels.
        to_geodetic: From the grid's system to longitude and latitude.
        unit: Radians of one unit of these.
        axis: The ellipsoid's equatorial radius in metres.
        eccentricity: Its squared eccentricity.
    """

    grid: Grid
    to_geodetic: pyproj.Transformer
    unit: float
    axis: float
    eccentricity: float

    def areas(
        self, rows: Float64[np.ndarray, " place"], columns: Float64[np.ndarray, " place"]
    ) -> Float64[np.ndarray, " place"]:
        """Return the area of a pixel at some places, from how longitude and latitude change along rows and columns."""
        metres = self.grid.resolution_m
        step = 1.0 if metres is None else max(0.5, REACH_M / metres)
        longitude_down, latitude_down = self._change(rows, columns, step, 0.0)
        longitude_right, latitude_right = self._change(rows, columns, 0.0, step)
        turn = np.abs(longitude_right * latitude_down - longitude_down * latitude_right) / (2 * step) ** 2
        sine = np.sin(self._place(rows, columns)[1])
        curved = 1 - self.eccentricity * sine**2
        found: Float64[np.ndarray, " place"] = (
            turn * self.axis**2 * (1 - self.eccentricity) / curved**2 * np.sqrt(1 - sine**2)
        )
        return found

    def _change(
        self, rows: Float64[np.ndarray, " place"], columns: Float64[np.ndarray, " place"], down: float, right: float
    ) -> tuple[Float64[np.ndarray, " place"], Float64[np.ndarray, " place"]]:
        """Return how longitude and latitude differ between one side of each place and the other, in radians."""
        after, before = self._place(rows + down, columns + right), self._place(rows - down, columns - right)
        # Across the antimeridian longitudes jump by a whole turn.
        return (after[0] - before[0] + math.pi) % (2 * math.pi) - math.pi, after[1] - before[1]

    def _place(
        self, rows: Float64[np.ndarray, " place"], columns: Float64[np.ndarray, " place"]
    ) -> tuple[Float64[np.ndarray, " place"], Float64[np.ndarray, " place"]]:
        """Return longitude and latitude in radians."""
        way = self.grid.transform
        x, y = way.a * columns + way.b * rows + way.c, way.d * columns + way.e * rows + way.f
        longitude, latitude = self.to_geodetic.transform(x, y)
        return np.asarray(longitude) * self.unit, np.asarray(latitude) * self.unit


def _radians(geodetic: pyproj.CRS) -> float:
    """Return what longitudes and latitudes are multiplied by to become radians."""
    if not geodetic.axis_info:
        return math.radians(1)
    return float(geodetic.axis_info[0].unit_conversion_factor)
