"""Pixels and ground of each class: against geodesic polygons, over several maps, however they are stored."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine

from terrazzo.assessment.area_strata import count_strata, runs_of
from terrazzo.assessment.class_map import Legend, read_legend
from terrazzo.errors import ConfigError, DataError
from terrazzo.progress import Event

WriteMap = Callable[..., Path]
LEGEND = Legend(("forest", "water", "town"), (0, 1, 2))
DEGREES = Affine(0.01, 0, 10, 0, -0.01, 62)


def parallel_area(row: int) -> float:
    """Return the area of a pixel of `DEGREES` by Karney's algorithm, its sides along parallels in short pieces."""
    north, south = 62 - 0.01 * row, 62 - 0.01 * (row + 1)
    across = np.linspace(10, 10.01, 50)
    longitudes = np.concatenate([across, across[::-1]])
    latitudes = np.concatenate([np.full(50, south), np.full(50, north)])
    return abs(pyproj.Geod(ellps="WGS84").polygon_area_perimeter(longitudes, latitudes)[0])


def test_degrees_are_measured_on_the_ellipsoid(write_map: WriteMap) -> None:
    values = np.zeros((700, 3))
    values[500:, 1:] = 1
    found = count_strata([write_map("a.tif", values.astype(np.uint8), crs="EPSG:4326", transform=DEGREES)], LEGEND)
    rows = np.array([parallel_area(row) for row in range(700)])
    assert found.unit == "m2"
    assert found.pixels.tolist() == [1700, 400, 0]
    np.testing.assert_allclose(
        found.areas, [3 * rows[:500].sum() + rows[500:].sum(), 2 * rows[500:].sum(), 0], rtol=1e-7
    )
    # Counting pixels would be off by more than a per cent.
    assert abs(found.areas[1] / found.areas.sum() - 400 / 2100) > 0.01


def test_utm_is_measured_on_the_ellipsoid(write_map: WriteMap) -> None:
    found = count_strata([write_map("a.tif", np.zeros((20, 20), np.uint8))], LEGEND)
    # At the central meridian a metre of the grid is 1 / 0.9996 metres of ground.
    assert found.areas[0] == pytest.approx(400 * 100 / 0.9996**2, rel=1e-6)


def test_an_equal_area_system_is_exact(write_map: WriteMap) -> None:
    transform = Affine(10, 0, 4_321_000, 0, -10, 3_210_000)
    found = count_strata([write_map("a.tif", [[0, 1, 1]], crs="EPSG:3035", transform=transform)], LEGEND)
    np.testing.assert_allclose(found.areas, [100, 200, 0], rtol=1e-7)


def test_nodata_is_no_part(write_map: WriteMap) -> None:
    found = count_strata([write_map("a.tif", [[0, 255], [255, 255]])], LEGEND)
    assert found.pixels.tolist() == [1, 0, 0]


