"""Points: where they fall, how often each pixel is taken, and that only seed and ground decide."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine

from terrazzo.assessment.area_sample import SamplePoints, _Smallest, _tickets, draw_points
from terrazzo.assessment.area_strata import Strata, count_strata
from terrazzo.assessment.class_map import Legend
from terrazzo.errors import ConfigError

WriteMap = Callable[..., Path]
LEGEND = Legend(("forest", "water", "town"), (0, 1, 2))
DEGREES = Affine(0.5, 0, 10, 0, -0.5, 80)


def drawn(paths: list[Path], points: list[int], seed: int = 0) -> tuple[Strata, SamplePoints]:
    strata = count_strata(paths, LEGEND)
    return strata, draw_points(strata, np.array(points), seed=seed)


def places(points: SamplePoints) -> list[tuple[int, int, int]]:
    return list(zip(points.rows.tolist(), points.columns.tolist(), points.classes.tolist(), strict=True))


def test_every_point_lies_on_its_class_and_no_pixel_twice(write_map: WriteMap) -> None:
    values = np.random.default_rng(0).integers(0, 3, (90, 70), dtype=np.uint8)
    values[:9] = 255
    _, points = drawn([write_map("a.tif", values)], [40, 30, 20])
    assert np.bincount(points.classes).tolist() == [40, 30, 20]
    assert len(set(places(points))) == 90
    np.testing.assert_array_equal(values[points.rows, points.columns], points.classes)


def test_coordinates_are_those_of_pixel_middles(write_map: WriteMap) -> None:
    path = write_map("a.tif", np.zeros((20, 30), np.uint8), transform=Affine(10, 2, 500_000, 1, -10, 5_500_000))
    _, points = drawn([path], [50, 0, 0])
    x = 500_000 + 10 * (points.columns + 0.5) + 2 * (points.rows + 0.5)
    y = 5_500_000 + (points.columns + 0.5) - 10 * (points.rows + 0.5)
    np.testing.assert_allclose(points.x, x)
    np.testing.assert_allclose(points.y, y)
    to_degrees = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    np.testing.assert_allclose(np.stack([points.longitudes, points.latitudes]), to_degrees.transform(x, y), atol=1e-9)


def test_without_coordinates(write_map: WriteMap) -> None:
    _, points = drawn([write_map("a.tif", np.zeros((20, 30), np.uint8), crs=None)], [5, 0, 0])
    np.testing.assert_array_equal(points.x, points.columns + 0.5)
    assert np.isnan(points.longitudes).all()


def test_neither_blocks_nor_order_nor_names_change_a_point(
    write_map: WriteMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(4)
    first = generator.integers(0, 3, (200, 60), dtype=np.uint8)
    other = generator.integers(0, 3, (80, 50), dtype=np.uint8)
    small = Affine(1e-4, 0, 10, 0, -1e-4, 60)
    a = write_map("a.tif", first, crs="EPSG:4326", transform=small)
    b = write_map("b.tif", other)
    _, before = drawn([a, b], [60, 9, 33], seed=3)
    monkeypatch.setattr("terrazzo.assessment.class_map._PIXELS_AT_ONCE", 60 * 3)
    renamed = write_map("z.tif", first, crs="EPSG:4326", transform=small, block=32)
    _, after = drawn([b, renamed], [60, 9, 33], seed=3)
    for name in ("maps", "rows", "columns", "classes", "x", "y", "longitudes", "latitudes"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), err_msg=name)
    assert set(before.maps.tolist()) == {0, 1}


def test_the_seed_decides(write_map: WriteMap) -> None:
    path = write_map("a.tif", np.zeros((50, 50), np.uint8))
    first, again, other = (places(drawn([path], [20, 0, 0], seed)[1]) for seed in (1, 1, 2))
    assert first == again != other


def test_more_points_hold_the_fewer(write_map: WriteMap) -> None:
    """Of pixels of one size the smallest tickets are taken, so a sample can be added to."""
    path = write_map("a.tif", np.zeros((50, 50), np.uint8), crs=None)
    few, many = (set(places(drawn([path], [count, 0, 0])[1])) for count in (20, 50))
    assert few < many


def test_a_class_looked_at_whole(write_map: WriteMap) -> None:
    values = np.zeros((40, 10), np.uint8)
    values[::13, 3] = 1
    _, points = drawn([write_map("a.tif", values, crs="EPSG:4326", transform=DEGREES)], [5, 4, 0])
    assert sorted(points.rows[points.classes == 1].tolist()) == [0, 13, 26, 39]


def test_too_few_pixels_are_refused_with_what_to_do(write_map: WriteMap) -> None:
    strata = count_strata([write_map("a.tif", [[0, 0, 1]])], LEGEND)
    with pytest.raises(ConfigError, match=r'"water" has 1 pixels for 2 points; "town" has 0 .*--without "water,town"'):
        draw_points(strata, np.array([2, 2, 1]), seed=0)


def test_order_tells_nothing_of_classes(write_map: WriteMap) -> None:
    values = np.repeat(np.array([[0, 1]], np.uint8), 200, axis=0).repeat(50, axis=1)
    _, points = drawn([write_map("a.tif", values)], [200, 200, 0])
    half = points.classes[:200].mean()
    assert 0.35 < half < 0.65
    changes = (np.diff(points.classes) != 0).sum()
    assert 150 < changes < 250


def test_points_are_spread_by_ground_and_not_by_pixels(write_map: WriteMap) -> None:
    """From 80 to 0 degrees north pixels grow sixfold: each row gets its share of the ground."""
    path = write_map("a.tif", np.zeros((160, 12), np.uint8), crs="EPSG:4326", transform=DEGREES)
    strata = count_strata([path], LEGEND)
    found, draws = np.zeros(16), 12
    for seed in range(draws):
        points = draw_points(strata, np.array([800, 0, 0]), seed=seed)
        found += np.bincount(points.rows // 10, minlength=16)
    north = np.cos(np.radians(80 - 0.5 * (np.arange(160) + 0.5))).reshape(16, 10).sum(axis=1)
    expected = draws * 800 * north / north.sum()
    # Ground on the sphere differs from that on the ellipsoid by less than a per cent; draws by their chance.
    assert (np.abs(found - expected) < 4 * np.sqrt(expected) + 0.01 * expected).all()
    assert found[0] < 0.3 * found[-1]


def test_each_pixel_is_as_likely_as_its_area() -> None:
    """Six pixels of unequal size, three of which are drawn: the share of draws that hold each."""
    generator = np.random.default_rng(2)
    areas = np.array([1.0, 2.0, 2.5, 3.0, 3.2, 3.3])
    places = np.arange(18).reshape(3, 6)
    draws = 4_000
    found = np.zeros(6)
    for _ in range(draws):
        drawn = _Smallest(3, float(areas.sum()))
        tickets = generator.random(6)
        for part in (slice(0, 2), slice(2, 6)):
            drawn.add(tickets[part], areas[part], places[:, part])
        found[drawn.taken()[1][0]] += 1
    # Pareto sampling is exact only for many pixels; with six it is so to a per cent or two.
    np.testing.assert_allclose(found / draws, 3 * areas / areas.sum(), atol=4 * 0.5 / np.sqrt(draws) + 0.01)


def test_what_is_passed_over_could_not_be_taken() -> None:
    """Offering only tickets below the bound takes the same pixels as offering all."""
    generator = np.random.default_rng(5)
    areas = generator.uniform(1, 4, 5_000)
    tickets = generator.random(5_000)
    places = np.arange(15_000).reshape(3, 5_000)
    some, all_of_them = (_Smallest(40, float(areas.sum())) for _ in range(2))
    all_of_them.add(tickets, areas, places)
    offered = 0
    for start in range(0, 5_000, 500):
        part = np.flatnonzero(tickets[start : start + 500] < some.highest(4.0)) + start
        offered += len(part)
        some.add(tickets[part], areas[part], places[:, part])
    np.testing.assert_array_equal(np.sort(some.taken()[1][0]), np.sort(all_of_them.taken()[1][0]))
    assert offered < 2_000


def test_tickets_depend_on_their_place_alone() -> None:
    stream = np.uint64(2**64 - 5)
    whole = _tickets(stream, 0, 1_000)
    np.testing.assert_array_equal(whole[300:310], _tickets(stream, 300, 10))
    assert ((whole > 0) & (whole < 1)).all()
    many = _tickets(stream, 10**12, 200_000)
    assert abs(many.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 200_000)
    assert abs(np.corrcoef(many[:-1], many[1:])[0, 1]) < 4 / np.sqrt(200_000)
    np.testing.assert_allclose(np.bincount((many * 20).astype(int)) / 10_000, 1, atol=0.04)


def test_neighbours_and_seeds_are_independent(write_map: WriteMap) -> None:
    """Counts of points in the quarters of a map are those of chance."""
    strata = count_strata([write_map("a.tif", np.zeros((64, 64), np.uint8), crs=None)], LEGEND)
    quarters = np.zeros((100, 4))
    for seed in range(100):
        points = draw_points(strata, np.array([64, 0, 0]), seed=seed)
        quarters[seed] = np.bincount((points.rows // 32) * 2 + points.columns // 32, minlength=4)
    assert np.abs(quarters.mean(axis=0) - 16).max() < 4 * np.sqrt(12 / 100)
    assert 8 < quarters.var(axis=0).mean() < 16
