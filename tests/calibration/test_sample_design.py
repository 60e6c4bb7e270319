"""Sample sizes and allocations: the published ones, and what they do at their edges."""

import numpy as np
import pytest

from terrazzo.calibration.sample_design import allocate, expected_error, sample_size
from terrazzo.errors import ConfigError

SHARES = np.array([0.02, 0.015, 0.32, 0.645])
ACCURACIES = np.array([0.7, 0.6, 0.9, 0.95])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])


def test_the_published_sample_size() -> None:
    """Olofsson et al. 2014, section 5.1.1: 641 points for a standard error of 0.01."""
    assert sample_size(SHARES, ACCURACIES, error=0.01, pixels=10_000_000) == 641


def test_a_small_population_needs_fewer_points() -> None:
    many, few = (sample_size(SHARES, ACCURACIES, error=0.01, pixels=pixels) for pixels in (10_000_000, 1_000))
    assert few < many
    assert few <= 1_000
    exact = (SHARES * np.sqrt(ACCURACIES * (1 - ACCURACIES))).sum() ** 2 / (
        1e-4 + (SHARES * ACCURACIES * (1 - ACCURACIES)).sum() / 1_000
    )
    assert few == np.ceil(exact)


def test_certain_classes_need_a_single_point() -> None:
    assert sample_size(np.array([0.5, 0.5]), np.array([1.0, 1.0]), error=0.01, pixels=100) == 1


@pytest.mark.parametrize("error", [0.0, -1.0, float("nan")])
def test_an_error_that_is_none(error: float) -> None:
    with pytest.raises(ConfigError, match="target standard error"):
        sample_size(SHARES, ACCURACIES, error=error, pixels=100)


def test_an_accuracy_that_is_none() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        sample_size(SHARES, np.array([0.7, 0.6, 0.9, 95.0]), error=0.01, pixels=100)


@pytest.mark.parametrize(
    ("minimum", "published"), [(100, [100, 100, 149, 292]), (75, [75, 75, 165, 325]), (50, [50, 50, 182, 359])]
)
def test_the_published_allocations(minimum: int, published: list[int]) -> None:
    """Table 5 of the paper, whose authors rounded by hand."""
    found = allocate(641, SHARES, PIXELS, "olofsson", minimum=minimum)
    assert found.sum() == 641
    assert found[:2].tolist() == published[:2]
    np.testing.assert_allclose(found, published, atol=4)


def test_equal_and_proportional() -> None:
    assert allocate(641, SHARES, PIXELS, "equal", minimum=50).tolist() == [161, 160, 160, 160]
    assert allocate(641, SHARES, PIXELS, "proportional", minimum=50).tolist() == [13, 10, 205, 413]


def test_a_minimum_may_make_further_classes_rare() -> None:
    """What the first rare classes take leaves less to the others, until another one falls below."""
    shares = np.array([0.01, 0.105, 0.885])
    found = allocate(500, shares, np.array([10**6] * 3), "olofsson", minimum=50)
    assert found.tolist() == [50, 50, 400]


def test_every_mapped_class_has_two_points_or_all_its_pixels() -> None:
    shares = np.array([1e-6, 1e-6, 0.999998, 0.0])
    pixels = np.array([1, 500, 10**9, 0])
    assert allocate(100, shares, pixels, "proportional", minimum=50).tolist() == [1, 2, 100, 0]


def test_a_minimum_that_leaves_nothing() -> None:
    assert allocate(60, SHARES, PIXELS, "olofsson", minimum=50).tolist() == [50, 50, 50, 50]


def test_one_class_takes_all() -> None:
    for method in ("equal", "proportional", "olofsson"):
        assert allocate(7, np.array([1.0]), np.array([9]), method, minimum=2).tolist() == [7]


def test_the_expected_error_is_that_of_the_estimates() -> None:
    """Drawn again and again, the overall accuracy spreads as much as was foretold."""
    points = allocate(641, SHARES, PIXELS, "olofsson", minimum=75)
    generator = np.random.default_rng(0)
    right = generator.binomial(points, ACCURACIES, size=(4_000, 4)) / points
    assert expected_error(SHARES, ACCURACIES, points) == pytest.approx((right @ SHARES).std(), rel=0.05)


def test_the_best_allocation_reaches_the_wanted_error() -> None:
    size = sample_size(SHARES, ACCURACIES, error=0.01, pixels=10**9)
    weights = SHARES * np.sqrt(ACCURACIES * (1 - ACCURACIES))
    points = np.round(size * weights / weights.sum()).astype(np.int64)
    assert expected_error(SHARES, ACCURACIES, points) == pytest.approx(0.01, rel=0.01)
