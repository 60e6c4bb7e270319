"""What pixels measure on the ground: square metres on the ellipsoid, whatever the grid counts in."""

import math

import numpy as np
import pyproj
from affine import Affine
from jaxtyping import Float64, Int, Shaped

from terrazzo.geo.grid import Grid

__all__ = ["GroundAreas"]

_LARGEST_ERROR = 1e-8
"""Relative error by which a pixel's area may differ between nodes."""
_FARTHEST = 64
"""Pixels between nodes at most."""
_SAMPLES = 9
"""Places along each axis at which the distance between nodes is tried."""

Table = Float64[np.ndarray, "row column"]


class GroundAreas:
    """Areas of runs of pixels.

    A pixel's area changes slowly over a map. It is computed at nodes some pixels apart, as close as it takes, and is
    taken as linear between them. At each node the corners of a cell are brought to longitude and latitude and from
    there to an equal-area plane, where it is a quadrilateral: exact for pixels along meridians and parallels. In an
    equal-area system all pixels come out alike.

    Source: Snyder, Map projections: a working manual, 1987, equation 3-12 (authalic latitude).

    Args:
        grid: Of the map. Without a coordinate reference system all areas are NaN; in one without a place on the Earth
            they are plain products of its units.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._flat: float | None = math.nan
        if grid.crs is None:
            return
        crs = pyproj.CRS.from_user_input(grid.crs.to_wkt())
        geodetic, ellipsoid = crs.geodetic_crs, crs.ellipsoid
        if geodetic is None or ellipsoid is None:
            unit: float = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
            self._flat = abs(grid.transform.determinant) * unit**2
            return
        self._flat = None
        self._radians = geodetic.axis_info[0].unit_conversion_factor
        self._to_degrees = pyproj.Transformer.from_crs(crs, geodetic, always_xy=True)
        self._radius = ellipsoid.semi_major_metre
        self._eccentricity = math.sqrt(max(1 - (ellipsoid.semi_minor_metre / ellipsoid.semi_major_metre) ** 2, 0.0))
        self._step = self._fitting_step()

    def of_runs(
        self, y: Int[np.ndarray, " run"], begin: Int[np.ndarray, " run"], end: Int[np.ndarray, " run"]
    ) -> Float64[np.ndarray, " run"]:
        """Return the square metres of pixels `begin` to `end` (not included) of rows `y`; NaN where not known."""
        if self._flat is not None or not len(y):
            return np.asarray((end - begin) * np.float64(self._flat or 0.0))
        step = self._step
        first = int(y.min()) // step
        rows = np.arange(first, int(y.max()) // step + 2) * step
        columns = np.arange(self._grid.width // step + 2) * step
        nodes = self._pixel_areas(rows, columns)
        unknown = np.isnan(nodes)
        above, weight = y // step - first, (y % step) / step
        found = _between(_Sums(np.where(unknown, 0.0, nodes), step), above, weight, begin, end)
        if unknown.any():
            # What lies beyond the projection would spoil the sums of all that is to its right.
            found[_between(_Sums(unknown.astype(np.float64), step), above, weight, begin, end) > 0] = np.nan
        return found

    def _fitting_step(self) -> int:
        """Halve the distance between nodes until pixels between them come out right, or every pixel is a node."""
        step = _FARTHEST
        while step > 1:
            rows = np.linspace(0, max(self._grid.height // step, 0), _SAMPLES).astype(np.int64) * step
            columns = np.linspace(0, max(self._grid.width // step, 0), _SAMPLES).astype(np.int64) * step
            corners = [self._areas(rows + y, columns + x, step / 8) for y in (0, step) for x in (0, step)]
            middle = self._areas(rows + step // 2, columns + step // 2, 0.5)
            if (np.abs(sum(corners) / 4 - middle) <= _LARGEST_ERROR * middle).all():
                break
            step //= 2
        return step

    def _pixel_areas(self, rows: Int[np.ndarray, " row"], columns: Int[np.ndarray, " column"]) -> Table:
        return self._areas(rows, columns, 0.5 if self._step == 1 else self._step / 8)

    def _areas(self, rows: Int[np.ndarray, " row"], columns: Int[np.ndarray, " column"], reach: float) -> Table:
        """Return pixels' areas, each as the mean over a cell that reaches so far around its middle."""
        y, x = (axis.astype(np.float64) + 0.5 for axis in np.meshgrid(rows, columns, indexing="ij"))
        signs = ((-1, -1), (-1, 1), (1, 1), (1, -1))
        corners = [self._on_plane(y + down * reach, x + right * reach) for down, right in signs]
        around = 360.0 * math.radians(1)
        across = [(corner[0] - corners[0][0] + around / 2) % around - around / 2 for corner in corners]
        along = [corner[1] - corners[0][1] for corner in corners]
        # A quadrilateral's area is half the cross product of its diagonals.
        twice = (across[2] - across[0]) * (along[3] - along[1]) - (across[3] - across[1]) * (along[2] - along[0])
        return np.asarray(np.abs(twice) / 2 * self._radius**2 / (2 * reach) ** 2)

    def _on_plane(self, y: Table, x: Table) -> tuple[Table, Table]:
        """Return longitude in radians and half of q: their plane has the ellipsoid's areas in squared radii."""
        across, along = _applied(self._grid.transform, y, x)
        longitude, latitude = self._to_degrees.transform(across, along)
        longitude, latitude = np.asarray(longitude), np.asarray(latitude)
        outside = ~(np.isfinite(longitude) & np.isfinite(latitude))
        sine = np.sin(np.where(outside, np.nan, latitude) * self._radians)
        longitude = np.where(outside, np.nan, longitude) * self._radians
        e = self._eccentricity
        if e == 0:
            return longitude, sine
        q = (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
        return longitude, q / 2


class _Sums:
    """Sums of pixels along rows of nodes.

    Args:
        areas: At nodes.
        step: Pixels between these.
    """

    def __init__(self, areas: Table, step: int) -> None:
        self._areas, self._step = areas, step
        self._slopes = np.diff(areas, axis=1, append=areas[:, -1:]) / step
        cells = step * areas + self._slopes * (step * (step - 1) / 2)
        self._before = np.concatenate([np.zeros((len(areas), 1)), np.cumsum(cells, axis=1)[:, :-1]], axis=1)

    def until(self, row: Int[np.ndarray, " run"], column: Int[np.ndarray, " run"]) -> Float64[np.ndarray, " run"]:
        """Return the sum of the pixels left of a column."""
        node, more = np.divmod(column, self._step)
        partly = more * self._areas[row, node] + self._slopes[row, node] * (more * (more - 1) / 2)
        return np.asarray(self._before[row, node] + np.where(more > 0, partly, 0.0))


def _between(
    sums: _Sums,
    above: Int[np.ndarray, " run"],
    weight: Float64[np.ndarray, " run"],
    begin: Int[np.ndarray, " run"],
    end: Int[np.ndarray, " run"],
) -> Float64[np.ndarray, " run"]:
    """Return the sums of runs between two rows of nodes."""
    upper = sums.until(above, end) - sums.until(above, begin)
    lower = sums.until(above + 1, end) - sums.until(above + 1, begin)
    return np.asarray((1 - weight) * upper + weight * lower)


def _applied(
    transform: Affine, y: Shaped[np.ndarray, "row column"], x: Shaped[np.ndarray, "row column"]
) -> tuple[Table, Table]:
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f
