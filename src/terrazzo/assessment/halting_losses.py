"""What an image loses when its windows stop early, against the run of all steps on the same image.

Source: Jazbec et al., Fast yet Safe, NeurIPS 2024 (arXiv 2405.20915): performance-gap and consistency risks.
Differs: Each loss is of one image, counted over its blended map, so that the images of a split are what is independent.
    The IoU gap has no counterpart there; it is a mean over images and no bound on a data set's mIoU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Int64

from terrazzo.calibration.record import HaltingLoss
from terrazzo.errors import DataError

__all__ = ["HALTING_LOSSES", "RunOutcome", "available_losses", "checked_losses", "halting_loss", "image_miou"]

HALTING_LOSSES: tuple[HaltingLoss, ...] = get_args(HaltingLoss)
"""All losses; `disagreement` alone needs no labels."""


@dataclass(frozen=True, eq=False)
class RunOutcome:
    """How one image came out of one run.

    Attributes:
        pixels: Measured pixels of the image's part.
        differing: Those of them whose class is not the full run's.
        confusion: Labelled pixels by label (row) and class (column); None without labels.
        brier: Sum over labelled pixels of sum_c (p_c - [label = c])^2; 0 without labels.
    """

    pixels: int
    differing: int
    confusion: Int64[np.ndarray, "class class"] | None = None
    brier: float = 0.0

    @property
    def labelled(self) -> int:
        """Labelled pixels."""
        return 0 if self.confusion is None else int(self.confusion.sum())


def available_losses(*, labelled: bool) -> tuple[HaltingLoss, ...]:
    """Return the losses that can be counted.

    >>> available_losses(labelled=False)
    ('disagreement',)
    """
    return HALTING_LOSSES if labelled else ("disagreement",)


def image_miou(confusion: Int64[np.ndarray, "class class"]) -> float:
    """Return an image's mean IoU, 0..1, over the classes that are labelled in it; NaN where none is.

    Both runs of an image are so judged over the same classes, whatever they answer.

    >>> image_miou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    0.775
    """
    right, labelled = np.diag(confusion).astype(np.float64), confusion.sum(axis=1)
    union = labelled + confusion.sum(axis=0) - np.diag(confusion)
    present = labelled > 0
    return float((right[present] / union[present]).mean()) if present.any() else float("nan")


def halting_loss(name: HaltingLoss, run: RunOutcome, full: RunOutcome) -> float:
    """Return what an image lost by a run that stopped early.

    - `disagreement` = share of its measured pixels whose class is not the full run's, 0..1;
    - `error` = err(run) - err(full), err the share of its labelled pixels that are wrong, -1..1;
    - `iou` = mIoU(full) - mIoU(run), over the classes labelled in the image, -1..1;
    - `brier` = B(run) - B(full), B the mean over labelled pixels of sum_c (p_c - [label = c])^2, -2..2.

    The last three are negative where the early answer is the better one.

    Args:
        name: Which loss.
        run: The run that stopped early.
        full: The run of all steps.

    Raises:
        DataError: Nothing is measured, or nothing labelled where labels are needed.

    >>> full = RunOutcome(8, 0, np.array([[4, 0], [0, 4]]), brier=0.5)
    >>> early = RunOutcome(8, 2, np.array([[2, 2], [0, 4]]), brier=2.5)
    >>> [round(halting_loss(name, early, full), 4) for name in HALTING_LOSSES]
    [0.25, 0.25, 0.4167, 0.25]
    """
    if name == "disagreement":
        if not run.pixels:
            raise DataError("An image without a measured pixel has no disagreement; leave it out.")
        return run.differing / run.pixels
    if run.confusion is None or full.confusion is None or not run.labelled:
        raise DataError(f'The loss "{name}" needs labels; without any, calibrate by disagreement.')
    if name == "error":
        wrong = [_wrong(one) for one in (run.confusion, full.confusion)]
        return (wrong[0] - wrong[1]) / run.labelled
    if name == "iou":
        return image_miou(full.confusion) - image_miou(run.confusion)
    return (run.brier - full.brier) / run.labelled


def _wrong(confusion: Int64[np.ndarray, "class class"]) -> int:
    return int(confusion.sum() - np.trace(confusion))


def checked_losses(names: Sequence[HaltingLoss], *, labelled: bool) -> tuple[HaltingLoss, ...]:
    """Return the losses, each once.

    Raises:
        DataError: One needs labels and there are none.
    """
    unknown = [name for name in names if name not in available_losses(labelled=labelled)]
    if unknown:
        raise DataError(
            f'The loss "{unknown[0]}" needs labels, and these scenes have none; unlabelled scenes allow '
            f"{', '.join(available_losses(labelled=False))} alone."
        )
    return tuple(dict.fromkeys(names))
