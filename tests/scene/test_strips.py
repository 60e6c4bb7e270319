"""Strips share only the rows over which windows fade, and lose none."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.scene.strips import strips_of
from terrazzo.scene.windows import Axis, step_between

axes = st.tuples(st.integers(1, 400), st.integers(1, 96), st.floats(0, 0.5)).map(
    lambda drawn: Axis.of(drawn[0], window=drawn[1], stride=step_between(drawn[1], overlap=drawn[2], stride=None))
)


@settings(deadline=None)
@given(axis=axes, pixels=st.integers(1, 500))
def test_every_row_is_decided_by_one_strip_or_shared_by_two(axis: Axis, pixels: int) -> None:
    strips = strips_of(axis, pixels=pixels)
    assert [strip.number for strip in strips] == list(range(len(strips)))
    assert [row for strip in strips for row in strip.rows] == list(range(len(axis)))
    times = np.zeros(axis.length, dtype=int)
    for strip in strips:
        assert 0 <= strip.decided.start <= strip.decided.stop <= axis.length
        times[strip.decided] += 2
        times[strip.above] += 1
        times[strip.below] += 1
    assert (times == 2).all()


@settings(deadline=None)
@given(axis=axes, pixels=st.integers(1, 500))
def test_neighbours_share_the_fade_between_their_windows(axis: Axis, pixels: int) -> None:
    strips = strips_of(axis, pixels=pixels)
    assert strips[0].above == slice(0, 0)
    assert strips[-1].below == slice(axis.length, axis.length)
    for before, after in pairwise(strips):
        assert before.below == after.above == axis.fades[before.rows[-1]]


def test_a_strip_is_as_many_steps_as_come_nearest() -> None:
    axis = Axis(1000, 100, 90)
    assert [len(strip.rows) for strip in strips_of(axis, pixels=270)] == [3, 3, 3, 2]
    assert [len(strip.rows) for strip in strips_of(axis, pixels=1)] == [1] * 11
    assert [len(strip.rows) for strip in strips_of(axis, pixels=10**9)] == [11]


def test_without_overlap_nothing_is_shared() -> None:
    strips = strips_of(Axis(64, 16, 16), pixels=32)
    assert [strip.decided for strip in strips] == [slice(0, 32), slice(32, 64)]
    assert [strip.above.stop - strip.above.start for strip in strips] == [0, 0]
