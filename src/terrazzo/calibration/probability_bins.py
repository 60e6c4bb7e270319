"""Pixels in bins by the probability that was stated of them.

Fifteen bins of equal width for calibration errors and diagrams; 65,536, from which bins of equal mass are made.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from terrazzo.calibration.calibration_error import BINS, FINE_BINS, adaptive_error, binned_error
from terrazzo.calibration.exact_sum import ExactSums
from terrazzo.calibration.reliability_scores import BinScores

__all__ = ["Bins", "FineBins", "bin_of", "fine_bin_of"]


def bin_of(stated: Float32[torch.Tensor, " pixel"]) -> Int64[torch.Tensor, " pixel"]:
    """Return the bin of each probability, 0..14.

    >>> bin_of(torch.tensor([0.0, 0.0666, 0.0667, 1.0]))
    tensor([ 0,  0,  1, 14])
    """
    # In float64 the product is exact, so that no probability is rounded into the next bin.
    return stated.double().mul_(BINS).long().clamp_(0, BINS - 1)


def fine_bin_of(stated: Float32[torch.Tensor, " pixel"]) -> Int64[torch.Tensor, " pixel"]:
    """Return the fine bin of each probability, 0..65535."""
    # A product with a power of two is exact.
    return stated.mul(FINE_BINS).long().clamp_(0, FINE_BINS - 1)


@dataclass(frozen=True, eq=False)
class Bins:
    """Pixels in bins of equal width by what was stated of them.

    Attributes:
        pixels: Counted pixels of each group and bin.
        right: Those where it came true.
        stated: Sums of the stated probabilities.
    """

    pixels: Int64[torch.Tensor, "group bin"]
    right: Int64[torch.Tensor, "group bin"]
    stated: ExactSums

    @classmethod
    def zero(cls, groups: int) -> "Bins":
        """Return bins that have counted nothing."""
        shape = groups, BINS
        return cls(torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64), ExactSums.zero(*shape))

    def __add__(self, other: "Bins") -> "Bins":
        """Return the counts of both."""
        return Bins(self.pixels + other.pixels, self.right + other.right, self.stated + other.stated)

    def __eq__(self, other: object) -> bool:
        """Tell whether both counted the same."""
        return (
            isinstance(other, Bins)
            and torch.equal(self.pixels, other.pixels)
            and torch.equal(self.right, other.right)
            and self.stated == other.stated
        )

    __hash__ = None  # type: ignore[assignment]

    def count_(
        self,
        cell: Int64[torch.Tensor, " pixel"],
        stated: Float32[torch.Tensor, " pixel"],
        ones: Int64[torch.Tensor, " pixel"],
    ) -> None:
        """Count pixels in place.

        Args:
            cell: `group * 15 + bin` of each.
            stated: What was stated of each.
            ones: 1 for each.
        """
        self.pixels.view(-1).scatter_add_(0, cell, ones)
        self.stated.index_add_(cell, stated)

    def joined(self) -> "Bins":
        """Return all groups as one."""
        sums = self.stated.sum(0)
        one = ExactSums(sums.whole[None], sums.fraction[None])
        return Bins(self.pixels.sum(0, keepdim=True), self.right.sum(0, keepdim=True), one)

    def errors(self) -> Float64[np.ndarray, " group"]:
        """Return the calibration error of each group, 0..1; NaN where it has no pixel."""
        pixels = self.pixels.sum(1).double().numpy()
        return binned_error(self.right.double().numpy(), self.stated.values().numpy(), pixels)

    def scores(self, group: int = 0) -> tuple[BinScores, ...]:
        """Return what the bins of a group hold."""
        rows = zip(
            self.pixels[group].tolist(), self.stated.values()[group].tolist(), self.right[group].tolist(), strict=True
        )
        return tuple(BinScores(pixels, _ratio(stated, pixels), _ratio(right, pixels)) for pixels, stated, right in rows)


@dataclass(frozen=True, eq=False)
class FineBins:
    """Pixels in 65,536 bins: of the class shown first, then of each class's own probability.

    Attributes:
        pixels: Counted pixels.
        right: Those where it came true.
    """

    pixels: Int64[torch.Tensor, "plane fine"]
    right: Int64[torch.Tensor, "plane fine"]

    @classmethod
    def zero(cls, classes: int) -> "FineBins":
        """Return bins that have counted nothing."""
        shape = classes + 1, FINE_BINS
        return cls(torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64))

    def __add__(self, other: "FineBins") -> "FineBins":
        """Return the counts of both."""
        return FineBins(self.pixels + other.pixels, self.right + other.right)

    def __eq__(self, other: object) -> bool:
        """Tell whether both counted the same."""
        return (
            isinstance(other, FineBins)
            and torch.equal(self.pixels, other.pixels)
            and torch.equal(self.right, other.right)
        )

    __hash__ = None  # type: ignore[assignment]

    def error(self, plane: int) -> float:
        """Return the calibration error of a plane in bins of equal mass."""
        return adaptive_error(self.pixels[plane].numpy(), self.right[plane].numpy())


def _ratio(part: float | int, whole: int) -> float:
    return part / whole if whole else float("nan")
