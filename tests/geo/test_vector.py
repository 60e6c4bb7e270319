"""Shapes around a grid, in its coordinate reference system."""

import datetime as dt
import sqlite3

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from shapely import Point, Polygon, box

from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid
from terrazzo.geo.vector import Survey, VectorFile, text_of

HERE = Grid(CRS.from_epsg(32633), Affine(1, 0, 500_000, 0, -1, 5_200_100), 100, 100)


def write(path, shapes, crs="EPSG:32633", **columns):
    gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs).to_file(path)
    return path


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int32(7), "7"),
        (np.float32(7), "7"),
        (-0.0, "0"),
        (1e20, "100000000000000000000"),
        (np.bool_(False), "false"),
        ("7.0", "7.0"),
        (" ", " "),
        (np.datetime64("NaT"), "(empty)"),
        (dt.date(2020, 1, 2), "2020-01-02"),
        (float("inf"), "inf"),
    ],
)
def test_attributes_as_text(value, text):
    assert text_of(value) == text


def test_shapes_around_a_grid_in_its_system(tmp_path):
    degrees = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    near, far = box(500_010, 5_200_010, 500_030, 5_200_020), box(700_000, 5_300_000, 700_100, 5_300_100)
    moved = [shapely.transform(shape, lambda at: np.array(degrees.transform(*at.T)).T) for shape in (far, near)]
    path = write(tmp_path / "ö a.gpkg", moved, "EPSG:4326", kind=["far", "near"])
    found = VectorFile(path).read(HERE, ["kind"])
    assert found.texts["kind"].tolist() == ["near"]
    assert len(found) == 1
    assert shapely.hausdorff_distance(found.geometries[0], near) < 1e-6
    assert found.areas_m2[0] == pytest.approx(200, rel=0.01)


def test_a_country_around_a_village_keeps_its_edge_in_the_village(tmp_path):
    """The shape reaches where the village's projection has no place for it; its south border runs through the grid."""
    middle = 47.0
    grid = Grid(CRS.from_epsg(32633), Affine(1, 0, 500_000, 0, -1, 5_205_300), 400, 400)
    shape = Polygon([(-170, middle), (175, middle), (175, 89.9), (-170, 89.9)])
    path = write(tmp_path / "a.gpkg", [shape], "EPSG:4326", kind=["land"])
    found = VectorFile(path).read(grid, ["kind"]).geometries
    onto = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    draw = np.random.default_rng(0)
    for x, y in draw.uniform((500_000, 5_204_900), (500_400, 5_205_300), (200, 2)):
        latitude = onto.transform(x, y)[1]
        if abs(latitude - middle) > 2e-6:
            assert shapely.contains_xy(found, x, y).any() == (latitude > middle)
    assert shapely.total_bounds(found)[2] < 510_000


def test_shapes_beyond_the_antimeridian_are_found(tmp_path):
    # UTM zone 1 begins at 180 degrees west; this grid reaches over it to the east of the world.
    onto = pyproj.Transformer.from_crs(4326, 32601, always_xy=True)
    x, y = onto.transform(180.0, 52.0)
    grid = Grid(CRS.from_epsg(32601), Affine(10, 0, x - 5000, 0, -10, y + 5000), 1000, 1000)
    path = write(
        tmp_path / "a.gpkg", [Point(179.98, 52), Point(-179.98, 52), Point(0, 52)], "EPSG:4326", kind=list("ewz")
    )
    found = VectorFile(path).read(grid, ["kind"])
    assert sorted(found.texts["kind"]) == ["e", "w"]


def test_a_line_beside_the_grid_is_found_when_it_will_be_widened(tmp_path):
    line = shapely.LineString([(500_150, 5_200_000), (500_150, 5_200_100)])
    path = write(tmp_path / "a.gpkg", [line])
    assert len(VectorFile(path).read(HERE)) == 0
    assert len(VectorFile(path).read(HERE, reach_m=60.0)) == 1


def test_no_system_is_an_error(tmp_path):
    path = write(tmp_path / "a.shp", [box(0, 0, 1, 1)], n=[1])
    (tmp_path / "a.prj").unlink()
    with pytest.raises(DataError, match=r"a\.shp has no coordinate reference system.*\.prj"):
        VectorFile(path)
    with pytest.raises(DataError, match="image has no coordinate reference system"):
        VectorFile(write(tmp_path / "b.gpkg", [Point(0, 0)])).read(Grid(None, Affine.identity(), 2, 2))


