"""Geometries as they are needed for burning: valid, flat, in the grid's coordinate reference system, widened in metres.

An edge that is straight in one coordinate reference system is a curve in another; edges get further vertices where they
would otherwise leave that curve by more than a tenth of a pixel.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyproj
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped
from pyproj.exceptions import ProjError

from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid

__all__ = ["Cleaned", "Geometries", "area_m2", "clean", "crs_of", "reproject", "same_crs", "tolerance_of", "widen"]

Geometries = Shaped[np.ndarray, " shape"]
"""An array of shapely geometries."""

TOLERANCE = 0.1
"""Largest distance in pixels between a reprojected edge and the curve that it stands for."""
ROUNDS = 4
"""Times that edges are divided; each round measures what the one before has left."""
MOST_PIECES = 4096
"""Pieces that one round makes of the longest edge, so that no shape grows without bound."""
EARTH_RADIUS_M = 6_371_000.0
"""Radius of the sphere that areas in degrees are computed on."""
CIRCLE_SEGMENTS = 16
"""Edges of a quarter circle where a line or point is widened: it errs by 0.5 % of half the width."""

Project = Callable[[Float64[np.ndarray, "point 2"]], Float64[np.ndarray, "point 2"]]


class Cleaned(NamedTuple):
    """Geometries that can be burned.

    Attributes:
        geometries: Valid, not empty, of two dimensions, and none of them a collection.
        rows: Row of the input that each comes from; a collection gives several.
        skipped: Rows without a geometry or with an empty one.
        repaired: Rows whose geometry was invalid.
    """

    geometries: Geometries
    rows: Int64[np.ndarray, " shape"]
    skipped: int
    repaired: int


def clean(geometries: Geometries) -> Cleaned:
    """Leave out what is missing or empty, repair what is invalid, and take collections apart.

    A repaired polygon stays an area: lines and points that its repair leaves over are dropped.
    """
    present = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    rows = np.flatnonzero(present)
    kept = shapely.force_2d(geometries[present])
    finite = np.isfinite(shapely.bounds(kept)).all(axis=1) if len(kept) else np.zeros(0, dtype=bool)
    kept, rows = kept[finite], rows[finite]
    kept, rows = _apart(kept, rows)
    invalid: Bool[np.ndarray, " shape"] = ~shapely.is_valid(kept)
    repaired = len(np.unique(rows[invalid]))
    if invalid.any():
        dimensions = shapely.get_dimensions(kept)
        kept[invalid] = shapely.make_valid(kept[invalid])
        # Repair may turn a polygon into a collection of areas and lines; only what has its dimension remains.
        parts, owner = _apart(kept, np.arange(len(kept)))
        right = (shapely.get_dimensions(parts) == dimensions[owner]) & ~shapely.is_empty(parts)
        kept, rows = parts[right], rows[owner[right]]
    return Cleaned(kept, rows, skipped=len(geometries) - len(np.unique(rows)), repaired=repaired)


def _apart(
    geometries: Geometries, rows: Int64[np.ndarray, " shape"]
) -> tuple[Shaped[np.ndarray, " part"], Int64[np.ndarray, " part"]]:
    """Take collections apart, nested ones too; everything else stays as it is."""
    while (mixed := shapely.get_type_id(geometries) == shapely.GeometryType.GEOMETRYCOLLECTION).any():
        counts = np.where(mixed, shapely.get_num_geometries(geometries), 1)
        begins = np.repeat(np.cumsum(counts) - counts, counts)
        owner = np.repeat(np.arange(len(geometries)), counts)
        number = np.arange(len(owner)) - begins
        whole = geometries[owner]
        geometries = np.where(mixed[owner], shapely.get_geometry(whole, number), whole)
        rows = rows[owner]
    return geometries, rows


def crs_of(grid: Grid) -> pyproj.CRS:
    """Return a grid's coordinate reference system.

    Raises:
        DataError: It has none.
    """
    if grid.crs is None:
        raise DataError("the image has no coordinate reference system, so that shapes have no place on it.")
    return pyproj.CRS.from_user_input(grid.crs.to_wkt())


def same_crs(here: pyproj.CRS, there: pyproj.CRS) -> bool:
    """Return whether coordinates (x, y) mean the same place; the order of axes on paper does not matter."""
    return bool(here.equals(there, ignore_axis_order=True))


def tolerance_of(grid: Grid) -> float:
    """Return a tenth of a pixel in the units of the grid's coordinate reference system."""
    return TOLERANCE * min(grid.resolution)


def reproject(geometries: Geometries, here: pyproj.CRS, there: pyproj.CRS, *, tolerance: float) -> Geometries:
    """Bring geometries into another coordinate reference system.

    Args:
        geometries: Valid ones.
        here: Their own system.
        there: The wanted one.
        tolerance: Largest distance between an edge and the curve that it stands for, in units of `there`.

    Returns:
        As many geometries; one that has no place in `there` is empty.

    Raises:
        DataError: Nothing leads from one system to the other.
    """
    if not len(geometries) or same_crs(here, there):
        return geometries
    project = _projection(here, there)
    moved: Geometries = shapely.transform(_densified(geometries, project, tolerance), project)
    lost = ~np.isfinite(shapely.get_coordinates(moved)).all(axis=1)
    if lost.any():
        _, owner = shapely.get_coordinates(moved, return_index=True)
        moved[np.unique(owner[lost])] = shapely.Point()
    return moved


