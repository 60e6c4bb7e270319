"""Bounds against values computed in another way, and against what they must cover."""

import math

import numpy as np
import pytest
from scipy.special import comb

from terrazzo.calibration.bounds import (
    conformal_upper,
    hoeffding_bentkus_p_value,
    hoeffding_bentkus_upper,
    wealth,
    wealth_upper,
)


def p_value_by_hand(total: float, images: int, epsilon: float) -> float:
    """The same from the formula, with binomial coefficients summed one by one."""
    mean = total / images
    low = min(mean, epsilon)
    entropy = (1 - low) * math.log((1 - low) / (1 - epsilon)) + (low * math.log(low / epsilon) if low else 0.0)
    tail = sum(
        comb(images, count, exact=True) * epsilon**count * (1 - epsilon) ** (images - count)
        for count in range(math.ceil(total) + 1)
    )
    return min(1.0, math.exp(-images * entropy), math.e * tail)


def wealth_by_hand(losses: list[float], risk: float, delta: float) -> float:
    """The same, image by image."""
    images, bets, logarithm, best = len(losses), [], 0.0, -math.inf
    variance = 0.25
    means: list[float] = []
    for number in range(1, images + 1):
        bets.append(min(1.0, math.sqrt(2 * math.log(1 / delta) / (images * variance))))
        means.append((0.5 + sum(losses[:number])) / (number + 1))
        spread = sum((loss - mean) ** 2 for loss, mean in zip(losses[:number], means, strict=True))
        variance = (0.25 + spread) / (number + 1)
    for loss, bet in zip(losses, bets, strict=True):
        logarithm += math.log(1 - bet * (loss - risk))
        best = max(best, logarithm)
    return best


class TestHoeffdingBentkus:
    @pytest.mark.parametrize("total", [0.0, 0.5, 1.0, 3.7, 10.0, 60.0])
    @pytest.mark.parametrize(("images", "epsilon"), [(60, 0.1), (207, 0.05), (1000, 0.01)])
    def test_p_is_the_formulas(self, total: float, images: int, epsilon: float) -> None:
        found = hoeffding_bentkus_p_value(np.array(total / images), images, epsilon)
        assert float(found) == pytest.approx(p_value_by_hand(total, images, epsilon), rel=1e-9)

    def test_a_sum_that_is_whole_but_for_rounding_counts_as_whole(self) -> None:
        losses = np.full(30, 0.1)
        assert losses.mean() * 30 != 3
        found = float(hoeffding_bentkus_p_value(np.array(losses.mean()), 30, 0.3))
        assert found == pytest.approx(p_value_by_hand(3.0, 30, 0.3))

    @pytest.mark.parametrize("mean", [0.0, 0.013, 0.4])
    def test_the_upper_bound_is_where_p_reaches_delta(self, mean: float) -> None:
        upper = float(hoeffding_bentkus_upper(np.array(mean), 150, 0.1))
        assert upper > mean
        assert float(hoeffding_bentkus_p_value(np.array(mean), 150, upper)) <= 0.1
        assert float(hoeffding_bentkus_p_value(np.array(mean), 150, upper - 1e-9)) > 0.1

    def test_a_mean_of_one_bounds_nothing(self) -> None:
        assert float(hoeffding_bentkus_upper(np.array(1.0), 50, 0.1)) == 1.0


