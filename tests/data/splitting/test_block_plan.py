"""The map that blocks lie on."""

from pathlib import Path

import pytest
from pyproj import Geod, Transformer
from rasterio.crs import CRS

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.splitting.block_plan import plan_blocks
from terrazzo.data.splitting.settings import BlockSettings
from terrazzo.errors import DataError


def image(name, crs, left=500_000.0, top=5_000_000.0, pixel=10.0):
    wkt = None if crs is None else CRS.from_user_input(crs).to_wkt()
    transform = (pixel, 0.0, float(left), 0.0, -pixel, float(top))
    return ImageEntry(name, Path(f"/{name}.tif"), None, (), None, None, 100, 100, wkt, transform)


def test_a_shared_system_is_kept():
    plan = plan_blocks([image("a", "EPSG:32632"), image("b", "EPSG:32632")], BlockSettings(size_m=500, guard_m=30))
    assert CRS.from_wkt(plan.crs) == CRS.from_epsg(32632)
    assert (plan.size, plan.guard, plan.size_m) == (500, 30, 500)


def test_feet_are_converted():
    plan = plan_blocks([image("a", "EPSG:2263", 980_000, 200_000)], BlockSettings(size_m=304.8))
    assert plan.size == pytest.approx(1000, rel=1e-5)


@pytest.mark.parametrize(
    ("crs", "left", "top", "pixel"),
    [("EPSG:4326", 25.0, 61.0, 1e-4), ("EPSG:3857", 2_780_000, 8_600_000, 10.0)],
)
def test_degrees_and_mercator_measure_no_blocks(crs, left, top, pixel):
    plan = plan_blocks([image("a", crs, left, top, pixel)], BlockSettings(size_m=1000))
    assert "equal-area map around 60, 20" in plan.name or "equal-area map around 60, 30" in plan.name
    # A block is a kilometre wide on the ground.
    to_map = Transformer.from_crs(crs, plan.crs, always_xy=True)
    back = Transformer.from_crs(plan.crs, "EPSG:4326", always_xy=True)
    x, y = to_map.transform(left, top)
    (lon, lat), (east_lon, east_lat), (north_lon, north_lat) = (
        back.transform(*place) for place in ((x, y), (x + plan.size, y), (x, y + plan.size))
    )
    geod = Geod(ellps="WGS84")
    assert geod.inv(lon, lat, east_lon, east_lat)[2] == pytest.approx(1000, rel=0.01)
    assert geod.inv(lon, lat, north_lon, north_lat)[2] == pytest.approx(1000, rel=0.01)


def test_several_systems_share_one_map_whatever_their_order():
    images = [
        image("a", "EPSG:32632", 700_000),
        image("b", "EPSG:32633", 300_000),
        image("c", "EPSG:4326", 12, 45, 1e-4),
    ]
    plans = [plan_blocks(order, BlockSettings(size_m=100)) for order in (images, images[::-1])]
    assert plans[0].crs == plans[1].crs
    assert "around 50, 10" in plans[0].name


def test_the_antimeridian_is_no_border():
    images = [image("a", "EPSG:4326", 179.0, -17.0, 1e-4), image("b", "EPSG:32701", 300_000, 8_100_000)]
    assert "-20, 180" in plan_blocks(images, BlockSettings(size_m=100)).name


def test_a_system_may_be_given():
    plan = plan_blocks([image("a", "EPSG:32632")], BlockSettings(size_m=100, crs="EPSG:3035"))
    assert (CRS.from_wkt(plan.crs).to_epsg(), plan.name) == (3035, "EPSG:3035")


def test_pixels_count_as_in_the_median_image():
    images = [image("a", "EPSG:32632", pixel=1.0), image("b", "EPSG:32632"), image("c", "EPSG:32632", pixel=30.0)]
    plan = plan_blocks(images, BlockSettings(size_pixels=50, guard_pixels=3))
    assert (plan.size, plan.guard) == (500, 30)
    area = plan.area(image("d", None), "train", shares=(("train", 1.0),), clear_of=("val",))
    assert (area.size, area.guard, area.crs, area.image) == (50, 3, None, "d")


def test_metres_without_a_system():
    with pytest.raises(DataError, match="size_pixels"):
        plan_blocks([image("a", "EPSG:32632"), image("b", None)], BlockSettings(size_m=5))


def test_an_image_that_lies_nowhere_is_named():
    with pytest.raises(DataError, match=r"/a\.tif: its centre has latitude .* no place on Earth"):
        plan_blocks([image("a", "EPSG:4326", 500_000, 5_000_000)], BlockSettings(size_m=1000))
