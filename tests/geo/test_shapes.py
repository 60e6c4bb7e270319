"""Geometries made fit for burning."""

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS
from shapely import (
    GeometryCollection,
    LineString,
    MultiPolygon,
    Point,
    Polygon,
    box,
)

from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid
from terrazzo.geo.shapes import area_m2, clean, crs_of, reproject, same_crs, tolerance_of, widen

WGS84 = pyproj.CRS.from_epsg(4326)
UTM33 = pyproj.CRS.from_epsg(32633)
GEOD = pyproj.Geod(ellps="WGS84")
BOWTIE = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


def array(*shapes):
    found = np.empty(len(shapes), dtype=object)
    found[:] = shapes
    return found


def test_missing_and_empty_shapes_are_skipped_and_counted():
    found = clean(array(box(0, 0, 1, 1), None, Polygon(), Point(3, 4), GeometryCollection()))
    assert (found.skipped, found.repaired) == (3, 0)
    assert found.rows.tolist() == [0, 3]
    assert [shape.geom_type for shape in found.geometries] == ["Polygon", "Point"]


def test_shapes_that_are_no_numbers_are_skipped():
    found = clean(array(Point(np.nan, 1), LineString([(0, 0), (np.inf, 1)]), Point(1, 1)))
    assert (found.rows.tolist(), found.skipped) == ([2], 2)


def test_invalid_areas_are_repaired_and_stay_areas():
    spike = Polygon([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (-3, 0), (0, 0)])
    found = clean(array(BOWTIE, spike, box(0, 0, 1, 1)))
    assert (found.skipped, found.repaired) == (0, 2)
    assert shapely.is_valid(found.geometries).all()
    assert (shapely.get_dimensions(found.geometries) == 2).all()
    # Two triangles of 1 each; the spike encloses nothing.
    total = [
        sum(shape.area for shape, row in zip(found.geometries, found.rows, strict=True) if row == n) for n in (0, 1)
    ]
    assert total == [2.0, 16.0]


def test_an_area_that_encloses_nothing_is_skipped():
    found = clean(array(Polygon([(0, 0), (1, 1), (0, 0), (0, 0)])))
    assert (len(found.geometries), found.skipped, found.repaired) == (0, 1, 1)


def test_collections_are_taken_apart_and_keep_their_row():
    inner = GeometryCollection([box(0, 0, 1, 1), GeometryCollection([Point(5, 5), LineString([(0, 0), (1, 0)])])])
    found = clean(array(Point(9, 9), inner, MultiPolygon([box(0, 0, 1, 1), box(3, 3, 4, 4)])))
    kinds = [(int(row), shape.geom_type) for row, shape in zip(found.rows, found.geometries, strict=True)]
    assert kinds == [(0, "Point"), (1, "Polygon"), (1, "Point"), (1, "LineString"), (2, "MultiPolygon")]
    assert found.skipped == 0


def test_heights_are_dropped():
    found = clean(array(Point(1, 2, 3), Polygon([(0, 0, 5), (1, 0, 5), (1, 1, 5)])))
    assert not shapely.has_z(found.geometries).any()


def test_nothing_at_all():
    found = clean(array())
    assert (len(found.geometries), found.skipped, found.repaired) == (0, 0, 0)


def test_order_of_axes_is_no_difference():
    assert same_crs(WGS84, pyproj.CRS.from_user_input("OGC:CRS84"))
    assert not same_crs(WGS84, UTM33)


def test_an_image_without_system_takes_no_shapes():
    with pytest.raises(DataError, match="no coordinate reference system"):
        crs_of(Grid(None, Affine.identity(), 2, 2))


def test_reprojected_points_agree_with_pyproj():
    points = array(Point(15, 47), Point(14.2, 46.8))
    expected = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform([15, 14.2], [47, 46.8])
    found = shapely.get_coordinates(reproject(points, WGS84, UTM33, tolerance=0.1))
    assert np.allclose(found, np.array(expected).T, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "shape",
    [
        LineString([(12, 47), (18, 47)]),
        box(12, 46, 18, 47),
        Polygon(box(11, 45, 18, 48).exterior, [box(12, 46, 17, 47).exterior]),
    ],
)
def test_long_edges_follow_the_curve_that_they_stand_for(shape):
    moved = reproject(array(shape), WGS84, UTM33, tolerance=0.5)[0]
    # A thousand points of each edge of the original, brought over one by one.
    dense = shapely.get_coordinates(shapely.segmentize(shape, 0.006))
    truth = np.array(pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(*dense.T)).T
    outline = moved if moved.geom_type == "LineString" else moved.boundary
    assert shapely.distance(shapely.points(truth), outline).max() < 0.5
    straight = np.array(pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform([12, 18], [47, 47])).T
    assert shapely.distance(shapely.points(truth), LineString(straight)).max() > 1000


