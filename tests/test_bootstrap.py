"""Resamples hold as many units as there are, the same for the same seed, and intervals cover what they should."""

import numpy as np

from terrazzo.bootstrap import interval, resampled_counts


def test_every_resample_has_all_its_units() -> None:
    counts = resampled_counts(7, draws=50, seed=3)
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(counts, resampled_counts(7, draws=50, seed=3))
    assert (counts != resampled_counts(7, draws=50, seed=4)).any()


def test_an_interval_of_the_mean_covers_it_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    counts = resampled_counts(80, draws=400)
    covered = 0
    for _ in range(300):
        values = generator.normal(size=80)
        low, high = interval(counts @ values / 80, level=0.9)
        covered += low <= 0 <= high
    assert 0.84 <= covered / 300 <= 0.95


def test_values_that_are_no_numbers_are_left_out() -> None:
    assert interval(np.array([1.0, np.nan, 1.0])) == (1.0, 1.0)
    assert all(np.isnan(interval(np.array([np.nan]))))
