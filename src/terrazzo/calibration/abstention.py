"""Where to abstain: the least confidence from which on the pixels that a map keeps are seldom wrong.

An image's loss at a confidence c is the share of wrong pixels among those of at least that confidence, and 0 where none
is; abstaining everywhere loses nothing. It lies in 0..1 by itself, so that nothing is clipped: B = 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from terrazzo.calibration.levels import EDGES, LEVELS, level_counts, levels
from terrazzo.calibration.record import AbstentionPromise, Origin
from terrazzo.calibration.risk import Choice, ControlMethod, LossTable, choose
from terrazzo.errors import ConfigError

__all__ = ["CONFIDENCES", "AbstentionLosses", "KeptCounts", "KeptPixels"]

NOWHERE = 2.0
"""Above every confidence, so that all pixels are abstained from."""

_KEPT_FROM = tuple(LEVELS - edge for edge in EDGES)

CONFIDENCES = (NOWHERE, *(level / LEVELS for level in _KEPT_FROM))
"""Confidences that are tried, the most careful first: everywhere, then finely from just below 1 down to 0, nowhere."""


@dataclass(frozen=True, eq=False)
class KeptCounts:
    """What is kept of one image at each of `CONFIDENCES`.

    Attributes:
        kept: Pixels.
        wrong: Those of them whose class is not the label's.
    """

    kept: Int64[np.ndarray, " threshold"]
    wrong: Int64[np.ndarray, " threshold"]

    @property
    def pixels(self) -> int:
        """Counted pixels: all are kept from confidence 0 on."""
        return int(self.kept[-1])


class KeptPixels:
    """Counts the pixels of one image by confidence, right ones and wrong ones."""

    def __init__(self) -> None:
        self._counts: Int64[torch.Tensor, "2 level"] = torch.zeros((2, LEVELS + 1), dtype=torch.int64)

    def add(
        self,
        confidence: Float32[torch.Tensor, "y x"],
        number: Int64[torch.Tensor, "y x"],
        target: Int64[torch.Tensor, "y x"],
        ignored: Bool[torch.Tensor, "y x"],
    ) -> None:
        """Count some of the image's pixels.

        Args:
            confidence: Probability of each pixel's class, as the map has it.
            number: That class.
            target: Class of the label; anything where ignored.
            ignored: Pixels that do not count.
        """
        counted = ~ignored
        found, wrong = levels(confidence[counted]), number[counted] != target[counted]
        self._counts[0] += level_counts(found)
        self._counts[1] += level_counts(found[wrong])

    def counts(self) -> KeptCounts:
        """Return what is kept at each confidence."""
        from_level_on = self._counts.flip(1).cumsum(1).flip(1).numpy()
        kept, wrong = np.pad(from_level_on[:, list(_KEPT_FROM)], ((0, 0), (1, 0)))
        return KeptCounts(kept, wrong)


@dataclass(frozen=True, eq=False)
class AbstentionLosses:
    """What images lose at each confidence, and how much is kept.

    Attributes:
        table: Share of wrong pixels among the kept ones, at each of `CONFIDENCES`.
        kept: Pixels of all images that are kept there.
        pixels: Labelled pixels of all images.
    """

    table: LossTable
    kept: Int64[np.ndarray, " threshold"]
    pixels: int

    @classmethod
    def of(cls, images: Mapping[str, KeptCounts]) -> "AbstentionLosses":
        """Return the losses of images.

        Args:
            images: Counts of each image, by its name; those of which no pixel was counted are left out.

        Raises:
            ConfigError: No pixel was counted.
        """
        counted = {name: counts for name, counts in images.items() if counts.pixels}
        if not counted:
            raise ConfigError("No image has a labelled pixel, so that nothing can be promised of abstaining.")
        kept = np.stack([counts.kept for counts in counted.values()])
        wrong = np.stack([counts.wrong for counts in counted.values()])
        totals = kept.sum(axis=0)
        return cls(LossTable(CONFIDENCES, wrong / np.maximum(kept, 1), tuple(counted)), totals, int(totals[-1]))

    def choose(self, *, method: ControlMethod, epsilon: float, delta: float | None = None) -> Choice:
        """Return the least confidence with a promise.

        Args:
            method: As of `terrazzo.calibration.risk.choose`.
            epsilon: Share of wrong pixels among the kept ones that is allowed, as a mean over images.
            delta: Probability with which the promise may fail; `crc` has none.

        Raises:
            ConfigError: A number is out of range.
        """
        return choose(self.table, method=method, epsilon=epsilon, delta=delta, bound=1.0)

    def promise(self, choice: Choice, origin: Origin) -> AbstentionPromise:
        """Return what a bundle keeps.

        Args:
            choice: What `choose` returned.
            origin: What the images are.
        """
        return AbstentionPromise(
            least_confidence=choice.threshold,
            method=choice.method,
            epsilon=choice.epsilon,
            delta=choice.delta,
            kept=float(self.kept[choice.position] / self.pixels),
            grid=CONFIDENCES,
            risk=choice.risk,
            upper=choice.upper,
            origin=origin,
        )
