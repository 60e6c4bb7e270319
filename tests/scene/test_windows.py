"""Where windows lie, that their weights sum to 1 everywhere, and what stands beyond the edge."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.errors import ConfigError
from terrazzo.scene.windows import Axis, mirrored, step_between

axes = st.tuples(st.integers(1, 400), st.integers(1, 96), st.floats(0, 0.5)).map(
    lambda drawn: Axis.of(drawn[0], window=drawn[1], stride=step_between(drawn[1], overlap=drawn[2], stride=None))
)


class TestStepBetween:
    def test_default_overlap_is_an_eighth(self) -> None:
        assert step_between(256, overlap=None, stride=None) == 224

    @pytest.mark.parametrize(
        ("window", "overlap", "step"),
        [(512, 0.0, 512), (512, 0.25, 384), (100, 0.07, 93), (100, 0.29, 71), (9, 0.125, 7), (7, 0.5, 4), (1, 0.5, 1)],
    )
    def test_overlap_is_at_least_the_asked_but_for_odd_halves(self, window: int, overlap: float, step: int) -> None:
        assert step_between(window, overlap=overlap, stride=None) == step

    def test_stride_is_taken(self) -> None:
        assert step_between(64, overlap=None, stride=48) == 48

    @pytest.mark.parametrize("stride", [65, 31])
    def test_stride_out_of_range(self, stride: int) -> None:
        with pytest.raises(ConfigError, match=f"predict.stride is {stride}.*between 32 and 64"):
            step_between(64, overlap=None, stride=stride)


class TestStarts:
    @settings(deadline=None)
    @given(axis=axes)
    def test_windows_cover_every_pixel_and_stay_inside(self, axis: Axis) -> None:
        covered = np.zeros(axis.length, dtype=int)
        for start in axis.starts:
            assert 0 <= start <= axis.length - axis.size
            covered[start : start + axis.size] += 1
        assert covered.min() >= 1

    @settings(deadline=None)
    @given(axis=axes)
    def test_evenly_spaced_with_at_least_the_asked_overlap(self, axis: Axis) -> None:
        steps = np.diff(axis.starts)
        assert len(axis) == math.ceil((axis.length - axis.size) / axis.stride) + 1
        if len(steps):
            assert steps.max() - steps.min() <= 1
            assert steps.min() >= 1
            assert steps.max() <= axis.stride

    def test_a_scene_smaller_than_a_window_has_one_of_its_own_size(self) -> None:
        axis = Axis.of(5, window=16, stride=14)
        assert (axis.starts, axis.size) == ((0,), 5)

    def test_one_pixel(self) -> None:
        axis = Axis.of(1, window=16, stride=14)
        assert axis.starts == (0,)
        assert axis.weights(0).tolist() == [1.0]

    def test_exact_fit_needs_no_more_windows(self) -> None:
        assert Axis.of(64, window=16, stride=16).starts == (0, 16, 32, 48)
        assert Axis.of(65, window=16, stride=16).starts == (0, 12, 25, 37, 49)


class TestWeights:
    @settings(deadline=None)
    @given(axis=axes)
    def test_sum_to_one_everywhere(self, axis: Axis) -> None:
        total = np.zeros(axis.length, dtype=np.float32)
        for number, start in enumerate(axis.starts):
            weights = axis.weights(number)
            assert weights.min() >= 0
            assert weights.max() <= 1
            total[start : start + axis.size] += weights
        np.testing.assert_allclose(total, 1, atol=1e-6)

    def test_ramps_are_as_long_as_the_real_overlap(self) -> None:
        axis = Axis(26, 10, 9)
        assert axis.starts == (0, 8, 16)
        middle = axis.weights(1)
        assert (middle[2:8] == 1).all()
        assert ((middle[:2] > 0) & (middle[:2] < 1)).all()
        assert ((middle[8:] > 0) & (middle[8:] < 1)).all()

    def test_cosine_ramp_by_hand(self) -> None:
        axis = Axis(6, 4, 2)
        expected = [math.sin(math.pi / 8) ** 2, math.sin(3 * math.pi / 8) ** 2]
        np.testing.assert_allclose(axis.weights(1), [*expected, 1, 1], atol=1e-7)
        np.testing.assert_allclose(axis.weights(0), [1, 1, 1 - expected[0], 1 - expected[1]], atol=1e-7)

    def test_without_overlap_windows_do_not_mix(self) -> None:
        axis = Axis(8, 4, 4)
        assert axis.weights(0).tolist() == [1] * 4
        assert axis.weights(1).tolist() == [1] * 4

    def test_scene_borders_keep_full_weight(self) -> None:
        axis = Axis(30, 16, 14)
        assert axis.weights(0)[0] == 1
        assert axis.weights(1)[-1] == 1


class TestFades:
    @settings(deadline=None)
    @given(axis=axes)
    def test_are_disjoint_inside_both_windows_and_at_most_half_a_window(self, axis: Axis) -> None:
        assert len(axis.fades) == len(axis) - 1
        for number, fade in enumerate(axis.fades):
            assert axis.starts[number + 1] <= fade.start <= fade.stop <= axis.starts[number] + axis.size
            assert fade.stop - fade.start <= axis.size // 2
        for before, after in pairwise(axis.fades):
            assert before.stop <= after.start

    @settings(deadline=None)
    @given(axis=axes)
    def test_used_pixels_meet_in_the_fades_and_nowhere_else(self, axis: Axis) -> None:
        times = np.zeros(axis.length, dtype=int)
        for number in range(len(axis)):
            times[axis.used(number)] += 1
        expected = np.ones(axis.length, dtype=int)
        for fade in axis.fades:
            expected[fade] += 1
        np.testing.assert_array_equal(times, expected)

    @settings(deadline=None)
    @given(axis=axes)
    def test_ramps_rise_and_are_never_zero_or_one(self, axis: Axis) -> None:
        for number in range(len(axis) - 1):
            rising = axis.rising(number)
            assert ((rising > 0) & (rising < 1)).all()
            assert (np.diff(rising) > 0).all()

    def test_a_small_overlap_is_faded_whole(self) -> None:
        axis = Axis(960, 512, 448)
        assert axis.starts == (0, 448)
        assert axis.fades == (slice(448, 512),)

    @pytest.mark.parametrize("length", [513, 520, 700])
    def test_two_windows_that_nearly_coincide_fade_over_half_a_window(self, length: int) -> None:
        axis = Axis(length, 512, 448)
        assert len(axis) == 2
        (fade,) = axis.fades
        assert fade.stop - fade.start == 256
        assert abs((fade.start + fade.stop) - length) <= 1

    def test_three_windows_that_overlap_by_half_never_meet_in_one_pixel(self) -> None:
        axis = Axis(1025, 512, 512)
        assert axis.starts == (0, 257, 513)
        assert [(fade.start, fade.stop) for fade in axis.fades] == [(257, 512), (513, 769)]

    def test_one_window_has_none(self) -> None:
        assert Axis(16, 16, 14).fades == ()
        assert Axis(16, 16, 14).used(0) == slice(0, 16)


class TestMirrored:
    def test_inside_is_a_slice(self) -> None:
        assert mirrored(2, 5, 5) == slice(2, 5)

    @settings(deadline=None)
    @given(length=st.integers(2, 20), before=st.integers(0, 19), after=st.integers(0, 19))
    def test_is_numpys_reflection_where_it_reaches(self, length: int, before: int, after: int) -> None:
        before, after = min(before, length - 1), min(after, length - 1)
        expected = np.pad(np.arange(length), (before, after), mode="reflect")
        np.testing.assert_array_equal(np.arange(length)[mirrored(-before, length + after, length)], expected)

    @settings(deadline=None)
    @given(length=st.integers(1, 4), before=st.integers(0, 20), after=st.integers(0, 20))
    def test_goes_on_with_its_last_pixel_beyond(self, length: int, before: int, after: int) -> None:
        reach = length - 1
        expected = np.pad(
            np.pad(np.arange(length), (min(before, reach), min(after, reach)), mode="reflect"),
            (max(before - reach, 0), max(after - reach, 0)),
            mode="edge",
        )
        np.testing.assert_array_equal(np.arange(length)[mirrored(-before, length + after, length)], expected)
