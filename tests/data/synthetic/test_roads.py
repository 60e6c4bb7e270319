import numpy as np
import pytest

from terrazzo.data.synthetic.fields import cut_parcels
from terrazzo.data.synthetic.roads import LANE_HALF_WIDTH, MAIN_HALF_WIDTH, VERGE, paint_roads, road_distance
from terrazzo.data.synthetic.terrain import FIELD, FOREST, ROAD, WATER, Canvas


@pytest.fixture(scope="module")
def parcels():
    return cut_parcels((400, 420), np.random.default_rng(5))


def distances(parcels, wet=None):
    wet = np.zeros((400, 420), dtype=bool) if wet is None else wet
    return road_distance(parcels, wet, np.random.default_rng(6))


def paved(lane, main, label=FOREST) -> Canvas:
    canvas = Canvas.empty(*lane.shape)
    canvas.label[:] = label
    canvas.height[:] = 4.0
    canvas.reflectance[:] = 0.5
    paint_roads(canvas, lane, main, generator=np.random.default_rng(7))
    return canvas


def test_the_main_road_crosses_from_west_to_east(parcels):
    _, main = distances(parcels)
    assert (main < MAIN_HALF_WIDTH).any(axis=0).all()


def test_the_main_road_is_equally_wide_on_slopes(parcels):
    _, main = distances(parcels)
    steep = np.abs(np.diff(main, axis=0))
    across = np.abs(np.diff(main, axis=1))
    near = (main[:-1, :-1] > 2) & (main[:-1, :-1] < 12)
    length = np.hypot(steep[:, :-1], across[:-1])[near]
    assert np.abs(length - 1).mean() < 0.1


def test_lanes_end_at_the_water(parcels):
    wet = np.zeros((400, 420), dtype=bool)
    wet[:, 200:240] = True
    lane, main = distances(parcels, wet)
    assert (lane[wet] > 1000).all()
    assert (main[wet] < MAIN_HALF_WIDTH).any()


def test_roads_are_as_wide_as_they_should_be(parcels):
    lane, main = distances(parcels)
    canvas = paved(lane, main)
    road = canvas.label == ROAD
    np.testing.assert_array_equal(road, (lane < LANE_HALF_WIDTH) | (main < MAIN_HALF_WIDTH))
    assert (canvas.height[road] == 0).all()


def test_grass_grows_beside_roads_but_not_on_bridges():
    lane = np.full((30, 40), 1e6, dtype=np.float32)
    main = np.abs(np.arange(30, dtype=np.float32) - 15)[:, None].repeat(40, axis=1)
    verge = (main >= MAIN_HALF_WIDTH) & (main < MAIN_HALF_WIDTH + VERGE)
    assert (paved(lane, main, FOREST).label[verge] == FIELD).all()
    assert (paved(lane, main, WATER).label[verge] == WATER).all()


def test_land_far_from_roads_is_left_alone(parcels):
    lane, main = distances(parcels)
    canvas = paved(lane, main)
    far = np.minimum(lane, main) > 30
    assert (canvas.reflectance[:, far] == 0.5).all()
    assert (canvas.label[far] == FOREST).all()


def test_the_main_road_has_a_bright_line(parcels):
    lane, main = distances(parcels)
    canvas = paved(lane, main)
    line, beside = main < 0.7, (main > 3) & (main < 6)
    assert canvas.reflectance[0][line].mean() > 1.5 * canvas.reflectance[0][beside].mean()
