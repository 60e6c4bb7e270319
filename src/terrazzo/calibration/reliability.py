"""How often stated probabilities come true: counts of pixels that add up exactly, and the figures that follow.

All that is kept are whole numbers: pixels in bins, and sums of numbers that were rounded once to multiples of 2^-32
(`exact_sum`). So figures depend neither on the order nor on the pieces in which pixels come, to the last bit, and no
figure is a mean of figures of parts. Against sums of unrounded numbers every mean and every ECE is off by at most
2^-33, some 1.2e-10; ACE, whose bins are made from fine ones, by some 1e-5.

Bins are those of the exact product of probability and number of bins, [k/15, (k+1)/15) and the last one closed. A
boundary band, a region or an image is a `Reliability` of its own: give what lies outside as ignored.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float32, Int64, Integer

from terrazzo.calibration.calibration_error import BINS, FINE_BINS
from terrazzo.calibration.exact_sum import ExactSums
from terrazzo.calibration.probability_bins import Bins, FineBins, bin_of, fine_bin_of
from terrazzo.calibration.reliability_scores import ClassReliability, ReliabilityScores
from terrazzo.errors import ConfigError, LabelError, ModelError

__all__ = ["Chosen", "Detail", "Reliability", "ReliabilityMeter"]

Detail = Literal["top", "binned", "all"]
"""What is counted: of the class shown alone; also class-wise ECE, Brier and NLL; also ACE, from fine bins."""

Chosen = tuple[Float32[torch.Tensor, "y x"], Integer[torch.Tensor, "y x"]]
"""Probability of the class that is shown, and which that is."""

_PIXELS_AT_ONCE = 2**16
_ROUNDING = 1e-4
_LEAST_PROBABILITY = float(torch.finfo(torch.float32).tiny)
"""A likelihood of 0 counts as this much, 87 nats, so that one pixel does not hide all others."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Counted pixels, from which every figure follows; 2 KiB for six classes, with fine bins 1 MiB more a class.

    Attributes:
        shown: Of the class shown, by label.
        classwise: Of each class's own probability, by that class; None where it was not measured.
        brier: Sums of Brier scores by label; None where they were not measured.
        nll: Sums of negative log-likelihoods by label; None where they were not measured.
        fine: None where they were not measured.

    >>> probabilities = torch.tensor([[[0.75, 0.75]], [[0.25, 0.25]]])
    >>> target = torch.tensor([[0, 1]])
    >>> scores = Reliability.of(probabilities, target, target == 255).scores()
    >>> scores.ece, scores.accuracy, scores.brier
    (0.25, 0.5, 0.625)
    """

    shown: Bins
    classwise: Bins | None
    brier: ExactSums | None
    nll: ExactSums | None
    fine: FineBins | None

    @classmethod
    def zero(cls, classes: int, *, detail: Detail = "all") -> "Reliability":
        """Return counts of nothing.

        Args:
            classes: K.
            detail: What is to be counted.

        Raises:
            ConfigError: There is no such detail, or no class.
        """
        if detail not in get_args(Detail):
            raise ConfigError(f'"{detail}" is no detail of reliability; known are {", ".join(get_args(Detail))}.')
        if classes < 1:
            raise ConfigError(f"Reliability is of at least 1 class, not of {classes}.")
        more = detail != "top"
        return cls(
            shown=Bins.zero(classes),
            classwise=Bins.zero(classes) if more else None,
            brier=ExactSums.zero(classes) if more else None,
            nll=ExactSums.zero(classes) if more else None,
            fine=FineBins.zero(classes) if detail == "all" else None,
        )

    @classmethod
    def of(
        cls,
        probabilities: Float32[torch.Tensor, "class y x"],
        target: Int64[torch.Tensor, "y x"],
        ignored: Bool[torch.Tensor, "y x"],
        chosen: Chosen | None = None,
        *,
        detail: Detail = "all",
    ) -> "Reliability":
        """Count the pixels of a piece; `ReliabilityMeter` does the same for many pieces with less work.

        Args:
            probabilities: Of each class, 0..1, summing up to 1.
            target: Class of each pixel, 0..K-1; anything where ignored.
            ignored: Pixels that do not count.
            chosen: The class shown and its probability, where that is not the most probable one, as with a threshold
                for the second of two classes; None for the most probable one, of equals the first.
            detail: What is counted.

        Raises:
            LabelError: A counted pixel's label is outside 0..K-1.
            ModelError: A counted pixel's probabilities are none, or the class shown is outside 0..K-1.
        """
        meter = ReliabilityMeter(len(probabilities), detail=detail)
        meter.add(probabilities, target, ignored, chosen)
        return meter.counted()

    @property
    def classes(self) -> int:
        """K."""
        return len(self.shown.pixels)

    @property
    def pixels(self) -> int:
        """Counted pixels."""
        return int(self.shown.pixels.sum())

    def __add__(self, other: "Reliability") -> "Reliability":
        """Return the counts of both; what only one of them measured is left out.

        Raises:
            ModelError: They know different numbers of classes.
        """
        if self.classes != other.classes:
            raise ModelError(
                f"Reliability of {self.classes} classes cannot be added to reliability of {other.classes}."
            )
        return Reliability(
            shown=self.shown + other.shown,
            classwise=None if self.classwise is None or other.classwise is None else self.classwise + other.classwise,
            brier=None if self.brier is None or other.brier is None else self.brier + other.brier,
            nll=None if self.nll is None or other.nll is None else self.nll + other.nll,
            fine=None if self.fine is None or other.fine is None else self.fine + other.fine,
        )

    def __eq__(self, other: object) -> bool:
        """Tell whether both counted the same, to the last bit."""
        return (
            isinstance(other, Reliability)
            and self.shown == other.shown
            and self.classwise == other.classwise
            and self.brier == other.brier
            and self.nll == other.nll
            and self.fine == other.fine
        )

    __hash__ = None  # type: ignore[assignment]

    def scores(self) -> ReliabilityScores:
        """Return the figures."""
        shown, pixels = self.shown.joined(), self.pixels
        unknown = [math.nan] * self.classes
        by_width = unknown if self.classwise is None else self.classwise.errors().tolist()
        by_mass = unknown if self.fine is None else [self.fine.error(1 + number) for number in range(self.classes)]
        by_label = self.shown.errors().tolist()
        return ReliabilityScores(
            ece=float(shown.errors()[0]),
            classwise_ece=math.fsum(by_width) / self.classes,
            ace=math.nan if self.fine is None else self.fine.error(0),
            classwise_ace=math.fsum(by_mass) / self.classes,
            brier=_mean(None if self.brier is None else self.brier.sum(), None, pixels),
            nll=_mean(None if self.nll is None else self.nll.sum(), None, pixels),
            accuracy=_ratio(int(shown.right.sum()), pixels),
            confidence=_mean(self.shown.stated.sum().sum(), None, pixels),
            pixels=pixels,
            bins=shown.scores(),
            classes=tuple(
                self._class_scores(number, *errors)
                for number, errors in enumerate(zip(by_label, by_width, by_mass, strict=True))
            ),
        )

    def as_dict(self) -> dict[str, object]:
        """Return the figures as plain data ready for JSON: lists, and None in place of NaN."""
        return self.scores().as_dict()

    def _class_scores(
        self, number: int, ece: float, probability_ece: float, probability_ace: float
    ) -> ClassReliability:
        pixels = int(self.shown.pixels[number].sum())
        return ClassReliability(
            pixels=pixels,
            ece=ece,
            accuracy=_ratio(int(self.shown.right[number].sum()), pixels),
            confidence=_mean(self.shown.stated.sum(1), number, pixels),
            brier=_mean(self.brier, number, pixels),
            nll=_mean(self.nll, number, pixels),
            probability_ece=probability_ece,
            probability_ace=probability_ace,
            bins=() if self.classwise is None else self.classwise.scores(number),
        )


class ReliabilityMeter:
    """Counts piece after piece into the same memory.

    Args:
        classes: K.
        detail: What is counted.

    Raises:
        ConfigError: There is no such detail, or no class.
    """

    def __init__(self, classes: int, *, detail: Detail = "all") -> None:
        self._detail: Detail = detail
        self._found = Reliability.zero(classes, detail=detail)
        self._ones = torch.ones(_PIXELS_AT_ONCE, dtype=torch.int64)

    def counted(self) -> Reliability:
        """Return what was counted so far; further pieces do not change it."""
        return self._found + Reliability.zero(self._found.classes, detail=self._detail)

    def add(
        self,
        probabilities: Float32[torch.Tensor, "class y x"],
        target: Int64[torch.Tensor, "y x"],
        ignored: Bool[torch.Tensor, "y x"],
        chosen: Chosen | None = None,
    ) -> None:
        """Count the pixels of a piece; arguments and errors are those of `Reliability.of`."""
        classes = self._found.classes
        if len(probabilities) != classes:
            raise ModelError(f"{len(probabilities)} probabilities a pixel were given for {classes} classes.")
        # Only so may a meter be made inside of inference mode, and be used both there and outside.
        with torch.inference_mode():
            self._add(probabilities, target, ignored, chosen)

    def _add(
        self,
        probabilities: Float32[torch.Tensor, "class y x"],
        target: Int64[torch.Tensor, "y x"],
        ignored: Bool[torch.Tensor, "y x"],
        chosen: Chosen | None,
    ) -> None:
        kept = (~ignored).cpu().flatten().nonzero()[:, 0]
        planes, labels = probabilities.cpu().flatten(1), target.cpu().flatten()
        shown = None if chosen is None else (chosen[0].cpu().flatten(), chosen[1].cpu().flatten())
        for first in range(0, len(kept), _PIXELS_AT_ONCE):
            part = kept[first : first + _PIXELS_AT_ONCE]
            if len(kept) == len(labels):
                # Where all count, slices do instead of copies.
                span = slice(first, first + len(part))
                here, label = planes[:, span], labels[span]
            else:
                here, label = planes.index_select(1, part), labels.index_select(0, part)
            _require_inputs(here, label)
            if shown is None:
                confidence, number = _most_probable(here)
            else:
                confidence, number = (values.index_select(0, part) for values in shown)
                _require_shown(confidence, number, self._found.classes)
            self._count(here, label, confidence, number.long())

    def _count(
        self,
        probabilities: Float32[torch.Tensor, "class pixel"],
        target: Int64[torch.Tensor, " pixel"],
        confidence: Float32[torch.Tensor, " pixel"],
        number: Int64[torch.Tensor, " pixel"],
    ) -> None:
        found, ones = self._found, self._ones[: len(target)]
        right = (number == target).long()
        cell = target * BINS + bin_of(confidence)
        found.shown.count_(cell, confidence, ones)
        found.shown.right.view(-1).scatter_add_(0, cell, right)
        if found.fine is not None:
            cell = fine_bin_of(confidence)
            found.fine.pixels[0].scatter_add_(0, cell, ones)
            found.fine.right[0].scatter_add_(0, cell, right)
        if found.classwise is None or found.brier is None or found.nll is None:
            return
        likely = probabilities.gather(0, target[None])[0]
        found.nll.index_add_(target, likely.clamp_min(_LEAST_PROBABILITY).double().log_().neg_())
        # A class's probability came true where the label is that class: of each pixel that is one of them.
        found.classwise.right.view(-1).scatter_add_(0, target * BINS + bin_of(likely), ones)
        if found.fine is not None:
            cell = (target + 1) * FINE_BINS + fine_bin_of(likely)
            found.fine.right.view(-1).scatter_add_(0, cell, ones)
        brier = 1 - 2 * likely.double()
        for position, plane in enumerate(probabilities):
            exact = plane.double()
            brier.addcmul_(exact, exact)
            found.classwise.count_(bin_of(plane) + position * BINS, plane, ones)
            if found.fine is not None:
                found.fine.pixels[position + 1].scatter_add_(0, fine_bin_of(plane), ones)
        found.brier.index_add_(target, brier)


def _most_probable(
    probabilities: Float32[torch.Tensor, "class pixel"],
) -> tuple[Float32[torch.Tensor, " pixel"], Integer[torch.Tensor, " pixel"]]:
    """Return the largest probability of each pixel, and whose it is; of equals the first."""
    best = probabilities[0].clone()
    number = torch.zeros(best.shape, dtype=torch.int32)
    for position in range(1, len(probabilities)):
        # Later classes have larger numbers, so that the larger of both is the later one where it is better.
        better = (probabilities[position] > best).int()
        torch.maximum(number, better.mul_(position), out=number)
        torch.maximum(best, probabilities[position], out=best)
    return best, number


def _require_inputs(probabilities: Float32[torch.Tensor, "class pixel"], target: Int64[torch.Tensor, " pixel"]) -> None:
    """Refuse labels that are no classes, and numbers that are no probabilities."""
    classes = len(probabilities)
    low, high = (int(bound) for bound in target.aminmax())
    if low < 0 or high >= classes:
        wrong = sorted(set(target[(target < 0) | (target >= classes)].tolist()))[:10]
        raise LabelError(f"Labels {wrong} are no classes (0..{classes - 1}); mark pixels without a class as ignored.")
    _require_probable(probabilities)


def _require_shown(
    confidence: Float32[torch.Tensor, " pixel"], number: Integer[torch.Tensor, " pixel"], classes: int
) -> None:
    """Refuse classes that are none."""
    low, high = int(number.min()), int(number.max())
    if low < 0 or high >= classes:
        raise ModelError(f"The classes shown are {low} to {high}, but there are only 0..{classes - 1}.")
    _require_probable(confidence)


def _require_probable(values: Float32[torch.Tensor, "*pixel"]) -> None:
    low, high = (float(bound) for bound in values.aminmax())
    # What is no number compares as false.
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise ModelError(
            f"Probabilities are {low:g} to {high:g} instead of 0 to 1; give calibrated probabilities, not scores."
        )


def _mean(sums: ExactSums | None, place: int | None, pixels: int) -> float:
    """Return the mean of numbers whose sum is one of these; NaN without pixels, or where they were not measured."""
    if sums is None:
        return math.nan
    found = sums.values()
    return _ratio(float(found if place is None else found[place]), pixels)


def _ratio(part: float | int, whole: int) -> float:
    return part / whole if whole else math.nan
