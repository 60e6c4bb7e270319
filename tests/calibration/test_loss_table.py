"""Tables are refused where nothing can be chosen from them, and their order is nobody's."""

import numpy as np
import pytest

from terrazzo.calibration.loss_table import LossTable
from terrazzo.errors import ConfigError

LOSSES = np.random.default_rng(0).random((50, 3))
GRID = (1.0, 0.5, 0.0)


def test_without_names_the_order_is_of_the_losses_alone() -> None:
    found = LossTable(GRID, LOSSES).ordered
    for seed in range(5):
        shuffled = LOSSES[np.random.default_rng(seed).permutation(50)]
        np.testing.assert_array_equal(LossTable(GRID, shuffled).ordered, found)
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(LOSSES, axis=0))


def test_with_names_the_order_is_of_the_names_alone() -> None:
    names = tuple(f"Bild {number} ö" for number in range(50))
    found = LossTable(GRID, LOSSES, names).ordered
    places = np.random.default_rng(1).permutation(50)
    shuffled = LossTable(GRID, LOSSES[places], tuple(names[place] for place in places))
    np.testing.assert_array_equal(shuffled.ordered, found)
    # Other losses of the same images come in the same order.
    np.testing.assert_array_equal(LossTable(GRID, LOSSES**2, names).ordered, found**2)


@pytest.mark.parametrize("named", [False, True])
def test_the_order_does_not_follow_the_losses(named: bool) -> None:
    losses = np.sort(np.random.default_rng(2).random((400, 1)), axis=0)
    names = tuple(f"{number:04d}" for number in range(400)) if named else ()
    found = LossTable((1.0,), losses, names).ordered[:, 0]
    # Of an order drawn at random the correlation with the place has a standard deviation of 0.05.
    assert abs(np.corrcoef(found, np.arange(400))[0, 1]) < 0.2


def test_zeros_of_either_sign_are_one() -> None:
    signs = np.where(np.random.default_rng(3).random((50, 3)) < 0.5, 0.0, -0.0)
    losses = np.concatenate([LOSSES[:20], signs])
    plain = np.concatenate([LOSSES[:20], np.zeros((50, 3))])
    np.testing.assert_array_equal(LossTable(GRID, losses).ordered, LossTable(GRID, plain).ordered)


def test_thresholds_may_rise() -> None:
    assert LossTable((0.0, 0.5, 1.0), LOSSES).ordered.shape == (50, 3)


@pytest.mark.parametrize(
    ("thresholds", "losses", "names", "message"),
    [
        ((1.0, 0.5), LOSSES, (), "2 thresholds but losses at 3"),
        (GRID, LOSSES[:0], (), "0 images and 3"),
        ((), LOSSES[:, :0], (), "50 images and 0"),
        ((1.0, 1.0, 0.5), LOSSES, (), "all rise or all fall"),
        ((1.0, 0.5, 0.7), LOSSES, (), "all rise or all fall"),
        ((1.0, 0.5, float("nan")), LOSSES, (), "all rise or all fall"),
        (GRID, LOSSES, ("a",) * 50, "50 names, 1 of them different, for 50 images"),
        (GRID, LOSSES, ("a", "b"), "2 names"),
    ],
)
def test_what_does_not_fit_is_refused(thresholds, losses, names, message) -> None:
    with pytest.raises(ConfigError, match=message):
        LossTable(thresholds, losses, names)


def test_a_loss_that_is_no_number_is_named() -> None:
    losses = LOSSES.copy()
    losses[7, 1] = np.nan
    with pytest.raises(ConfigError, match=r"image number 7 at threshold 0\.5 is nan"):
        LossTable(GRID, losses)
    losses[7, 1] = -np.inf
    with pytest.raises(ConfigError, match=r"image n7 at threshold 0\.5 is -inf"):
        LossTable(GRID, losses, tuple(f"n{number}" for number in range(50)))
