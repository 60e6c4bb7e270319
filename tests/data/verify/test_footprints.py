"""Areas and distances of footprints, computed by hand."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.crs import CRS

from terrazzo.data.verify.footprints import Footprint, distances_m, ground, outline, overlaps
from terrazzo.geo.grid import Grid


def square(name: str, split: str, west: float, south: float, side: float, file: str = "") -> Footprint:
    return Footprint(name, file or f"{name}.tif", split, shapely.box(west, south, west + side, south + side))


def test_an_outline_leaves_out_what_was_not_measured() -> None:
    valid = np.zeros((10, 20), dtype=np.float32)
    valid[2:5, 3:11] = 1
    corners = outline(valid, factor=4, height=38, width=77)
    assert shapely.Polygon(corners).equals(shapely.box(12, 8, 44, 20))
    valid[:] = 1
    assert shapely.Polygon(outline(valid, factor=4, height=38, width=77)).equals(shapely.box(0, 0, 77, 38))
    assert outline(np.zeros((3, 3), np.float32), factor=1, height=3, width=3) == ()


@pytest.mark.parametrize("zone", ["EPSG:32612", "EPSG:4326"])
def test_the_ground_is_measured_in_metres(zone: str) -> None:
    metres = zone == "EPSG:32612"
    grids = [
        Grid(CRS.from_string(zone), Affine(step, 0, x, 0, -step, y), 100, 100)
        for step, x, y in (
            [(10, 500_000, 4_100_000), (10, 502_000, 4_100_000)] if metres else [(0.001, 10, 50), (0.001, 10.3, 50)]
        )
    ]
    here, there = ground([(grid, shapely.box(0, 0, 100, 100)) for grid in grids])
    if metres:
        # The scale of the zone's middle is 0.9996, so that 1000 m on the map are 1000.4 m on the ground.
        assert here.area == pytest.approx((1000 / 0.9996) ** 2, rel=1e-4)
        assert here.distance(there) == pytest.approx(1000 / 0.9996, rel=1e-4)
    else:
        _, _, apart = Geod(ellps="WGS84").inv(10.1, 50, 10.3, 50)
        assert here.distance(there) == pytest.approx(apart, rel=1e-3)


def test_overlaps_across_splits_only() -> None:
    footprints = [
        square("a", "train", 0, 0, 10),
        square("b", "val", 5, 0, 10),
        square("c", "train", 2, 2, 10),
        square("d", "test", 10, 0, 10),
        square("e", "val", 0, 0, 10, file="a.tif"),
        square("f", "test", 19.95, 0, 2),
    ]
    found = {(one.first.image_id, one.second.image_id): one for one in overlaps(footprints, least_share=0.01)}
    # `e` is a part of a's own file; a and d share an edge only; f shares nothing with another split.
    assert ("a", "b") in found
    assert found["a", "b"].share == pytest.approx(0.5)
    assert found["a", "b"].square_m == pytest.approx(50)
    assert ("a", "e") not in found
    assert ("a", "d") not in found
    assert not any("f" in pair for pair in found)
    assert found["c", "e"].share == pytest.approx(0.64)


def test_distances_between_splits() -> None:
    footprints = [square("a", "train", 0, 0, 10), square("b", "train", 100, 0, 10), square("c", "val", 130, 0, 10)]
    assert distances_m(footprints) == {("train", "val"): (pytest.approx(20), "b.tif", "c.tif")}
    assert distances_m(footprints[:2]) == {}


def test_parts_of_divided_images_share_no_pixel_but_may_lie_side_by_side():
    """Their outlines are drawn on cells and may overlap; how far they keep apart is known."""
    here, there = square("a#train", "train", 0, 0, 10, file="a.tif"), square("a#val", "val", 9, 0, 10, file="a.tif")
    parts = [replace(one, divided=True) for one in (here, there)]
    other = replace(there, file="b.tif", divided=True)
    assert overlaps([parts[0], other], least_share=0.01) == []
    assert distances_m(parts) == {("train", "val"): (0.0, "a.tif", "a.tif")}
    assert distances_m([replace(parts[0], clear_m=5.0), other]) == {("train", "val"): (5.0, "a.tif", "b.tif")}
    # An image that is not divided may share ground with a part.
    whole = replace(other, divided=False)
    assert [one.share for one in overlaps([parts[0], whole], least_share=0.01)] == [pytest.approx(0.1)]
    assert distances_m([replace(parts[0], clear_m=5.0), whole])["train", "val"][0] == 0


def test_pieces_of_ground_in_several_systems_are_brought_into_one():
    utm = Grid(CRS.from_epsg(32612), Affine(10, 0, 500_000, 0, -10, 4_100_000), 100, 100)
    lon, lat = Transformer.from_crs(32612, 4326, always_xy=True).transform(505_000, 4_100_000)
    degrees = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, lon, 0, -1e-4, lat), 100, 100)
    pieces = shapely.MultiPolygon([shapely.box(0, 0, 10, 100), shapely.box(40, 0, 50, 100)])
    holed = shapely.box(0, 0, 100, 100).difference(shapely.box(20, 20, 40, 40))
    one, two = ground([(utm, pieces), (degrees, holed)])
    assert one.area == pytest.approx(2 * 100 * 1000 / 0.9996**2, rel=1e-4)
    geod = Geod(ellps="WGS84")
    frame = [(lon, lat), (lon + 0.01, lat), (lon + 0.01, lat - 0.01), (lon, lat - 0.01)]
    whole = abs(geod.polygon_area_perimeter(*zip(*frame, strict=True))[0])
    assert two.area == pytest.approx(0.96 * whole, rel=1e-3)
    assert one.distance(two) == pytest.approx(4500 / 0.9996, rel=1e-3)


def test_images_without_a_role_of_their_own_overlap_nothing():
    assert overlaps([], least_share=0.01) == []
    assert distances_m([]) == {}
