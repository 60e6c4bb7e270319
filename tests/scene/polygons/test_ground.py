"""Areas on the ellipsoid, against geodesic polygons."""

import math

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from terrazzo.geo.grid import Grid
from terrazzo.scene.polygons.ground import GroundAreas

UTM = Affine(10, 0, 700_000, 0, -10, 5_600_000)


def geodesic(grid: Grid, y: int, begin: int, end: int) -> float:
    """Return the area of a run by Karney's algorithm; its sides are divided, since they are no geodesics."""
    crs = pyproj.CRS.from_user_input(grid.crs.to_wkt())
    outline = shapely.get_coordinates(shapely.segmentize(shapely.box(begin, y, end, y + 1), 0.25))
    to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    x, y_ = grid.transform @ (outline[:, 0], outline[:, 1])
    unit = math.degrees(crs.geodetic_crs.axis_info[0].unit_conversion_factor)
    longitude, latitude = to_degrees.transform(x, y_)
    return abs(crs.get_geod().polygon_area_perimeter(np.array(longitude) * unit, np.array(latitude) * unit)[0])


@pytest.mark.parametrize(
    ("code", "transform"),
    [
        (32633, UTM),
        (4326, Affine(1e-3, 0, 10, 0, -1e-3, 50)),
        (4326, Affine(0.5, 0, -180, 0, -0.5, 80)),
        (4326, Affine(0.01, 0, 179, 0, -0.01, 50)),
        (3857, Affine(100, 0, 1e6, 0, -100, 8e6)),
        (3035, Affine(100, 10, 4e6, 20, -100, 3e6)),
        (27561, Affine(100, 0, 6e5, 0, -100, 2e5)),
    ],
    ids=["utm", "degrees", "half degrees", "antimeridian", "web mercator", "turned equal-area", "grads"],
)
def test_runs_have_the_area_of_geodesic_polygons(code: int, transform: Affine) -> None:
    grid = Grid(CRS.from_epsg(code), transform, 170, 350)
    y, begin, end = np.array([0, 97, 169]), np.array([0, 3, 40]), np.array([1, 77, 350])
    expected = [geodesic(grid, *run) for run in zip(y.tolist(), begin.tolist(), end.tolist(), strict=True)]
    np.testing.assert_allclose(GroundAreas(grid).of_runs(y, begin, end), expected, rtol=1e-6)


def test_an_equal_area_system_needs_no_correction() -> None:
    grid = Grid(CRS.from_epsg(3035), Affine(10, 0, 4e6, 0, -10, 3e6), 500, 500)
    areas = GroundAreas(grid).of_runs(np.array([0, 499]), np.array([0, 0]), np.array([500, 3]))
    np.testing.assert_allclose(areas, [50_000, 300], rtol=1e-8)


def test_areas_add_up_however_runs_are_cut() -> None:
    ground = GroundAreas(Grid(CRS.from_epsg(32633), UTM, 300, 300))
    whole = ground.of_runs(np.array([130]), np.array([0]), np.array([300]))
    cuts = np.arange(0, 301, 7).clip(max=300)
    parts = ground.of_runs(np.full(len(cuts) - 1, 130), cuts[:-1], cuts[1:])
    rest = ground.of_runs(np.array([130]), cuts[-1:], np.array([300]))
    np.testing.assert_allclose(parts.sum() + rest.sum(), whole, rtol=1e-12)


def test_without_a_place_on_the_earth() -> None:
    run = np.array([2]), np.array([1]), np.array([5])
    assert np.isnan(GroundAreas(Grid(None, UTM, 10, 10)).of_runs(*run)).all()
    feet = 'LOCAL_CS["site",UNIT["foot",0.3048],AXIS["X",EAST],AXIS["Y",NORTH]]'
    local = GroundAreas(Grid(CRS.from_wkt(feet), Affine(2, 0, 0, 0, -2, 0), 10, 10)).of_runs(*run)
    np.testing.assert_allclose(local, 4 * 4 * 0.3048**2)


def test_beyond_the_projection_nothing_is_known() -> None:
    # An orthographic view of the Earth: the corners of the square lie in space.
    seen = CRS.from_proj4("+proj=ortho +lat_0=0 +lon_0=0 +a=6371000 +b=6371000")
    ground = GroundAreas(Grid(seen, Affine(1e6, 0, -7e6, 0, -1e6, 7e6), 14, 14))
    outside, inside = ground.of_runs(np.array([0, 7]), np.array([0, 7]), np.array([1, 8]))
    assert np.isnan(outside)
    # Within 1000 km of the middle the view shrinks areas by at most 1.3 %.
    assert 1e12 < inside < 1.013e12