class TestWealth:
    @pytest.mark.parametrize("risk", [0.0, 0.02, 0.5, 1.0])
    def test_is_what_betting_image_by_image_wins(self, risk: float) -> None:
        losses = np.random.default_rng(0).beta(0.5, 8, 57) - 0.02
        found = float(wealth(losses, risk, 0.1))
        assert found == pytest.approx(wealth_by_hand(losses.tolist(), risk, 0.1), rel=1e-12)

    def test_samples_side_by_side_are_each_on_its_own(self) -> None:
        losses = np.random.default_rng(1).random((2, 3, 40))
        found = wealth(losses, 0.3, 0.05)
        assert found.shape == (2, 3)
        assert found[1, 2] == wealth(losses[1, 2], 0.3, 0.05)

    def test_losing_everything_is_minus_infinity_and_no_warning(self) -> None:
        assert float(wealth(np.ones(1), 0.0, 0.01)) == -math.inf

    def test_the_upper_bound_is_where_enough_is_won(self) -> None:
        losses = np.random.default_rng(2).beta(1, 20, (6, 120))
        upper = wealth_upper(losses, 0.1)
        assert (upper > losses.mean(axis=1)).all()
        assert (wealth(losses, upper, 0.1) > math.log(10)).all()
        assert (wealth(losses, upper - 1e-9, 0.1) <= math.log(10)).all()

    def test_few_images_bound_nothing(self) -> None:
        assert float(wealth_upper(np.zeros(1), 0.1)) == 1.0

    def test_negative_losses_are_bounded_by_nothing_below_zero(self) -> None:
        assert float(wealth_upper(np.full(500, -3.0), 0.1)) == pytest.approx(0.0, abs=1e-9)
        mixed = np.random.default_rng(3).choice([-1.0, 0.1], 500)
        assert float(wealth_upper(mixed, 0.1)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("rare", [False, True])
def test_bounds_cover_the_mean_as_often_as_they_say(rare: bool) -> None:
    generator = np.random.default_rng(4)
    losses = (generator.random((1000, 60)) < 0.05).astype(float) if rare else generator.beta(0.2, 3.8, (1000, 60))
    most = 0.1 + 3 * math.sqrt(0.1 * 0.9 / 1000)
    assert (wealth_upper(losses, 0.1) < 0.05).mean() <= most
    assert (hoeffding_bentkus_upper(losses.mean(axis=1), 60, 0.1) < 0.05).mean() <= most


# What n images buy at delta 0.1: the largest mean loss at which epsilon passes, computed beforehand.
BOUGHT = {
    207: [(0.01, 0.0052, None), (0.02, 0.0153, 0.0032), (0.03, 0.0253, 0.0084), (0.05, 0.0454, 0.0210)],
    142: [(0.01, 0.0030, None), (0.02, 0.0131, 0.0010), (0.03, 0.0232, 0.0050), (0.05, 0.0433, 0.0161)],
    400: [(0.01, 0.0075, 0.0015), (0.02, 0.0175, 0.0070), (0.03, 0.0276, 0.0136), (0.05, 0.0476, 0.0300)],
}
TENTH = {207: (0.0957, 0.0582), 142: (0.0937, 0.0505), 400: (0.0978, 0.0725)}


@pytest.mark.parametrize(
    ("images", "epsilon", "conformal", "tested"),
    [(n, *row) for n, rows in BOUGHT.items() for row in [*rows, (0.10, *TENTH[n])]],
)
def test_what_images_buy(images: int, epsilon: float, conformal: float, tested: float | None) -> None:
    means = np.arange(0, epsilon, 1e-5)
    passed = means[conformal_upper(means, images) <= epsilon]
    assert passed.max() == pytest.approx(conformal, abs=1.1e-4)
    passed = means[hoeffding_bentkus_p_value(means, images, epsilon) <= 0.1]
    if tested is None:
        assert not len(passed)
    else:
        assert passed.max() == pytest.approx(tested, abs=2.5e-4)


@pytest.mark.parametrize(
    ("mean", "spread", "bounds"),
    [
        (0.005, 0.01, {1.0: (0.0165, 0.0233), 0.5: (0.0107, 0.0165), 0.2: (0.0076, 0.0109), 0.1: (0.0065, 0.0088)}),
        (0.010, 0.02, {1.0: (0.0215, 0.0326), 0.5: (0.0164, 0.0237), 0.2: (0.0132, 0.0178), 0.1: (0.0125, 0.0144)}),
        (0.020, 0.03, {1.0: (0.0319, 0.0479), 0.5: (0.0263, 0.0378), 0.2: (0.0239, 0.0299), 0.1: (0.0225, 0.0247)}),
    ],
)
def test_what_a_smaller_bound_buys(mean: float, spread: float, bounds: dict[float, tuple[float, float]]) -> None:
    # Figures of 207 images with Beta-distributed losses, themselves of one Monte-Carlo run each.
    certainty = mean * (1 - mean) / spread**2 - 1
    losses = np.random.default_rng(5).beta(mean * certainty, (1 - mean) * certainty, (200, 207))
    for bound, (betting, tested) in bounds.items():
        scaled = np.minimum(losses, bound) / bound
        assert bound * wealth_upper(scaled, 0.1).mean() == pytest.approx(betting, rel=0.06)
        upper = bound * hoeffding_bentkus_upper(scaled.mean(axis=1), 207, 0.1)
        assert upper.mean() == pytest.approx(tested, rel=0.06)
