"""Ground under a pixel: against polygons on the ellipsoid, in many projections."""

import numpy as np
import pyproj
import pytest
from affine import Affine
from rasterio.crs import CRS

from terrazzo.geo.grid import Grid
from terrazzo.scene.pixel_area import row_areas

PLACES = {32612: (-112.5, 37.0), 2263: (-74.0, 40.7), 3857: (10.0, 60.0), 6933: (10.0, 50.0), 2953: (-66.5, 46.0)}


def polygon_area(grid: Grid, top: int, bottom: int) -> float:
    """Return the area of rows as a polygon on the ellipsoid, with points along its edges."""
    crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
    to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    along = np.linspace(0, grid.width, 200)
    down = np.linspace(top, bottom, 200)
    columns = np.concatenate([along, np.full(200, grid.width), along[::-1], np.zeros(200)])
    rows = np.concatenate([np.full(200, top), down, np.full(200, bottom), down[::-1]])
    longitude, latitude = to_degrees.transform(*(grid.transform @ (columns, rows)))
    area, _ = crs.get_geod().polygon_area_perimeter(longitude, latitude)
    return abs(area)


@pytest.mark.parametrize("code", PLACES)
def test_projected_grids_agree_with_polygons(code: int) -> None:
    crs = pyproj.CRS.from_epsg(code)
    to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    x, y = to_degrees.transform(*PLACES[code], direction="INVERSE")
    side = 10 / crs.axis_info[0].unit_conversion_factor
    grid = Grid(CRS.from_epsg(code), Affine(side, 0, x, 0, -side, y), 2000, 1500)
    areas = row_areas(grid)
    assert areas is not None
    assert areas.shape == (2000,)
    for top, bottom in ((0, 2000), (0, 100), (1900, 2000)):
        assert areas[top:bottom].sum() * 1500 == pytest.approx(polygon_area(grid, top, bottom), rel=2e-5)


def test_degrees_shrink_towards_the_pole() -> None:
    grid = Grid(CRS.from_epsg(4326), Affine(0.01, 0, 5, 0, -0.01, 80), 4000, 300)
    areas = row_areas(grid)
    assert areas is not None
    for top, bottom in ((0, 4000), (0, 50), (3950, 4000)):
        assert areas[top:bottom].sum() * 300 == pytest.approx(polygon_area(grid, top, bottom), rel=2e-5)
    assert areas[0] < areas[-1] / 3


def test_small_pixels_and_turned_grids() -> None:
    turned = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(0.05, -0.05)
    areas = row_areas(Grid(CRS.from_epsg(32633), turned, 7, 1))
    assert areas is not None
    np.testing.assert_allclose(areas, 0.05**2 / 0.9996**2, rtol=1e-6)


def test_across_the_antimeridian() -> None:
    grid = Grid(CRS.from_epsg(32601), Affine(1000, 0, 200_000, 0, -1000, 1_000_000), 5, 40)
    areas = row_areas(grid)
    assert areas is not None
    np.testing.assert_allclose(areas, 1e6, rtol=4e-3)


@pytest.mark.parametrize("crs", [None, CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')])
def test_nothing_is_known_without_a_place_on_earth(crs: CRS | None) -> None:
    assert row_areas(Grid(crs, Affine.identity(), 3, 4)) is None