def test_neither_blocks_nor_order_change_a_bit(write_map: WriteMap, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    first = generator.integers(0, 3, (301, 97), dtype=np.uint8)
    other = generator.integers(0, 3, (50, 60), dtype=np.uint8)
    a = write_map("a.tif", first, crs="EPSG:4326", transform=DEGREES)
    b = write_map("b.tif", other)
    whole = count_strata([a, b], LEGEND)
    monkeypatch.setattr("terrazzo.assessment.class_map._PIXELS_AT_ONCE", 97 * 7)
    again = write_map("c.tif", first, crs="EPSG:4326", transform=DEGREES, block=16)
    cut = count_strata([b, again], LEGEND)
    np.testing.assert_array_equal(whole.pixels, cut.pixels)
    np.testing.assert_array_equal(whole.areas, cut.areas)
    assert [path.name for path in whole.maps] == [path.name.replace("c.tif", "a.tif") for path in cut.maps]


def test_maps_without_coordinates_count_pixels(write_map: WriteMap) -> None:
    found = count_strata([write_map("a.tif", [[0, 1, 1]], crs=None)], LEGEND)
    assert found.unit == "pixels"
    assert found.areas.tolist() == [1, 2, 0]


def test_maps_with_and_without_coordinates(write_map: WriteMap) -> None:
    with pytest.raises(ConfigError, match=r"b\.tif has no coordinate reference system"):
        count_strata([write_map("a.tif", [[0]]), write_map("b.tif", [[1]], crs=None)], LEGEND)


def test_one_map_twice(write_map: WriteMap) -> None:
    a = write_map("a.tif", [[0, 1]])
    with pytest.raises(ConfigError, match="the same pixels"):
        count_strata([a, a], LEGEND)


def test_nothing_is_mapped(write_map: WriteMap) -> None:
    with pytest.raises(DataError, match="nothing to sample"):
        count_strata([write_map("a.tif", [[255, 255]])], LEGEND)


def test_pixels_beyond_the_projection(write_map: WriteMap) -> None:
    transform = Affine(100_000, 0, -18_000_000, 0, -100_000, 9_000_000)
    values = np.zeros((180, 360), np.uint8)
    with pytest.raises(DataError, match="no ground"):
        count_strata([write_map("a.tif", values, crs="ESRI:54009", transform=transform)], LEGEND)


def test_overlapping_frames_are_told(write_map: WriteMap) -> None:
    values = np.zeros((20, 20), np.uint8)
    a = write_map("a.tif", values)
    beside = write_map("b.tif", values, transform=Affine(10, 0, 500_200, 0, -10, 5_500_000))
    across = write_map("c.tif", values, transform=Affine(10, 0, 500_150, 0, -10, 5_500_000))
    assert count_strata([a, beside], LEGEND).warnings == ()
    (told,) = count_strata([a, across], LEGEND).warnings
    assert "a.tif" in told
    assert "counts twice" in told


def test_overlaps_across_systems_are_told(write_map: WriteMap) -> None:
    values = np.zeros((20, 20), np.uint8)
    a = write_map("a.tif", values)
    to_degrees = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    x, y = to_degrees.transform(500_100, 5_499_900)
    near = write_map("b.tif", values, crs="EPSG:4326", transform=Affine(1e-4, 0, x, 0, -1e-4, y))
    far = write_map("c.tif", values, crs="EPSG:4326", transform=Affine(1e-4, 0, x + 1, 0, -1e-4, y))
    assert len(count_strata([a, near], LEGEND).warnings) == 1
    assert count_strata([a, far], LEGEND).warnings == ()


def test_progress_counts_rows(write_map: WriteMap) -> None:
    events: list[Event] = []
    count_strata([write_map("a.tif", np.zeros((30, 4), np.uint8))], LEGEND, listener=events.append)
    assert (events[-1].done, events[-1].total) == (30, 30)


def test_a_map_as_terrazzo_writes_it(write_map: WriteMap) -> None:
    path = write_map("a.tif", [[4, 2]], names=("dry", "wet"), numbers=(2, 4))
    legend = read_legend([path], None)
    assert count_strata([path], legend).pixels.tolist() == [1, 1]


def test_runs_of_one_pixel() -> None:
    assert [part.tolist() for part in runs_of(np.array([[2]]))] == [[0], [0], [1], [2]]
    assert all(not len(part) for part in runs_of(np.array([[-1]])))


def test_runs_hold_every_pixel_once() -> None:
    classes = np.random.default_rng(1).integers(-1, 3, (13, 17))
    row, begin, end, number = runs_of(classes)
    drawn = np.full_like(classes, -1)
    for y, left, right, value in zip(row, begin, end, number, strict=True):
        assert (drawn[y, left:right] == -1).all()
        drawn[y, left:right] = value
    np.testing.assert_array_equal(drawn, classes)
    assert math.isclose((end - begin).sum(), (classes >= 0).sum())
