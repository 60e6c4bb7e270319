"""Areas that several areas have in common."""

import numpy as np
from affine import Affine

from terrazzo.data.areas.area import AREAS
from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.areas.intersection import IntersectionArea
from terrazzo.geo.grid import Grid, Window

GRID = Grid(None, Affine.identity(), 40, 30)
HALVES = (("a", 0.5), ("b", 0.5))


def block(part, image):
    return BlockArea(part=part, shares=HALVES, size=4, image=image)


def test_only_pixels_that_all_areas_hold():
    both = IntersectionArea(areas=(block("a", "x"), block("a", "y"))).open(GRID).inside(GRID.whole)
    one, other = (block("a", name).open(GRID).inside(GRID.whole) for name in "xy")
    assert np.array_equal(both, one & other)
    assert both.any()
    assert both.sum() < one.sum()


def test_areas_that_exclude_each_other_hold_nothing():
    reader = IntersectionArea(areas=(block("a", "x"), block("b", "x"))).open(GRID)
    assert not reader.touches(Window(0, 0, 40, 30))


def test_it_is_the_same_after_json():
    area = IntersectionArea(areas=(block("a", "x"), block("b", "y")))
    content = area.model_dump(mode="json")
    again = AREAS.create(**content)
    assert again == area
    assert again.areas[1].part == "b"
    assert area.files == ()
