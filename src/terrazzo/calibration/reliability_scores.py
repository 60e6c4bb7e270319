"""Figures of reliability, as a person reads them."""

import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["BinScores", "ClassReliability", "ReliabilityScores"]


@dataclass(frozen=True)
class BinScores:
    """What a bin of probabilities holds; the first bin begins at 0, the last ends at 1, all are equally wide.

    Attributes:
        pixels: Counted pixels.
        stated: Mean of the stated probabilities, 0..1; NaN where the bin is empty.
        found: Share of these pixels where it came true, 0..1; NaN where the bin is empty.
    """

    pixels: int
    stated: float
    found: float


@dataclass(frozen=True)
class ClassReliability:
    """Reliability of one class; NaN where there is no such pixel, or where it was not measured.

    Attributes:
        pixels: Pixels labelled as it.
        ece: Top-1 ECE of these pixels, 0..1.
        accuracy: Share of them that are right.
        confidence: Mean probability of the class shown there.
        brier: Mean Brier score there, 0..2.
        nll: Mean negative log-likelihood there, in nats.
        probability_ece: Calibration error of this class's own probability over the pixels of all labels, 0..1.
        probability_ace: The same in bins of equal mass.
        bins: This class's own probability over the pixels of all labels; empty where it was not measured.
    """

    pixels: int
    ece: float
    accuracy: float
    confidence: float
    brier: float
    nll: float
    probability_ece: float
    probability_ace: float
    bins: tuple[BinScores, ...]


@dataclass(frozen=True)
class ReliabilityScores:
    """Reliability of some pixels; NaN without any, or where it was not measured.

    Attributes:
        ece: Calibration error of the class shown, in 15 bins of equal width, 0..1.
        classwise_ece: Mean over all classes of the calibration error of their probabilities, 0..1.
        ace: As `ece`, in 15 bins of equal mass.
        classwise_ace: As `classwise_ece`, in 15 bins of equal mass for each class.
        brier: Mean over pixels of the squared differences of probabilities and label, summed over classes, 0..2.
        nll: Mean negative log-likelihood of the label, in nats.
        accuracy: Share of pixels that are right.
        confidence: Mean probability of the class shown.
        pixels: Counted pixels.
        bins: The class shown, from the least confident bin up.
        classes: Each class, in order.

    Source: Brier, Verification of Forecasts Expressed in Terms of Probability, Monthly Weather Review 78, 1950 (its
        score, 0..2); for calibration errors see `calibration_error`.
    """

    ece: float
    classwise_ece: float
    ace: float
    classwise_ace: float
    brier: float
    nll: float
    accuracy: float
    confidence: float
    pixels: int
    bins: tuple[BinScores, ...]
    classes: tuple[ClassReliability, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data ready for JSON: lists, and None in place of NaN."""
        return {key: _plain(part) for key, part in asdict(self).items()}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
