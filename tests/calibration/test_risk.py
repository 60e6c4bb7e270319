"""A threshold is chosen by the rule, from the careful end, on the right side of every border."""

import math

import numpy as np
import pytest

from terrazzo.calibration.risk import ControlMethod, LossTable, choose, positions, quantile_threshold
from terrazzo.errors import ConfigError

GRID = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
METHODS: tuple[ControlMethod, ...] = ("crc", "wsr", "ltt")


def rising(images: int = 300, *, largest: float = 0.2, seed: int = 0) -> LossTable:
    """Losses that rise from 0 at threshold 1."""
    difficulty = np.random.default_rng(seed).beta(1, 2, (images, 1))
    return LossTable(GRID, largest * np.linspace(0, 1, 6) * difficulty)


class TestRule:
    def test_conformal_threshold_is_that_of_trying_all(self) -> None:
        # Against the definition: the smallest threshold whose corrected mean is at most epsilon.
        for seed in range(20):
            table = rising(57, seed=seed)
            for epsilon in (0.02, 0.03, 0.05, 0.08):
                passing = [
                    threshold
                    for threshold, losses in zip(GRID, table.losses.T, strict=True)
                    if 57 / 58 * sum(losses) / 57 + 1 / 58 <= epsilon
                ]
                found = choose(table, method="crc", epsilon=epsilon, bound=1.0)
                assert found.threshold == min(passing, default=1.0)
                assert found.feasible == bool(passing)

    @pytest.mark.parametrize("method", METHODS)
    def test_the_last_that_passes_is_returned_and_not_the_first_that_fails(self, method: ControlMethod) -> None:
        found = choose(rising(), method=method, epsilon=0.03, delta=0.1, bound=0.2)
        assert 0 < found.position < 5
        assert found.threshold == GRID[found.position]
        assert found.upper == found.uppers[found.position] <= 0.03 < found.uppers[found.position + 1]
        assert all(math.isnan(upper) for upper in found.uppers[found.position + 2 :])
        assert found.feasible
        assert found.needed_images is None
        assert found.advice is None

    @pytest.mark.parametrize("method", METHODS)
    def test_nothing_is_looked_for_beyond_the_first_failure(self, method: ControlMethod) -> None:
        losses = np.zeros((300, 6))
        losses[:, 2] = 0.15
        found = choose(LossTable(GRID, losses), method=method, epsilon=0.05, delta=0.1, bound=0.2)
        assert found.position == 1
        assert positions(losses, method=method, epsilon=0.05, delta=0.1, bound=0.2) == 1

    @pytest.mark.parametrize("method", METHODS)
    def test_all_may_pass(self, method: ControlMethod) -> None:
        found = choose(LossTable(GRID, np.zeros((500, 6))), method=method, epsilon=0.05, delta=0.1, bound=0.2)
        assert found.threshold == 0.0
        assert not any(math.isnan(upper) for upper in found.uppers)

    @pytest.mark.parametrize("method", METHODS)
    def test_the_most_careful_is_returned_where_nothing_passes(self, method: ControlMethod) -> None:
        found = choose(LossTable(GRID, np.full((400, 6), 0.15)), method=method, epsilon=0.05, delta=0.1, bound=0.2)
        assert (found.position, found.threshold, found.feasible) == (0, 1.0, False)
        assert found.upper > 0.05
        assert positions(np.full((400, 6), 0.15), method=method, epsilon=0.05, delta=0.1, bound=0.2) == -1

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("images", [1, 2])
    def test_a_single_image_promises_nothing(self, method: ControlMethod, images: int) -> None:
        found = choose(LossTable(GRID, np.zeros((images, 6))), method=method, epsilon=0.05, delta=0.1, bound=0.2)
        assert (found.position, found.feasible, found.images) == (0, False, images)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_single_threshold(self, method: ControlMethod) -> None:
        found = choose(LossTable((1.0,), np.zeros((400, 1))), method=method, epsilon=0.05, delta=0.1, bound=0.2)
        assert (found.threshold, found.feasible, found.needed_images) == (1.0, True, None)

    @pytest.mark.parametrize("method", METHODS)
    def test_thresholds_may_rise_towards_less_care(self, method: ControlMethod) -> None:
        falling = choose(rising(), method=method, epsilon=0.03, delta=0.1, bound=0.2)
        table = LossTable(tuple(1 - threshold for threshold in GRID), rising().losses)
        found = choose(table, method=method, epsilon=0.03, delta=0.1, bound=0.2)
        assert found.threshold == 1 - falling.threshold

    @pytest.mark.parametrize("method", METHODS)
    def test_many_calibrations_at_once_are_each_as_one(self, method: ControlMethod) -> None:
        tables = [rising(80, largest=0.5, seed=seed) for seed in range(30)]
        together = positions(
            np.stack([table.ordered for table in tables]), method=method, epsilon=0.1, delta=0.1, bound=0.3
        )
        for table, position in zip(tables, together, strict=True):
            found = choose(table, method=method, epsilon=0.1, delta=0.1, bound=0.3)
            assert found.position == max(position, 0)
            assert found.feasible == (position >= 0)
        assert len(set(together.tolist())) > 1


