"""Polygons of maps, against rasterising them again and scipy's labels; the same whatever the bands."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from rasterio.crs import CRS
from rasterio.features import rasterize, shapes
from scipy.ndimage import label

from terrazzo.scene.polygons.bands import BandLimits

IGNORE, OUTSIDE = 255, 254
maps = arrays(
    np.uint8,
    array_shapes(min_dims=2, max_dims=2, max_side=13),
    elements=st.sampled_from([0, 0, 1, 1, 2, IGNORE]),
    fill=st.nothing(),
)


def limits(rows: int, **changes: int) -> BandLimits:
    """Return limits of so many rows a band, and next to no memory."""
    return BandLimits(**{"rows": rows, "memory_points": 7, "parts": 3, **changes})


def burned(geometries: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    pairs = list(zip(geometries, values.tolist(), strict=True))
    return rasterize(pairs, shape, fill=IGNORE, dtype="uint8") if pairs else np.full(shape, IGNORE, np.uint8)


def areas(values: np.ndarray) -> int:
    return sum(label(values == value)[1] for value in np.unique(values) if value != IGNORE)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=maps, rows=st.integers(1, 5), chunk=st.integers(1, 6))
def test_any_map_comes_back(polygonise: Callable, values: np.ndarray, rows: int, chunk: int) -> None:
    whole = polygonise(values)
    assert shapely.is_valid(whole.geometries).all()
    np.testing.assert_array_equal(burned(whole.geometries, whole.values, values.shape), values)
    assert len(whole.values) == areas(values)
    np.testing.assert_array_equal(shapely.area(whole.geometries), whole.pixels)
    assert whole.pixels.sum() == (values != IGNORE).sum()
    assert shapely.coverage_is_valid(whole.geometries)
    other = polygonise(values, limits(rows), chunk=chunk)
    assert shapely.to_wkb(other.geometries).tolist() == shapely.to_wkb(whole.geometries).tolist()
    np.testing.assert_array_equal(other.values, whole.values)
    np.testing.assert_array_equal(other.pixels, whole.pixels)


def test_the_same_polygons_as_gdal(polygonise: Callable, smooth_map: Callable) -> None:
    values = smooth_map(90, 130, missing=True)
    found = polygonise(values, limits(11))
    mask = values != IGNORE
    theirs = [(int(value), shapely.geometry.shape(form)) for form, value in shapes(values, mask, connectivity=4)]
    assert len(theirs) == len(found.values)
    by_start = {(value, form.bounds, form.area): form for value, form in theirs}
    for geometry, value in zip(found.geometries, found.values.tolist(), strict=True):
        assert by_start[value, geometry.bounds, geometry.area].equals(geometry)


def spiral(side: int) -> np.ndarray:
    """Return an arm of 1, one pixel wide, that winds inwards from a corner."""
    values = np.zeros((side + 4, side + 4), dtype=np.uint8)
    y, x, down, right = 2, 2, 0, 1
    values[y, x] = 1
    for _ in range(4 * side):
        while values[y + 2 * down, x + 2 * right] == 0 and 2 <= y + down < side + 2 and 2 <= x + right < side + 2:
            y, x = y + down, x + right
            values[y, x] = 1
        down, right = right, -down
    return values[2:-2, 2:-2]


@pytest.mark.parametrize("rows", [1, 4, 1000])
def test_a_spiral_through_the_whole_map(polygonise: Callable, rows: int) -> None:
    values = spiral(45)
    found = polygonise(values, limits(rows))
    np.testing.assert_array_equal(burned(found.geometries, found.values, values.shape), values)
    assert found.values.tolist() == [1, 0] or found.values.tolist() == [0, 1]
    assert shapely.is_valid(found.geometries).all()
    if rows < 1000:
        assert found.spilled_points > 40


def test_a_ragged_comb_is_one_polygon_and_most_of_it_lies_on_the_disk(polygonise: Callable) -> None:
    height, width = 150, 80
    y, x = np.indices((height, width))
    values = ((x + y // 2 % 2) % 4 < 2).astype(np.uint8)
    values[0] = 1
    found = polygonise(values, limits(10, memory_points=500, parts=40))
    np.testing.assert_array_equal(burned(found.geometries, found.values, values.shape), values)
    largest = shapely.get_num_coordinates(found.geometries).max()
    assert largest > 3000
    assert found.spilled_points > largest
    assert shapely.is_valid(found.geometries).all()


def test_a_checkerboard(polygonise: Callable) -> None:
    values = (np.indices((30, 40)).sum(axis=0) % 2).astype(np.uint8)
    found = polygonise(values, limits(100, borders=200))
    assert len(found.values) == 1200
    assert (found.pixels == 1).all()
    assert (shapely.get_num_coordinates(found.geometries) == 5).all()


def test_holes_in_holes_and_holes_that_meet_in_a_point(polygonise: Callable) -> None:
    values = np.zeros((9, 9), dtype=np.uint8)
    values[1:8, 1:8] = 1
    values[2:7, 2:7] = 0
    values[3:6, 3:6] = 1
    values[4, 4] = 2
    found = polygonise(values, limits(2))
    assert shapely.get_num_interior_rings(found.geometries).tolist() == [0, 1, 1, 1, 1]
    meeting = np.ones((4, 4), dtype=np.uint8)
    meeting[1, 1] = meeting[2, 2] = 0
    found = polygonise(meeting, limits(1))
    assert shapely.is_valid(found.geometries).all()
    assert shapely.get_num_interior_rings(found.geometries).max() == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_one_class(polygonise: Callable, shape: tuple[int, int]) -> None:
    found = polygonise(np.full(shape, 3, dtype=np.uint8), limits(1))
    assert found.values.tolist() == [3]
    assert found.geometries[0].equals(shapely.box(0, 0, shape[1], shape[0]))


def test_all_missing(polygonise: Callable) -> None:
    assert len(polygonise(np.full((5, 4), IGNORE, dtype=np.uint8)).values) == 0


def test_unwanted_classes_are_left_out(polygonise: Callable, smooth_map: Callable) -> None:
    values = smooth_map(60, 50)
    every = polygonise(values, limits(9))
    some = polygonise(values, limits(9), unwanted=(0, 2, IGNORE, OUTSIDE))
    chosen = np.isin(every.values, [1, 3])
    assert shapely.to_wkb(some.geometries).tolist() == shapely.to_wkb(every.geometries[chosen]).tolist()


@pytest.mark.parametrize(
    "transform",
    [
        Affine(2, 0, 5, 0, -3, 7),
        Affine(2, 0, 5, 0, 3, 7),
        Affine.rotation(30) @ Affine.scale(2, -2),
        Affine(0, 2, 1, 3, 0, 9),
    ],
    ids=["north up", "south up", "turned", "transposed"],
)
def test_any_transform_gives_anti_clockwise_polygons(
    polygonise: Callable, smooth_map: Callable, transform: Affine
) -> None:
    values = smooth_map(40, 50)
    plain, placed = polygonise(values), polygonise(values, transform=transform)
    parts = (transform.a, transform.b, transform.d, transform.e, transform.c, transform.f)
    moved = [shapely.affinity.affine_transform(geometry, parts) for geometry in plain.geometries]
    assert shapely.equals_exact(shapely.normalize(moved), shapely.normalize(placed.geometries), tolerance=1e-9).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(placed.geometries)).all()
    holes = shapely.get_interior_ring(placed.geometries[shapely.get_num_interior_rings(placed.geometries) > 0], 0)
    assert len(holes) > 0
    assert not shapely.is_ccw(holes).any()


def test_areas_are_those_of_the_pixels_on_the_ground(polygonise: Callable, smooth_map: Callable) -> None:
    values = smooth_map(70, 60)
    utm = {"crs": CRS.from_epsg(32633), "transform": Affine(10, 0, 700_000, 0, -10, 5_600_000)}
    exact, simple = polygonise(values, **utm), polygonise(values, limits(8), simplify=2.0, **utm)
    # East of its central meridian UTM shrinks by 0.04 % at first.
    np.testing.assert_allclose(exact.square_metres, exact.pixels * 100, rtol=1e-3)
    assert not np.allclose(exact.square_metres, exact.pixels * 100, rtol=1e-5)
    np.testing.assert_allclose(np.sort(simple.square_metres), np.sort(exact.square_metres), rtol=1e-9)
    assert np.isnan(polygonise(values).square_metres).all()


def test_real_land_cover(polygonise: Callable, real_data: Path) -> None:
    from PIL import Image

    masks = sorted((real_data / "dubai").glob("Tile */masks/*.png"))
    with Image.open(masks[0]) as picture:
        colours = np.asarray(picture.convert("RGB"), dtype=np.int64)[:300, :400]
    _, values = np.unique(colours @ [65536, 256, 1], return_inverse=True)
    values = values.reshape(colours.shape[:2]).astype(np.uint8)
    found = polygonise(values, limits(64))
    np.testing.assert_array_equal(burned(found.geometries, found.values, values.shape), values)
    assert len(found.values) == areas(values)
    assert shapely.is_valid(found.geometries).all()
