"""Files that must lie pixel for pixel upon each other."""

import re
from dataclasses import replace

import pytest
from affine import Affine
from rasterio.crs import CRS

from terrazzo.data.same_grid import require_same_grid
from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid

PLACED = Grid(CRS.from_epsg(32633), Affine(2, 0, 9, 0, -2, 9), 4, 5)


def test_grids_without_coordinates_need_the_same_size_only():
    plain = Grid(None, Affine.identity(), 4, 5)
    require_same_grid(PLACED, plain, first="a", second="b")
    with pytest.raises(DataError, match=r"b has 4 x 5 pixels .*, but a has 3 x 5"):
        require_same_grid(replace(PLACED, height=3), plain, first="a", second="b")


def test_rounding_is_no_difference():
    require_same_grid(PLACED, replace(PLACED, transform=Affine(2, 0, 9.015, 0, -2, 9)), second="b")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(PLACED, transform=Affine(2, 0, 10, 0, -2, 9)), "b lies 0.5 pixels beside its image"),
        (replace(PLACED, crs=CRS.from_epsg(32634)), "b is in EPSG:32634, but its image in EPSG:32633"),
    ],
)
def test_another_place_or_system_is_refused(other, message):
    with pytest.raises(DataError, match=re.escape(message)):
        require_same_grid(PLACED, other, second="b")
