import numpy as np
import pytest

from terrazzo.data.synthetic.terrain import BARE_SOIL, FIELD, WATER, Canvas
from terrazzo.data.synthetic.water import paint_water, water_level


@pytest.fixture(scope="module")
def level() -> np.ndarray:
    return water_level((400, 400), np.random.default_rng(3))


def filled(level: np.ndarray) -> Canvas:
    canvas = Canvas.empty(*level.shape)
    canvas.reflectance[:] = 0.5
    canvas.height[:] = 3.0
    paint_water(canvas, level, np.random.default_rng(3))
    return canvas


def test_a_river_crosses_from_north_to_south(level):
    assert (level > 0).any(axis=1).all()
    assert 0.03 < (level > 0).mean() < 0.6


def test_water_fills_exactly_what_lies_under_the_level(level):
    np.testing.assert_array_equal(filled(level).label == WATER, level > 0)


def test_the_shore_has_sand_in_places(level):
    canvas = filled(level)
    near = (level <= 0) & (level > -2)
    assert 0.1 < (canvas.label[near] == BARE_SOIL).mean() < 0.99
    assert (canvas.label[level < -45] == FIELD).mean() > 0.95


def test_water_is_dark_in_near_infrared_and_smooth(level):
    canvas = filled(level)
    deep = level > 8
    assert canvas.reflectance[3][deep].mean() < 0.15
    both = deep[:, 1:] & deep[:, :-1]
    assert np.abs(np.diff(canvas.reflectance[0]))[both].mean() < 0.01


def test_shallows_are_paler_than_the_deep():
    level = np.full((60, 60), -20.0, dtype=np.float32)
    level[10:50, 10:50] = 5.0
    canvas = filled(level)
    assert canvas.reflectance[0, 11, 12:48].mean() > canvas.reflectance[0, 30, 25:35].mean()


def test_water_is_level(level):
    assert (filled(level).height[level > 0] == 0).all()


def test_dry_land_is_left_alone():
    canvas = filled(np.full((20, 20), -5.0, dtype=np.float32))
    assert (canvas.label == FIELD).all()
    assert (canvas.reflectance == 0.5).all()


def test_all_water():
    assert (filled(np.full((20, 20), 5.0, dtype=np.float32)).label == WATER).all()
