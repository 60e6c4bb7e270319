"""Corners that can go: borders stay shared, polygons valid, and no border moves too far."""

from collections.abc import Callable

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from terrazzo.scene.polygons.bands import BandLimits
from terrazzo.scene.polygons.corners import corners_of
from terrazzo.scene.polygons.simplification import needless_corners

maps = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3))


def require_coverage(geometries: np.ndarray, shape: tuple[int, int]) -> None:
    """Refuse gaps, overlaps, invalid and empty polygons, and corners that only one side of a border has."""
    assert shapely.is_valid(geometries).all()
    assert (shapely.area(geometries) > 0).all()
    assert shapely.coverage_is_valid(geometries)
    assert shapely.area(geometries).sum() == pytest.approx(shape[0] * shape[1])
    assert shapely.union_all(geometries).equals(shapely.box(0, 0, shape[1], shape[0]))


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=maps, tolerance=st.sampled_from([0.5, 1.0, 2.0, 30.0]), rows=st.sampled_from([2, 5, 100]))
def test_any_map_stays_a_coverage(polygonise: Callable, values: np.ndarray, tolerance: float, rows: int) -> None:
    exact = polygonise(values, unwanted=())
    simple = polygonise(values, BandLimits(rows=rows), simplify=tolerance, unwanted=())
    require_coverage(simple.geometries, values.shape)
    assert len(simple.values) == len(exact.values)
    np.testing.assert_array_equal(simple.pixels, exact.pixels)


@pytest.mark.parametrize("tolerance", [0.75, 1.5, 4.0])
def test_smooth_maps_lose_most_corners_and_no_border_moves_too_far(
    polygonise: Callable, smooth_map: Callable, tolerance: float
) -> None:
    values = smooth_map(70, 90)
    exact, simple = polygonise(values), polygonise(values, simplify=tolerance)
    require_coverage(simple.geometries, values.shape)
    corners = [shapely.get_num_coordinates(found.geometries).sum() for found in (exact, simple)]
    assert corners[1] < 0.7 * corners[0]
    borders = [shapely.union_all(shapely.boundary(found.geometries)) for found in (exact, simple)]
    assert shapely.hausdorff_distance(*borders) <= tolerance + 1e-9


def test_missing_pixels_have_borders_too(polygonise: Callable, smooth_map: Callable) -> None:
    values = smooth_map(120, 90, missing=True)
    simple = polygonise(values, simplify=2.0)
    assert shapely.is_valid(simple.geometries).all()
    assert shapely.coverage_is_valid(simple.geometries)
    holes = polygonise(values, simplify=2.0, unwanted=(0, 1, 2, 3, 254))
    require_coverage(np.concatenate([simple.geometries, holes.geometries]), values.shape)


def test_a_line_of_stairs_becomes_straight(polygonise: Callable) -> None:
    values = np.tri(20, 20, dtype=np.uint8)
    found = polygonise(values, simplify=1.0)
    assert shapely.get_num_coordinates(found.geometries).max() <= 6
    require_coverage(found.geometries, values.shape)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2)])
def test_small_areas_never_collapse(polygonise: Callable, shape: tuple[int, int]) -> None:
    values = np.zeros((9, 9), dtype=np.uint8)
    values[4 : 4 + shape[0], 4 : 4 + shape[1]] = 1
    found = polygonise(values, simplify=50.0)
    require_coverage(found.geometries, values.shape)
    assert len(found.values) == 2


def test_thin_areas_side_by_side_do_not_cross(polygonise: Callable) -> None:
    values = np.zeros((40, 40), dtype=np.uint8)
    for shift, value in ((0, 1), (1, 2), (2, 1)):
        for x in range(36):
            values[x // 2 + 4 + shift, x] = value
    require_coverage(polygonise(values, simplify=3.0).geometries, values.shape)


def test_corners_of_the_map_stay() -> None:
    corners = corners_of(np.pad(np.ones((5, 5), dtype=np.uint8), 1, constant_values=9))
    fixed = np.ones(4, dtype=bool)
    assert not needless_corners(corners, 100.0, fixed=fixed).any()


def test_bands_hold_only_the_corners_next_to_their_borders(polygonise: Callable, smooth_map: Callable) -> None:
    values = smooth_map(200, 100)
    corners = [
        shapely.get_num_coordinates(polygonise(values, BandLimits(rows=rows), simplify=1.0).geometries).sum()
        for rows in (200, 50)
    ]
    assert corners[0] <= corners[1] < 1.15 * corners[0]
