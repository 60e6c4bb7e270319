"""Areas inside polygons."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pydantic import ValidationError
from rasterio.crs import CRS
from shapely import LineString, Point, Polygon, box

from terrazzo.data.areas.area import AREAS
from terrazzo.data.areas.polygons import PolygonArea
from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid, Window

GRID = Grid(CRS.from_epsg(32633), Affine(1, 0, 500_000, 0, -1, 5_200_010), 10, 10)


def write(path, shapes, crs="EPSG:32633", **columns):
    gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs).to_file(path)
    return path


def rows(top, bottom):
    return box(500_000, 5_200_010 - bottom, 500_010, 5_200_010 - top)


def inside(area, grid=GRID):
    return np.flatnonzero(area.open(grid).inside(grid.whole)[:, 0]).tolist()


def test_an_area_survives_its_json_and_is_known_by_name(tmp_path):
    area = PolygonArea(vectors=(tmp_path / "a.gpkg",), field="split", values=("train",))
    assert AREAS.create(**area.model_dump(mode="json")) == area
    assert area.files == (tmp_path / "a.gpkg",)


@pytest.mark.parametrize("settings", [{"field": "a"}, {"values": ("b",)}, {"vectors": ()}])
def test_half_a_condition_is_refused(settings):
    with pytest.raises(ValidationError):
        PolygonArea(**{"vectors": ("a.gpkg",), **settings})


def test_polygons_of_several_files_chosen_by_a_field(tmp_path):
    one = write(tmp_path / "ä 1.gpkg", [rows(0, 2), rows(3, 4), None], kind=["x", "y", "x"])
    two = write(tmp_path / "2.geojson", [rows(8, 9), rows(5, 6)], kind=["x", "z"])
    assert inside(PolygonArea(vectors=(one, two), field="kind", values=("x", "z"))) == [0, 1, 5, 8]
    assert inside(PolygonArea(vectors=(one,))) == [0, 1, 3]
    with pytest.raises(DataError, match='no field "kid"'):
        PolygonArea(vectors=(one,), field="kid", values=("x",)).open(GRID)


def test_numbers_count_as_text(tmp_path):
    path = write(tmp_path / "a.gpkg", [rows(0, 1), rows(2, 3)], zone=[1.0, 2.0])
    assert inside(PolygonArea(vectors=(path,), field="zone", values=("2",))) == [2]


def test_lines_and_points_enclose_nothing(tmp_path):
    ring = LineString([(500_000, 5_200_000), (500_010, 5_200_000), (500_010, 5_200_010), (500_000, 5_200_000)])
    reader = PolygonArea(vectors=(write(tmp_path / "a.geojson", [ring, Point(500_001.5, 5_200_001.5)]),)).open(GRID)
    assert not reader.inside(GRID.whole).any()
    assert not reader.touches(GRID.whole)


def test_touching_follows_the_pixels(tmp_path):
    reader = PolygonArea(vectors=(write(tmp_path / "a.gpkg", [rows(2, 3)]),)).open(GRID)
    assert [reader.touches(Window(y, 3, 1, 1)) for y in range(5)] == [False, False, True, False, False]


def test_neighbours_share_no_pixel_and_leave_none(tmp_path):
    """Two halves along a slanting line in degrees: each pixel of a rotated image has exactly one of them."""
    grid = Grid(CRS.from_epsg(32633), Affine(0.8, 0.5, 500_000, 0.5, -0.8, 5_200_010), 300, 400)
    left = Polygon([(14.9, 46.9), (15.0021, 46.9), (15.0024, 47.0), (14.9, 47.0)])
    right = Polygon([(15.1, 46.9), (15.0021, 46.9), (15.0024, 47.0), (15.1, 47.0)])
    path = write(tmp_path / "a.gpkg", [left, right], crs="EPSG:4326", split=["train", "val"])
    parts = [
        PolygonArea(vectors=(path,), field="split", values=(role,)).open(grid).inside(grid.whole)
        for role in ("train", "val")
    ]
    assert parts[0].any()
    assert parts[1].any()
    assert np.array_equal(parts[0], ~parts[1])


def test_zion_in_its_own_datum(real_data):
    folder = real_data / "zion_landsat_nlcd"
    with rasterio.open(folder / "raster" / "landsat_b2.tif") as file:
        grid = Grid(file.crs, file.transform, file.height, file.width)
    shape = gpd.read_file(folder / "vector" / "zion.gpkg").geometry.iloc[0]
    reader = PolygonArea(vectors=(folder / "vector" / "zion.gpkg",)).open(grid)
    window = Window(400, 300, 256, 300)
    found = reader.inside(window)
    y, x = np.mgrid[400:656, 300:600] + 0.5
    easting, northing = grid.transform.c + 30 * x, grid.transform.f - 30 * y
    sure = shapely.distance(shapely.points(easting, northing), shape.boundary) > 0.01
    assert sure.mean() > 0.999
    assert np.array_equal(found[sure], shapely.contains_xy(shape, easting, northing)[sure])
    assert found.any()
