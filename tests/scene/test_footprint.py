"""Outlines on the Earth: bent edges, the antimeridian, a pole, control points, sensor models."""

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.warp import transform
from shapely.geometry import shape

from terrazzo.geo.grid import Grid
from terrazzo.scene.footprint import footprint
from terrazzo.scene.layer import NOWHERE, Georeference


def whole(grid: Grid, where: Georeference = NOWHERE) -> tuple[shapely.Geometry, tuple[float, float, float, float]]:
    found = footprint(grid, where)
    assert found is not None
    geometry = shape(found.geometry)
    assert geometry.is_valid
    for piece in shapely.get_parts(geometry):
        assert piece.exterior.is_ccw
        assert min(piece.bounds[0], piece.bounds[1] + 90) >= -180
        assert piece.bounds[2] <= 180
    return geometry, found.box


def test_a_rectangle_of_degrees_is_itself() -> None:
    geometry, box = whole(Grid(CRS.from_epsg(4326), Affine(0.1, 0, 5, 0, -0.1, 50), 10, 20))
    assert box == (5, 49, 7, 50)
    assert geometry.equals(shapely.box(5, 49, 7, 50))


def test_a_grid_whose_rows_go_north_and_a_turned_one() -> None:
    geometry, box = whole(Grid(CRS.from_epsg(4326), Affine(0.1, 0, 5, 0, 0.1, 50), 10, 20))
    assert box == (5, 50, 7, 51)
    turned = Affine.translation(5, 50) @ Affine.rotation(45) @ Affine.scale(0.1, -0.1)
    geometry, box = whole(Grid(CRS.from_epsg(4326), turned, 10, 10))
    assert geometry.area == pytest.approx(1)
    assert box == pytest.approx((5, 50 - 0.5**0.5, 5 + 2**0.5, 50 + 0.5**0.5))


def test_edges_are_bent_where_the_system_bends_them() -> None:
    grid = Grid(CRS.from_epsg(3035), Affine(1000, 0, 3_000_000, 0, -1000, 4_000_000), 2000, 2000)
    geometry, box = whole(grid)
    points = np.random.default_rng(0).uniform(0, 2000, (300, 2))
    xs, ys = 3_000_000 + 1000 * points[:, 0], 4_000_000 - 1000 * points[:, 1]
    longitude, latitude = transform(grid.crs, CRS.from_epsg(4326), xs.tolist(), ys.tolist())
    inside = shapely.contains_xy(geometry.buffer(0.05), longitude, latitude)
    assert inside.all()
    corners = shapely.Polygon(
        np.column_stack(transform(grid.crs, CRS.from_epsg(4326), *np.array(
            [(3e6, 4e6), (5e6, 4e6), (5e6, 2e6), (3e6, 2e6)]).T.tolist()))
    )  # fmt: skip
    assert not shapely.contains_xy(corners.buffer(0.05), longitude, latitude).all(), "corners alone would do"
    assert box[0] <= min(longitude)
    assert box[3] >= max(latitude)


def test_what_crosses_the_antimeridian_is_cut_there() -> None:
    geometry, box = whole(Grid(CRS.from_epsg(32601), Affine(1000, 0, 166_000 - 50_000, 0, -1000, 100_000), 100, 100))
    assert geometry.geom_type == "MultiPolygon"
    assert box[0] > 179
    assert box[2] < -179
    assert geometry.area < 1.1
    # A grid that counts on beyond 180 is the same place.
    geometry, box = whole(Grid(CRS.from_epsg(4326), Affine(0.1, 0, 179, 0, -0.1, 50), 10, 20))
    assert box == (179, 49, -179, 50)
    assert geometry.area == pytest.approx(2)


def test_a_grid_that_ends_at_the_antimeridian_does_not_cross_it() -> None:
    geometry, box = whole(Grid(CRS.from_epsg(4326), Affine(0.1, 0, 178, 0, -0.1, 50), 10, 20))
    assert (geometry.geom_type, box) == ("Polygon", (178, 49, 180, 50))
    geometry, box = whole(Grid(CRS.from_epsg(4326), Affine(0.1, 0, -180, 0, -0.1, 50), 10, 20))
    assert (geometry.geom_type, box) == ("Polygon", (-180, 49, -178, 50))


def test_the_whole_earth() -> None:
    geometry, box = whole(Grid(CRS.from_epsg(4326), Affine(1, 0, -180, 0, -1, 90), 180, 360))
    assert box == (-180, -90, 180, 90)
    assert geometry.area == pytest.approx(360 * 180)


@pytest.mark.parametrize(("code", "north"), [(3413, True), (3031, False)])
def test_a_pole_lies_inside(code: int, north: bool) -> None:
    geometry, box = whole(Grid(CRS.from_epsg(code), Affine(1e4, 0, -1e6, 0, -1e4, 1e6), 200, 200))
    assert (box[0], box[2]) == (-180, 180)
    assert (box[3] if north else box[1]) == (90 if north else -90)
    assert shapely.contains_xy(geometry, [0, 90, -135], [85 if north else -85] * 3).all()
    assert not shapely.contains_xy(geometry, 0, 0)


def test_control_points_and_sensor_models() -> None:
    bare = Grid(None, Affine.identity(), 10, 20)
    points = tuple(
        GroundControlPoint(row, column, 5 + column / 10, 50 - row / 10, 0) for row in (0, 10) for column in (0, 20)
    )
    geometry, box = whole(bare, Georeference(points, CRS.from_epsg(4326), None, present=True))
    assert box == pytest.approx((5, 49, 7, 50), abs=1e-6)
    assert geometry.area == pytest.approx(2, rel=1e-5)
    linear = [0.0] * 18
    rpcs = RPC(
        height_off=0, height_scale=100, lat_off=49.5, lat_scale=0.5, long_off=6, long_scale=1,
        line_off=5, line_scale=5, samp_off=10, samp_scale=10,
        line_num_coeff=[0.0, 0.0, -1.0, *linear[:17]], line_den_coeff=[1.0, *linear, 0.0],
        samp_num_coeff=[0.0, 1.0, *linear], samp_den_coeff=[1.0, *linear, 0.0], err_bias=0.0, err_rand=0.0,
    )  # fmt: skip
    geometry, box = whole(bare, Georeference((), None, rpcs, present=True))
    assert box == pytest.approx((5, 49, 7, 50), abs=0.11)


def test_nowhere() -> None:
    assert footprint(Grid(None, Affine.identity(), 10, 20), NOWHERE) is None
    # The disc of a weather satellite: the corners lie beside the Earth.
    disc = CRS.from_proj4("+proj=geos +h=35785831 +lon_0=0 +datum=WGS84")
    assert footprint(Grid(disc, Affine(5e4, 0, -6e6, 0, -5e4, 6e6), 240, 240), NOWHERE) is None
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    assert footprint(Grid(local, Affine(1, 0, 0, 0, -1, 0), 10, 20), NOWHERE) is None
