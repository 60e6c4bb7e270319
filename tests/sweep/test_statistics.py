"""Means, intervals and differences against SciPy and values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from terrazzo.errors import DataError
from terrazzo.sweep.statistics import holm, paired_difference, spread

FIGURE = st.floats(0, 1, allow_nan=False).map(lambda value: round(value, 4))


def single(values: list[float]) -> list[list[float]]:
    return [[value] for value in values]


def test_a_spread_worked_out_by_hand() -> None:
    found = spread(single([2.0, 4.0, 6.0]))
    assert (found.mean, found.deviation, found.lowest, found.highest) == (4.0, 2.0, 2.0, 6.0)
    # t of 2 degrees of freedom is 4.302653; the standard error 2 / sqrt(3).
    assert found.high - found.mean == pytest.approx(4.302653 * 2 / math.sqrt(3), rel=1e-6)
    assert (found.runs, found.units) == (3, 3)


@settings(max_examples=40, deadline=None)
@given(st.lists(FIGURE, min_size=2, max_size=8, unique=True))
def test_intervals_are_those_of_scipy(values: list[float]) -> None:
    found = spread(single(values))
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert found.low == pytest.approx(low, rel=1e-9, abs=1e-12)
    assert found.high == pytest.approx(high, rel=1e-9, abs=1e-12)
    assert found.deviation == pytest.approx(np.std(values, ddof=1))


def test_one_run_has_no_interval() -> None:
    found = spread([[0.5]])
    assert found.mean == 0.5
    assert math.isnan(found.deviation)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_seeds_of_a_fold_are_no_new_evidence() -> None:
    found = spread([[0.6, 0.8], [0.7, 0.9]])
    assert (found.runs, found.units) == (4, 2)
    assert found.mean == pytest.approx(0.75)
    assert found.deviation == pytest.approx(np.std([0.6, 0.8, 0.7, 0.9], ddof=1))
    low, _ = stats.t.interval(0.95, 1, 0.75, stats.sem([0.7, 0.8]))
    assert found.low == pytest.approx(low)


def test_overlapping_training_sets_widen_the_interval() -> None:
    # Five folds: one image judges where four train, so that the variance is s^2 (1/5 + 1/4) instead of s^2 / 5.
    values = single([0.70, 0.72, 0.71, 0.75, 0.74])
    plain, widened = spread(values), spread(values, overlap=0.25)
    ratio = (widened.high - widened.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(math.sqrt(0.45 / 0.2))
    assert widened.mean == plain.mean


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(FIGURE, FIGURE), min_size=2, max_size=8))
def test_differences_are_those_of_scipys_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    first, second = (list(side) for side in zip(*pairs, strict=True))
    found = paired_difference(single(first), single(second), draws=50)
    differences = np.subtract(first, second)
    assert found.mean == pytest.approx(differences.mean())
    assert found.wins + found.losses <= found.pairs == len(pairs)
    if np.ptp(differences) > 1e-9:
        expected = stats.ttest_rel(first, second)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)
        interval = expected.confidence_interval()
        assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    other = paired_difference(single(second), single(first), draws=50)
    assert other.mean == pytest.approx(-found.mean, abs=1e-15)
    assert (other.wins, other.losses) == (found.losses, found.wins)


def test_the_bootstrap_draws_units() -> None:
    first, second = single([0.8, 0.7, 0.9, 0.6]), single([0.7, 0.65, 0.7, 0.6])
    found = paired_difference(first, second)
    differences = np.subtract(first, second)[:, 0]
    reference = stats.bootstrap((differences,), np.mean, method="percentile", n_resamples=9999, random_state=1)
    assert found.bootstrap_low == pytest.approx(reference.confidence_interval.low, abs=0.006)
    assert found.bootstrap_high == pytest.approx(reference.confidence_interval.high, abs=0.006)
    assert min(differences) <= found.bootstrap_low <= found.mean <= found.bootstrap_high <= max(differences)


def test_equal_and_evenly_shifted_settings() -> None:
    values = [0.5, 0.6, 0.7]
    same = paired_difference(single(values), single(values))
    assert (same.mean, same.low, same.high, same.p_value, same.wins, same.losses) == (0, 0, 0, 1, 0, 0)
    shifted = paired_difference(single([0.6, 0.7, 0.8]), single(values))
    assert shifted.mean == pytest.approx(0.1)
    assert math.isnan(shifted.p_value)
    assert shifted.wins == 3


def test_less_may_be_better() -> None:
    found = paired_difference(single([0.1, 0.2]), single([0.3, 0.1]), more_is_better=False)
    assert (found.wins, found.losses) == (1, 1)
    assert paired_difference(single([0.1]), single([0.3]), more_is_better=False).wins == 1


def test_a_single_pair_has_no_interval() -> None:
    found = paired_difference([[0.6]], [[0.5]])
    assert found.mean == pytest.approx(0.1)
    assert all(map(math.isnan, (found.low, found.high, found.bootstrap_low, found.p_value)))


def test_what_is_not_paired_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be paired"):
        paired_difference([[0.5], [0.6]], [[0.5]])
    with pytest.raises(DataError, match="cannot be paired"):
        paired_difference([[0.5, 0.6]], [[0.5], [0.6]])
    for wrong in ([], [[]], [[math.nan]]):
        with pytest.raises(DataError, match="statistics need"):
            spread(wrong)
        with pytest.raises(DataError, match="statistics need"):
            paired_difference(wrong, wrong)


def test_holm_worked_out_by_hand() -> None:
    assert holm([0.01, 0.02, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert holm([]) == []
    adjusted = holm([math.nan, 0.01])
    assert math.isnan(adjusted[0])
    assert adjusted[1] == 0.01


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_lowers_nothing(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(value <= corrected <= 1 for value, corrected in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= 0)
    assert all(corrected <= min(1, value * len(p_values)) for value, corrected in zip(p_values, adjusted, strict=True))
