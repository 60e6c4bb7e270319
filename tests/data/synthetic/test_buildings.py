import numpy as np
import pytest
from scipy.ndimage import binary_dilation, find_objects, label

from terrazzo.data.synthetic.buildings import paint_buildings
from terrazzo.data.synthetic.terrain import BUILDING, FIELD, Canvas

SIDE = 300


def built(free: np.ndarray, road: np.ndarray, seed: int = 0) -> Canvas:
    canvas = Canvas.empty(*free.shape)
    canvas.reflectance[:] = 0.5
    paint_buildings(canvas, road, free, angle=0.3, generator=np.random.default_rng(seed))
    return canvas


@pytest.fixture(scope="module")
def village() -> Canvas:
    return built(street() > 0, street())


def street() -> np.ndarray:
    return np.abs(np.arange(SIDE, dtype=np.float32) - 150)[:, None].repeat(SIDE, axis=1) - 5


def test_buildings_stand_beside_the_road_and_not_on_it(village):
    y, _ = np.nonzero(village.label == BUILDING)
    assert len(y) > 500
    assert (np.abs(y - 150) > 8).all()
    assert (np.abs(y - 150) < 105).all()


def test_buildings_keep_their_distance(village):
    """Grown by two pixels each, no two touch: as many pieces as before."""
    house = village.label == BUILDING
    _, count = label(house)
    _, grown = label(binary_dilation(house, iterations=2))
    assert count == grown
    assert count > 5


def test_buildings_are_rectangles_of_plausible_size(village):
    pieces, _ = label(village.label == BUILDING)
    for index, place in enumerate(find_objects(pieces), 1):
        inside = [part.start > 0 and part.stop < SIDE for part in place]
        pixels = (pieces[place] == index).sum()
        if all(inside):
            assert 13 * 17 * 0.8 < pixels < 25 * 44 * 1.2


def test_buildings_are_high_and_all_of_a_colour(village):
    house = village.label == BUILDING
    assert (village.height[house] >= 3).all()
    assert (village.height[~house] == 0).all()
    pieces, count = label(house)
    spread = [village.reflectance[0][pieces == index].std() for index in range(1, count + 1)]
    assert max(spread) < 0.05


def test_land_that_is_not_free_stays_unbuilt():
    free = np.ones((SIDE, SIDE), dtype=bool)
    free[:, :150] = False
    canvas = built(free, street())
    assert not (canvas.label[:, :150] == BUILDING).any()
    assert (canvas.label[:, 150:] == BUILDING).any()


def test_without_a_road_nothing_is_built():
    canvas = built(np.ones((100, 100), dtype=bool), np.full((100, 100), 1e6, dtype=np.float32))
    assert (canvas.label == FIELD).all()


@pytest.mark.parametrize("side", [1, 7, 33])
def test_small_land(side):
    canvas = built(np.ones((side, side), dtype=bool), np.full((side, side), 15.0, dtype=np.float32))
    assert canvas.label.shape == (side, side)