def test_a_missing_field_names_the_nearest(tmp_path):
    path = write(tmp_path / "a.gpkg", [Point(0, 0)], Klasse=["a"], m2=[1])
    with pytest.raises(DataError, match=r'no field "klasse"; it has Klasse, m2\. Did you mean "Klasse"'):
        VectorFile(path).read(HERE, ["klasse"])
    bare = write(tmp_path / "b.gpkg", [Point(0, 0)])
    with pytest.raises(DataError, match='no field "x"; it has none'):
        VectorFile(bare).require_field("x")


def test_survey_counts_what_is_broken(tmp_path):
    bowtie = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    path = write(tmp_path / "a.geojson", [box(0, 0, 1, 1), None, bowtie, Polygon(), bowtie])
    assert VectorFile(path).survey() == Survey(shapes=5, skipped=2, repaired=2)


def test_what_a_field_says_anywhere(tmp_path):
    path = write(
        tmp_path / "a.gpkg", [Point(n, 0) for n in range(5)], kind=["b", "a", None, "a", ""], n=[3.0, 1, 3, 1, None]
    )
    assert VectorFile(path).distinct("kind") == ("(empty)", "a", "b")
    assert VectorFile(path).distinct("n") == ("(empty)", "1", "3")


def test_whether_a_file_reaches_a_grid(tmp_path):
    here = VectorFile(write(tmp_path / "a.gpkg", [box(500_050, 5_200_050, 600_000, 5_300_000)]))
    there = VectorFile(write(tmp_path / "b.gpkg", [box(510_000, 5_200_050, 600_000, 5_300_000)]))
    empty = VectorFile(write(tmp_path / "c.gpkg", []))
    assert [file.may_touch(HERE) for file in (here, there, empty)] == [True, False, False]
    assert "510000, 5200050, 600000, 5300000 in WGS 84 / UTM zone 33N" in there.place
    assert empty.place.endswith("holds 0 shapes")
    assert len(empty.read(HERE)) == 0


def test_bounds_that_a_geopackage_states_wrongly_hide_nothing(tmp_path):
    path = write(tmp_path / "a.gpkg", [box(500_050, 5_200_050, 500_060, 5_200_060)])
    with sqlite3.connect(path) as base:
        base.execute("UPDATE gpkg_contents SET min_x=0, min_y=0, max_x=1, max_y=1")
    base.close()
    assert VectorFile(path).may_touch(HERE)


def test_real_shapes(real_data):
    folder = real_data / "geotiff_newbrunswick"
    with rasterio.open(min(folder.glob("*.tif"))) as image:
        grid = Grid(image.crs, image.transform, image.height, image.width)
        frame = box(*image.bounds)
    file = VectorFile(folder / "BakerLake_2017_clipped.gpkg")
    assert file.survey() == Survey(shapes=43, skipped=0, repaired=0)
    found = file.read(grid, ["Quatreclasses"])
    table = gpd.read_file(folder / "BakerLake_2017_clipped.gpkg")
    inside = table[table.intersects(frame)]
    assert shapely.intersects(found.geometries, frame).sum() == len(inside)
    assert set(found.texts["Quatreclasses"]) == set(inside["Quatreclasses"])
    zion = VectorFile(real_data / "zion_landsat_nlcd" / "vector" / "zion.gpkg")
    with rasterio.open(real_data / "zion_landsat_nlcd" / "raster" / "landsat_b2.tif") as image:
        outline = zion.read(Grid(image.crs, image.transform, image.height, image.width)).geometries
    # Its system has the same projection and no named datum, so that it moves by nothing.
    assert shapely.total_bounds(outline) == pytest.approx(
        gpd.read_file(real_data / "zion_landsat_nlcd" / "vector" / "zion.gpkg").total_bounds, abs=0.01
    )


def test_a_file_that_lies_about_its_system(tmp_path):
    """Metres that claim to be degrees: nothing of it lies anywhere, and nothing fails."""
    path = write(tmp_path / "a.geojson", [box(500_010, 5_200_010, 500_030, 5_200_020)], "EPSG:4326")
    file = VectorFile(path)
    assert not file.may_touch(HERE)
    assert len(file.read(HERE)) == 0


def test_systems_that_nothing_joins(tmp_path):
    local = CRS.from_wkt('LOCAL_CS["quarry",UNIT["metre",1]]')
    file = VectorFile(write(tmp_path / "a.gpkg", [Point(0, 0)]))
    with pytest.raises(DataError, match="nothing leads from quarry to WGS 84 / UTM zone 33N"):
        file.read(Grid(local, HERE.transform, 10, 10))
