"""What an image loses by stopping early."""

import numpy as np
import pytest

from terrazzo.assessment.halting_losses import (
    HALTING_LOSSES,
    RunOutcome,
    available_losses,
    checked_losses,
    halting_loss,
    image_miou,
)
from terrazzo.errors import DataError


def outcome(confusion: list[list[int]], *, differing: int = 0, brier: float = 0.0) -> RunOutcome:
    counts = np.array(confusion)
    return RunOutcome(int(counts.sum()), differing, counts, brier)


@pytest.mark.parametrize("name", HALTING_LOSSES)
def test_the_same_run_loses_nothing(name: str) -> None:
    run = outcome([[3, 1], [2, 4]], brier=1.5)
    assert halting_loss(name, run, run) == 0


def test_better_early_answers_are_losses_below_zero() -> None:
    full, early = outcome([[3, 1], [2, 4]], brier=4.0), outcome([[4, 0], [0, 6]], differing=3, brier=1.0)
    assert halting_loss("error", early, full) == pytest.approx(-0.3)
    assert halting_loss("brier", early, full) == pytest.approx(-0.3)
    assert halting_loss("iou", early, full) == pytest.approx((3 / 6 + 4 / 7) / 2 - 1)
    assert halting_loss("disagreement", early, full) == pytest.approx(0.3)


def test_classes_that_an_image_lacks_do_not_count_but_cost_where_they_are_answered() -> None:
    assert image_miou(np.array([[6, 0, 2], [0, 0, 0], [0, 0, 0]])) == pytest.approx(0.75)
    assert np.isnan(image_miou(np.zeros((2, 2), dtype=np.int64)))


def test_what_cannot_be_judged_is_refused() -> None:
    bare, nothing = RunOutcome(4, 1), RunOutcome(0, 0, np.zeros((2, 2), dtype=np.int64))
    assert halting_loss("disagreement", bare, bare) == 0.25
    with pytest.raises(DataError, match='"error" needs labels'):
        halting_loss("error", bare, bare)
    with pytest.raises(DataError, match='"iou" needs labels'):
        halting_loss("iou", nothing, nothing)
    with pytest.raises(DataError, match="no disagreement"):
        halting_loss("disagreement", nothing, nothing)


def test_losses_are_checked_before_anything_is_computed() -> None:
    assert available_losses(labelled=True) == HALTING_LOSSES
    assert checked_losses(["error", "iou", "error"], labelled=True) == ("error", "iou")
    with pytest.raises(DataError, match="unlabelled scenes allow disagreement alone"):
        checked_losses(["disagreement", "brier"], labelled=False)
