"""Joining pieces by hand."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from terrazzo.errors import StorageError
from terrazzo.scene.polygons.open_rings import OpenRings
from terrazzo.scene.polygons.point_store import PointStore
from terrazzo.scene.polygons.rings import NO_JOIN, Pieces

DOWN, UP = 0, 1
"""Joins of an edge that leaves a band."""


def pieces(*rows: tuple[int, int, int, int, list[int]]) -> Pieces:
    """Return pieces of start, end, area, pixels, and points, each given by one number."""
    points = [point for row in rows for point in row[4]]
    columns = (np.array([row[column] for row in rows], dtype=np.int64) for column in range(4))
    counts = np.array([len(row[4]) for row in rows], dtype=np.int64)
    return Pieces(*columns, counts, np.array([(point, -point) for point in points], dtype=np.int32).reshape(-1, 2))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., OpenRings]]:
    with contextlib.ExitStack() as stack:

        def make(*, most_parts: int = 100) -> OpenRings:
            store = PointStore(tmp_path, memory_points=2)
            stack.callback(store.close)
            return OpenRings(store, most_parts=most_parts)

        yield make


NOTHING = np.zeros(0, dtype=np.int64)


@pytest.mark.parametrize("most_parts", [0, 100])
def test_a_ring_through_many_bands_comes_back_in_order(opened: Callable[..., OpenRings], most_parts: int) -> None:
    rings = opened(most_parts=most_parts)
    same = np.array([0])
    got = rings.advance(pieces((4 + UP, 4 + DOWN, 0, 2, [1, 2])), NOTHING, same)
    assert len(got.area) == 0
    for band in range(1, 20):
        down = (4 * band + DOWN, 4 * band + 4 + DOWN, 0, 1, [100 + band])
        up = (4 * band + 4 + UP, 4 * band + UP, 0, 1, [200 + band])
        assert len(rings.advance(pieces(down, up), same, same).area) == 0
    got = rings.advance(pieces((80 + DOWN, 80 + UP, 0, 3, [7])), same, np.array([-1]))
    assert got.signed.tolist() == [2 + 19 * 2 + 3]
    expected = [1, 2, *range(101, 120), 7, *range(219, 200, -1)]
    ring = got.points[:, 0].tolist()
    begin = ring.index(1)
    assert ring[begin:] + ring[:begin] == expected
    np.testing.assert_array_equal(got.points[:, 1], -got.points[:, 0])


def test_a_crossing_turns_where_areas_stay_apart_and_crosses_where_they_are_one(
    opened: Callable[..., OpenRings],
) -> None:
    # Two pieces in each area end and begin at a crossing, whose joins are 6 and 7.
    crossing = pieces((6, 6, 0, 5, [1, 2, 3, 4]), (7, 7, 1, 6, [11, 12, 13, 14]))
    apart = opened()
    assert len(apart.advance(crossing, NOTHING, np.array([0, 1])).area) == 0
    got = apart.advance(pieces(), np.array([0, 1]), np.array([-1, 0]))
    assert (got.area.tolist(), got.points[:, 0].tolist()) == ([0], [1, 2, 3, 4])
    united = opened()
    united.advance(crossing, NOTHING, np.array([0, 1]))
    got = united.advance(pieces(), np.array([0, 0]), np.array([-1]))
    assert got.signed.tolist() == [11]
    assert sorted(got.points[:, 0].tolist()) == [1, 2, 3, 4, 11, 12, 13, 14]


def test_rings_of_open_areas_wait(opened: Callable[..., OpenRings]) -> None:
    rings = opened()
    hole, ring = (NO_JOIN, NO_JOIN, 0, -1, [1, 2, 3, 4]), (NO_JOIN, NO_JOIN, 1, 9, [5, 6, 7, 8])
    got = rings.advance(pieces(hole, ring), NOTHING, np.array([0, -1]))
    assert got.signed.tolist() == [9]
    got = rings.advance(pieces((NO_JOIN, NO_JOIN, 0, 20, [21, 22, 23, 24])), np.array([0]), np.array([-1]))
    assert sorted(zip(got.signed.tolist(), got.counts.tolist(), strict=True)) == [(-1, 4), (20, 4)]


def test_a_piece_without_points_only_joins(opened: Callable[..., OpenRings]) -> None:
    rings = opened()
    rings.advance(pieces((9, 8, 0, 1, [1, 2, 3])), NOTHING, np.array([0]))
    got = rings.advance(pieces((8, 9, 0, 0, [])), np.array([0]), np.array([-1]))
    assert got.points[:, 0].tolist() == [1, 2, 3]


def test_a_complete_area_with_an_open_border_is_refused(opened: Callable[..., OpenRings]) -> None:
    with pytest.raises(StorageError, match="open border"):
        opened().advance(pieces((4, 5, 0, 1, [1])), NOTHING, np.array([-1]))