class TestBound:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("scale", [0.2, 5.0, 100.0])
    def test_epsilon_is_scaled_with_the_losses(self, method: ControlMethod, scale: float) -> None:
        losses, names = rising(largest=0.5).losses, tuple(map(str, range(300)))
        plain = choose(LossTable(GRID, losses, names), method=method, epsilon=0.12, delta=0.1, bound=1.0)
        table = LossTable(GRID, scale * losses, names)
        scaled = choose(table, method=method, epsilon=0.12 * scale, delta=0.1, bound=scale)
        assert 0 < plain.position == scaled.position
        np.testing.assert_allclose(scaled.uppers, scale * np.array(plain.uppers), rtol=1e-9)
        assert scaled.risk == pytest.approx(scale * plain.risk)

    @pytest.mark.parametrize("method", METHODS)
    def test_bounds_above_one_are_searched_to_their_end(self, method: ControlMethod) -> None:
        losses = np.random.default_rng(0).uniform(1, 3, (400, 2))
        found = choose(LossTable((1.0, 0.0), losses), method=method, epsilon=2.5, delta=0.1, bound=5.0)
        assert found.feasible
        assert 2 < found.upper <= 2.5

    @pytest.mark.parametrize("method", METHODS)
    def test_larger_losses_are_clipped_and_counted(self, method: ControlMethod) -> None:
        losses = np.zeros((400, 2))
        losses[:8, 1] = 0.9
        losses[8:10, 1] = 0.2
        found = choose(LossTable((1.0, 0.0), losses), method=method, epsilon=0.05, delta=0.1, bound=0.2)
        assert (found.threshold, found.clipped) == (0.0, 8)
        assert found.risk == pytest.approx(0.2 * 10 / 400)

    def test_monotonised_losses_are_those_that_are_clipped(self) -> None:
        losses = np.zeros((400, 3))
        losses[:8, 1] = 0.9
        found = choose(LossTable((1.0, 0.5, 0.0), losses), method="crc", epsilon=0.05, bound=0.2)
        assert (found.threshold, found.risk, found.clipped) == (0.0, 0.0, 8)
        assert found.upper == pytest.approx((8 * 0.2 + 0.2) / 401)

    def test_conformal_control_never_trusts_a_loss_that_falls_again(self) -> None:
        # Each threshold spoils other images: each for itself passes, the worst so far does not.
        losses = np.zeros((400, 5))
        for position in range(1, 5):
            losses[100 * (position - 1) : 100 * position, position] = 0.15
        table = LossTable(GRID[:5], losses)
        assert choose(table, method="crc", epsilon=0.1, bound=0.2).position == 2
        assert choose(table, method="wsr", epsilon=0.1, delta=0.1, bound=0.2).position == 4

    def test_negative_losses_help_where_the_method_knows_them(self) -> None:
        losses = np.zeros((300, 2))
        losses[:, 1] = np.random.default_rng(1).permutation(np.repeat([-0.1, 0.12], 150))
        table = LossTable((1.0, 0.0), losses)
        found = {
            method: choose(table, method=method, epsilon=0.04, delta=0.1, bound=0.2).threshold for method in METHODS
        }
        # The mean is 0.01; with 0 in place of negative losses, as the others take the first threshold's, it is 0.06.
        assert found == {"crc": 1.0, "wsr": 0.0, "ltt": 1.0}
        all_negative = LossTable((1.0, 0.0), np.full((300, 2), -0.5))
        for method in METHODS:
            assert choose(all_negative, method=method, epsilon=0.02, delta=0.1, bound=0.2).threshold == 0.0
        conformal = choose(all_negative, method="crc", epsilon=0.02, bound=0.2)
        assert conformal.upper == pytest.approx((300 * -0.5 + 0.2) / 301)


