"""Frames of images that show the same ground."""

import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform

from terrazzo.data.recognise.overlap import largest_overlap
from terrazzo.geo.grid import Grid

UTM = CRS.from_epsg(32632)


def grid(x, y=5_000_000.0, *, side=100, crs=UTM, pixel=1.0):
    return Grid(crs, Affine(pixel, 0, x, 0, -pixel, y), side, side)


def test_the_largest_share_of_the_smaller_frame():
    frames = [grid(500_000), grid(500_090), grid(500_300), grid(500_350, side=20)]
    assert largest_overlap(frames) == pytest.approx(1.0)
    assert largest_overlap(frames[:3]) == pytest.approx(0.1)
    assert largest_overlap([frames[0], frames[2]]) == 0


def test_frames_that_touch_share_nothing():
    assert largest_overlap([grid(500_000), grid(500_100)]) == 0


def test_other_systems_are_compared_on_the_ground():
    (x,), (y,) = transform(UTM, CRS.from_epsg(32633), [500_050], [4_999_950])
    near, far = grid(x, y, crs=CRS.from_epsg(32633)), grid(x + 900, y, crs=CRS.from_epsg(32633))
    assert largest_overlap([grid(500_000), near]) > 0.2
    assert largest_overlap([grid(500_000), far]) == 0


def test_images_without_coordinates_lie_nowhere():
    plain = Grid(None, Affine.identity(), 9, 9)
    assert largest_overlap([plain, plain]) == 0
    assert largest_overlap([plain, grid(500_000)]) == 0
    assert largest_overlap([]) == 0