def test_short_edges_get_no_further_vertices():
    moved = reproject(array(box(15, 47, 15.0001, 47.0001)), WGS84, UTM33, tolerance=0.1)[0]
    assert shapely.get_num_coordinates(moved) == 5


def test_the_same_system_moves_nothing():
    shapes = array(box(0.1, 0.2, 0.3, 0.7))
    assert reproject(shapes, UTM33, UTM33, tolerance=0.1) is shapes


def test_what_has_no_place_in_the_projection_is_empty():
    half = pyproj.CRS.from_dict({"proj": "ortho", "lat_0": 90, "type": "crs"})
    moved = reproject(array(Point(10, -50), Point(10, 50)), WGS84, half, tolerance=0.1)
    assert [shape.is_empty for shape in moved] == [True, False]


@pytest.mark.parametrize(
    "crs", ["EPSG:4326", "EPSG:32633", "EPSG:3857", "EPSG:2953", "EPSG:2263"], ids=lambda crs: crs.replace(":", "_")
)
@pytest.mark.parametrize("width", [3.0, 40.0])
def test_widths_are_metres_on_the_ground_in_any_unit(crs, width):
    """Degrees, metres, Web Mercator's stretched metres, and feet."""
    there = pyproj.CRS.from_user_input(crs)
    longitude, latitude = (15.0, 60.0) if crs in {"EPSG:4326", "EPSG:32633", "EPSG:3857"} else (-66.5, 46.5)
    if crs == "EPSG:2263":
        longitude, latitude = -74.0, 40.7
    ends = GEOD.fwd([longitude] * 2, [latitude] * 2, [50, 230], [900, 900])
    onto = pyproj.Transformer.from_crs(4326, there, always_xy=True)
    line = LineString(np.array(onto.transform(ends[0], ends[1])).T)
    x, y = onto.transform(longitude, latitude)
    unit = abs(onto.transform(longitude, latitude + 1e-5)[1] - y) / 1.11
    on = Grid(CRS.from_user_input(crs), Affine(unit, 0, x - 1000 * unit, 0, -unit, y + 1000 * unit), 2000, 2000)
    area = widen(array(line), np.array([width]), there, grid=on)[0]
    back = pyproj.Transformer.from_crs(there, 4326, always_xy=True)
    corners = shapely.get_coordinates(area)
    metres, _ = GEOD.geometry_area_perimeter(Polygon(np.array(back.transform(corners[:, 0], corners[:, 1])).T))
    length = GEOD.inv(ends[0][0], ends[1][0], ends[0][1], ends[1][1])[2]
    expected = length * width + np.pi * width**2 / 4
    assert abs(metres) == pytest.approx(expected, rel=2e-3)


def test_points_become_discs_and_areas_stay():
    on = Grid(CRS.from_epsg(32633), Affine(1, 0, 500_000, 0, -1, 5_200_000), 100, 100)
    shapes = array(
        Point(500_050, 5_199_950),
        box(500_000, 5_199_900, 500_010, 5_199_910),
        LineString([(500_000, 5_199_950), (500_020, 5_199_950)]),
    )
    found = widen(shapes, np.array([8.0, 8.0, 0.0]), UTM33, grid=on)
    # The scale of UTM in its middle is 0.9996.
    assert found[0].area == pytest.approx(np.pi * 16 * 0.9996**2, rel=0.004)
    assert found[1].equals(shapes[1])
    assert found[2].equals(shapes[2])


def test_metres_need_a_place_on_the_earth():
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    on = Grid(local, Affine(1, 0, 0, 0, -1, 10), 10, 10)
    with pytest.raises(DataError, match="no place on the Earth"):
        widen(array(Point(1, 1)), np.array([1.0]), crs_of(on), grid=on)


def test_tolerance_is_a_tenth_of_the_shorter_side():
    assert tolerance_of(Grid(CRS.from_epsg(32633), Affine(0.5, 0, 0, 0, -2, 0), 4, 4)) == pytest.approx(0.05)


def test_areas_in_degrees_are_about_those_on_the_ellipsoid():
    shape = box(15, 60, 15.02, 60.01)
    expected = abs(GEOD.geometry_area_perimeter(shape)[0])
    assert area_m2(array(shape), WGS84)[0] == pytest.approx(expected, rel=0.01)
    foot = pyproj.CRS.from_epsg(2263)
    assert area_m2(array(box(0, 0, 10, 10), Point(1, 1)), foot).tolist() == pytest.approx([100 * 0.3048006096**2, 0])