class TestOrder:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("named", [False, True])
    def test_the_order_of_the_catalog_makes_no_difference(self, method: ControlMethod, named: bool) -> None:
        table = rising(90)
        names = tuple(f"image {number}" for number in range(90))
        found = choose(
            LossTable(GRID, table.losses, names if named else ()), method=method, epsilon=0.04, delta=0.1, bound=0.2
        )
        for seed in range(10):
            places = np.random.default_rng(seed).permutation(90)
            shuffled = LossTable(GRID, table.losses[places], tuple(names[place] for place in places) if named else ())
            again = choose(shuffled, method=method, epsilon=0.04, delta=0.1, bound=0.2)
            np.testing.assert_array_equal(again.uppers, found.uppers)
            assert (again.risk, again.position) == (found.risk, found.position)

    @pytest.mark.parametrize("method", ["crc", "ltt"])
    def test_methods_of_the_mean_know_no_order(self, method: ControlMethod) -> None:
        losses = rising(90).losses
        orders = [losses, losses[::-1].copy(), np.sort(losses, axis=0)]
        assert len({int(positions(one, method=method, epsilon=0.04, delta=0.1, bound=0.2)) for one in orders}) == 1


class TestTooFewImages:
    def test_conformal_control_says_exactly_how_many_it_needs(self) -> None:
        losses = np.zeros((10, 3))
        losses[:, 1:] = 0.0051
        found = choose(LossTable((1.0, 0.5, 0.0), losses), method="crc", epsilon=0.01, bound=0.2)
        # (n 0.0051 + 0.2) / (n + 1) <= 0.01 from 38.8 images on.
        assert (found.feasible, found.needed_images) == (False, 39)
        assert "10 images are too few" in found.advice
        assert "about 39 images" in found.advice
        for images, position in ((38, 0), (39, 2)):
            table = LossTable((1.0, 0.5, 0.0), np.repeat(losses[:1], images, axis=0))
            assert choose(table, method="crc", epsilon=0.01, bound=0.2).position == position

    @pytest.mark.parametrize(("epsilon", "bound", "needed"), [(0.01, 0.2, 19), (0.02, 0.2, 9), (0.05, 1.0, 19)])
    def test_decimal_fractions_meet_where_they_should(self, epsilon: float, bound: float, needed: int) -> None:
        # B / (n + 1) is epsilon exactly, but not as binary fractions.
        for images in (needed - 1, needed):
            table = LossTable((1.0, 0.0), np.zeros((images, 2)))
            found = choose(table, method="crc", epsilon=epsilon, bound=bound)
            assert found.feasible == (images == needed)
            assert found.needed_images == (None if found.feasible else needed)
            assert not found.feasible or found.upper <= epsilon

    def test_without_any_loss_the_number_is_that_of_the_formula(self) -> None:
        table = LossTable((1.0, 0.0), np.zeros((5, 2)))
        found = choose(table, method="ltt", epsilon=0.05, delta=0.1, bound=1.0)
        assert found.needed_images == math.ceil(math.log(0.1) / math.log(0.95))
        assert choose(table, method="crc", epsilon=0.05, bound=1.0).needed_images == 19

    @pytest.mark.parametrize("method", METHODS)
    def test_so_many_images_do(self, method: ControlMethod) -> None:
        losses = np.random.default_rng(0).beta(0.5, 30, (30, 4)) * [0, 1, 2, 3]
        few = choose(LossTable((1.0, 0.7, 0.5, 0.0), losses), method=method, epsilon=0.03, delta=0.1, bound=0.5)
        assert few.position == 0
        assert few.needed_images > 30
        more = losses[np.arange(round(1.1 * few.needed_images)) % 30]
        assert choose(LossTable((1.0, 0.7, 0.5, 0.0), more), method=method, epsilon=0.03, delta=0.1, bound=0.5).position

    @pytest.mark.parametrize("method", METHODS)
    def test_no_number_of_images_makes_up_for_a_mean_above_epsilon(self, method: ControlMethod) -> None:
        losses = np.zeros((500, 2))
        losses[:, 1] = 0.06
        found = choose(LossTable((1.0, 0.0), losses), method=method, epsilon=0.05, delta=0.1, bound=0.2)
        # The first threshold passes, so that the promise holds: by never stopping.
        assert (found.feasible, found.position, found.needed_images) == (True, 0, None)
        assert "would not change that" in found.advice

    @pytest.mark.parametrize("method", METHODS)
    def test_a_loss_just_below_epsilon_needs_more_than_anybody_has(self, method: ControlMethod) -> None:
        losses = np.zeros((20, 2))
        losses[:, 1] = np.tile([0.0, 0.0999999], 10)
        found = choose(LossTable((1.0, 0.0), losses), method=method, epsilon=0.05, delta=0.1, bound=0.2)
        assert found.needed_images is None

    @pytest.mark.parametrize("method", METHODS)
    def test_a_second_threshold_without_loss_may_be_all_that_can_be_had(self, method: ControlMethod) -> None:
        losses = np.zeros((3, 3))
        losses[:, 2] = 0.15
        found = choose(LossTable((1.0, 0.5, 0.0), losses), method=method, epsilon=0.04, delta=0.1, bound=0.2)
        assert found.needed_images > 3


