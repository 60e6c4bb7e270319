"""One round of the sieve, against the rule written out pixel by pixel."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from terrazzo.scene.polygons.sieve import Sieve

IGNORE = 255
SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))


def pixel_by_pixel(values: np.ndarray, smallest: int) -> tuple[np.ndarray, bool]:
    """Return a map after one round, and whether small areas were left that have neighbours."""
    height, width = values.shape
    area = np.full(values.shape, -1)
    members: list[list[tuple[int, int]]] = []
    for begin in np.ndindex(values.shape):
        if area[begin] >= 0:
            continue
        area[begin] = len(members)
        found = [begin]
        for y, x in found:
            for down, right in SIDES:
                near = y + down, x + right
                inside = 0 <= near[0] < height and 0 <= near[1] < width
                if inside and area[near] < 0 and values[near] == values[begin]:
                    area[near] = len(members)
                    found.append(near)
        members.append(found)
    value = [int(values[found[0]]) for found in members]
    size = [len(found) for found in members]
    target: dict[int, tuple[str, int]] = {}
    restless = False
    for number, found in enumerate(members):
        if size[number] >= smallest or value[number] == IGNORE:
            continue
        around = Counter(
            int(area[y + down, x + right])
            for y, x in found
            for down, right in SIDES
            if 0 <= y + down < height and 0 <= x + right < width
        )
        neighbours = {other: n for other, n in around.items() if other != number and value[other] != IGNORE}
        lengths: Counter[tuple[str, int]] = Counter()
        for other, length in neighbours.items():
            if size[other] >= smallest:
                lengths["class", value[other]] += length
            elif (size[other], -value[other]) > (size[number], -value[number]):
                lengths["area", other] += length

        def rank(choice: tuple[str, int], lengths: Counter[tuple[str, int]] = lengths) -> tuple[int, ...]:
            kind, which = choice
            if kind == "class":
                return -lengths[choice], which, -smallest, 0
            return -lengths[choice], value[which], -size[which], which

        if lengths:
            target[number] = min(lengths, key=rank)
        elif neighbours:
            restless = True

    def becomes(number: int) -> int:
        if number not in target:
            return value[number]
        kind, which = target[number]
        return which if kind == "class" else becomes(which)

    table = np.array([becomes(number) for number in range(len(members))], dtype=values.dtype)
    return table[area], restless


def streamed(values: np.ndarray, smallest: int, chunk: int, band_rows: int) -> tuple[np.ndarray, bool]:
    sieve = Sieve(values.shape[1], smallest=smallest, ignore=IGNORE, band_rows=band_rows)
    found = [rows for top in range(0, len(values), chunk) for rows in sieve.feed(values[top : top + chunk])]
    return np.concatenate(found + sieve.finish()), sieve.restless


@settings(deadline=None, max_examples=80)
@given(
    values=arrays(
        np.uint8,
        array_shapes(min_dims=2, max_dims=2, max_side=14),
        elements=st.sampled_from([0, 1, 2, 3, IGNORE]),
        fill=st.nothing(),
    ),
    smallest=st.integers(2, 15),
    chunk=st.integers(1, 6),
    band_rows=st.integers(1, 6),
)
def test_any_map(values: np.ndarray, smallest: int, chunk: int, band_rows: int) -> None:
    expected, restless = pixel_by_pixel(values, smallest)
    found, left = streamed(values, smallest, chunk, band_rows)
    np.testing.assert_array_equal(found, expected)
    assert left == restless


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_noise(chunk: int) -> None:
    draw = np.random.default_rng(0)
    values = draw.integers(0, 3, (60, 25)).astype(np.uint8)
    values[draw.random(values.shape) < 0.2] = IGNORE
    expected, _ = pixel_by_pixel(values, 9)
    np.testing.assert_array_equal(streamed(values, 9, chunk, 5)[0], expected)


def test_the_longest_border_wins_and_then_the_smaller_class() -> None:
    values = np.array([[1, 1, 1, 1], [2, 3, 1, 1], [2, 2, 2, 2]], dtype=np.uint8)
    # The pixel of 3 has two sides to each.
    assert streamed(values, 3, 3, 3)[0][1, 1] == 1
    values[1, 2] = 2
    assert streamed(values, 3, 3, 3)[0][1, 1] == 2


def test_areas_of_one_class_count_together() -> None:
    # Three sides to the area of 1, two to each of the areas of 2.
    rows = [[2, 2, 2, 1, 1], [2, 2, 2, 1, 1], [4, 5, 5, 5, 1], [2, 2, 2, 1, 1], [2, 2, 2, 1, 1]]
    found, _ = streamed(np.array(rows, dtype=np.uint8), 4, 4, 4)
    assert found[2].tolist() == [2, 2, 2, 2, 1]


def test_missing_pixels_neither_take_nor_give() -> None:
    values = np.full((5, 5), IGNORE, dtype=np.uint8)
    values[2, 2] = 1
    found, restless = streamed(values, 50, 2, 2)
    np.testing.assert_array_equal(found, values)
    assert not restless


def test_rows_leave_early() -> None:
    values = np.zeros((400, 10), dtype=np.uint8)
    values[::7, 4] = 1
    sieve = Sieve(10, smallest=5, ignore=IGNORE, band_rows=20)
    left = 0
    for top in range(0, 400, 10):
        left += sum(len(rows) for rows in sieve.feed(values[top : top + 10]))
        assert top + 10 - left <= 20
