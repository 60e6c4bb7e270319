"""Intervals of areas from resampled images."""

import numpy as np

from terrazzo.calibration.area_bootstrap import bootstrap_areas
from terrazzo.calibration.areas import estimate_areas

AREAS = np.array([100.0, 300.0, 0.0])


def images(generator: np.random.Generator, count: int, spread: float) -> np.ndarray:
    """Return counts of images whose accuracies differ from each other."""
    found = np.zeros((count, 3, 3), dtype=np.int64)
    for one in found:
        shift = generator.normal(0, spread)
        for row, right in ((0, 0.8), (1, 0.9)):
            share = float(np.clip(right + shift, 0, 1))
            one[row, row] = generator.binomial(1_000, share)
            one[row, 1 - row] = 1_000 - one[row, row]
    return found


def test_values_are_those_of_all_pixels() -> None:
    counts = images(np.random.default_rng(0), 20, 0.05)
    found, plain = bootstrap_areas(counts, AREAS), estimate_areas(counts.sum(axis=0), AREAS)
    np.testing.assert_array_equal(found.areas.value, plain.areas.value)
    np.testing.assert_array_equal(found.shares, plain.shares)
    assert np.isnan([found.user.value[2], found.user.low[2], found.producer.high[2]]).all()
    assert found.areas.value[2] == found.areas.error[2] == 0


def test_the_same_images_give_the_same_intervals() -> None:
    counts = images(np.random.default_rng(0), 20, 0.05)
    one, other = bootstrap_areas(counts, AREAS), bootstrap_areas(counts, AREAS)
    np.testing.assert_array_equal(one.areas.low, other.areas.low)


def test_images_that_err_alike_leave_no_doubt() -> None:
    counts = np.stack([images(np.random.default_rng(0), 1, 0.0)[0]] * 12)
    assert bootstrap_areas(counts, AREAS).areas.error.max() < 1e-9


def test_intervals_cover_what_images_spread() -> None:
    """Accuracies that differ by image: intervals of 90 % hold the truth about as often, those of pixels hardly ever."""
    generator = np.random.default_rng(4)
    inside, pixels, draws = 0, 0, 200
    for _ in range(draws):
        counts = images(generator, 40, 0.05)
        found = bootstrap_areas(counts, AREAS, level=0.9, draws=300)
        plain = estimate_areas(counts.sum(axis=0), AREAS, level=0.9)
        truth = 100 * 0.8 + 300 * 0.1
        inside += bool(found.areas.low[0] <= truth <= found.areas.high[0])
        pixels += bool(plain.areas.low[0] <= truth <= plain.areas.high[0])
    assert 0.82 < inside / draws < 0.95
    assert pixels / draws < 0.6


def test_a_class_that_few_images_hold_may_be_missing_in_a_draw() -> None:
    counts = images(np.random.default_rng(1), 4, 0.05)
    counts[1:, 0] = 0
    found = bootstrap_areas(counts, AREAS)
    assert np.isfinite(found.areas.low[:2]).all()
    assert found.unsampled == ()