def test_what_makes_a_promise_checkable_is_kept() -> None:
    found = choose(rising(123), method="wsr", epsilon=0.04, delta=0.05, bound=0.3)
    assert (found.method, found.epsilon, found.delta, found.bound, found.images) == ("wsr", 0.04, 0.05, 0.3, 123)
    assert choose(rising(), method="crc", epsilon=0.04, delta=0.05, bound=0.3).delta is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": 0.2}, "below the bound 0.2"),
        ({"epsilon": 0.0}, "above 0"),
        ({"epsilon": math.nan}, "above 0"),
        ({"bound": 0.0}, "bound 0 must be above 0"),
        ({"bound": math.inf}, "finite"),
        ({"delta": None}, "wsr needs a delta"),
        ({"delta": 0.0}, "wsr needs a delta"),
        ({"delta": 1.0}, "wsr needs a delta"),
        ({"delta": math.nan}, "wsr needs a delta"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, float | None], message: str) -> None:
    settings = {"method": "wsr", "epsilon": 0.05, "delta": 0.1, "bound": 0.2} | changes
    with pytest.raises(ConfigError, match=message):
        choose(rising(), **settings)
    with pytest.raises(ConfigError, match=message):
        positions(rising().losses, **settings)


class TestQuantile:
    def test_a_share_of_delta_lies_above(self) -> None:
        values = np.random.default_rng(0).random((40, 6, 50))
        found = quantile_threshold(values, delta=0.1)
        assert (values > found).mean() == pytest.approx(0.1, abs=1e-3)

    def test_a_single_value_is_the_threshold(self) -> None:
        assert quantile_threshold(np.array([0.3]), delta=0.1) == 0.3

    @pytest.mark.parametrize(
        ("values", "delta", "message"),
        [([], 0.1, "all of them numbers"), ([math.nan, 1.0], 0.1, "all of them"), ([0.5], 0.0, "delta 0 must be")],
    )
    def test_what_has_no_quantile_is_refused(self, values: list[float], delta: float, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            quantile_threshold(np.array(values, dtype=np.float64), delta=delta)