def _projection(here: pyproj.CRS, there: pyproj.CRS) -> Project:
    try:
        transformer = pyproj.Transformer.from_crs(here, there, always_xy=True)
    except ProjError as error:
        raise DataError(f"nothing leads from {here.name} to {there.name}: {error}.") from error

    def project(points: Float64[np.ndarray, "point 2"]) -> Float64[np.ndarray, "point 2"]:
        return np.stack(transformer.transform(points[:, 0], points[:, 1]), axis=1)

    return project


def _densified(geometries: Geometries, project: Project, tolerance: float) -> Geometries:
    """Divide edges until the middle of none lies further than `tolerance` from its projected chord."""
    dense = geometries.copy()
    left = np.arange(len(dense))
    for _ in range(ROUNDS):
        lines, owner = _outlines(dense[left])
        points, line = shapely.get_coordinates(lines, return_index=True)
        if not len(points):
            break
        inner = np.flatnonzero(line[1:] == line[:-1])
        begin, end = points[inner], points[inner + 1]
        along = project(points)
        off = project((begin + end) / 2) - (along[inner] + along[inner + 1]) / 2
        error = np.hypot(off[:, 0], off[:, 1])
        error[~np.isfinite(error)] = 0.0
        shape = owner[line[inner]]
        worst, longest = np.zeros(len(left)), np.zeros(len(left))
        np.maximum.at(worst, shape, error)
        np.maximum.at(longest, shape, np.hypot(*(end - begin).T))
        wide = worst > tolerance
        if not wide.any():
            break
        # The distance between chord and curve falls with the square of the length.
        pieces = np.minimum(np.ceil(np.sqrt(worst[wide] / tolerance)), MOST_PIECES)
        left = left[wide]
        dense[left] = shapely.segmentize(dense[left], longest[wide] / pieces)
    return dense


def _outlines(
    geometries: Geometries,
) -> tuple[Shaped[np.ndarray, " line"], Int64[np.ndarray, " line"]]:
    """Return rings and lines, and the geometry that each belongs to."""
    parts, owner = shapely.get_parts(geometries, return_index=True)
    rings, of_part = shapely.get_rings(parts, return_index=True)
    lines = shapely.get_dimensions(parts) == 1
    return np.concatenate([rings, parts[lines]]), np.concatenate([owner[of_part], owner[lines]])


def widen(geometries: Geometries, width_m: Float64[np.ndarray, " shape"], crs: pyproj.CRS, *, grid: Grid) -> Geometries:
    """Turn lines and points into areas.

    Widths are measured on a plane that touches the Earth in the middle of the grid (azimuthal equidistant), whatever
    units the grid counts in: 100 km from there they err by 0.004 %.

    Args:
        geometries: In the coordinate reference system of the grid.
        width_m: Whole width of each line, and diameter of each point, in metres; a geometry of width 0, or that is an
            area already, stays as it is.
        crs: That of the grid.
        grid: Of the image.

    Raises:
        DataError: The coordinate reference system has no place on the Earth.
    """
    chosen = (width_m > 0) & (shapely.get_dimensions(geometries) < 2)
    if not chosen.any():
        return geometries
    geographic = crs.geodetic_crs
    pixel = grid.resolution_m
    ellipsoid = None if geographic is None else geographic.ellipsoid
    if geographic is None or ellipsoid is None or pixel is None:
        raise DataError(f"width_m counts metres, but {crs.name} says no place on the Earth.")
    left, bottom, right, top = grid.bounds
    middle = _projection(crs, geographic)(np.array([[(left + right) / 2, (bottom + top) / 2]]))[0]
    # The grid's own ellipsoid, so that no change of datum creeps in.
    plane = pyproj.CRS.from_dict(
        {
            "proj": "aeqd",
            "lon_0": float(middle[0]),
            "lat_0": float(middle[1]),
            "a": ellipsoid.semi_major_metre,
            "b": ellipsoid.semi_minor_metre,
            "units": "m",
            "type": "crs",
        }
    )
    flat = reproject(geometries[chosen], crs, plane, tolerance=TOLERANCE * pixel)
    areas = shapely.buffer(flat, width_m[chosen] / 2, quad_segs=CIRCLE_SEGMENTS)
    wide = geometries.copy()
    wide[chosen] = reproject(areas, plane, crs, tolerance=tolerance_of(grid))
    return wide


def area_m2(geometries: Geometries, crs: pyproj.CRS) -> Float64[np.ndarray, " shape"]:
    """Return areas in square metres, good enough to say which shape is the smaller one; 0 for lines and points.

    Where coordinates are degrees, a shape counts as flat at the latitude of its middle, on a sphere of 6,371 km radius.
    """
    areas: Float64[np.ndarray, " shape"] = np.array(shapely.area(geometries), dtype=np.float64)
    if crs.is_geographic:
        bounds = shapely.bounds(geometries).reshape(-1, 4)
        shrink = np.cos(np.deg2rad((bounds[:, 1] + bounds[:, 3]) / 2))
        areas *= np.deg2rad(1.0) ** 2 * EARTH_RADIUS_M**2 * shrink
        return areas
    factor: float = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    areas *= factor**2
    return areas
