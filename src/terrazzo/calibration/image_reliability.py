"""Intervals of reliability: whole images are resampled, since pixels of one image are not independent.

A calibration error is a sum of absolute values, so chance alone raises it: of few images it is too large in the mean,
and resamples lie higher still. The difference between two ways to answer on the same images suffers far less.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from terrazzo.bootstrap import DRAWS, interval, resampled_counts
from terrazzo.calibration.calibration_error import binned_error
from terrazzo.calibration.reliability import Reliability
from terrazzo.errors import DataError

__all__ = ["Estimate", "ImageReliability", "ReliabilityIntervals", "reliability_differences", "reliability_intervals"]

_FIGURES = ("ece", "classwise_ece", "brier", "nll", "accuracy", "confidence")


@dataclass(frozen=True)
class Estimate:
    """A figure of all images, and within which bounds other images of their kind would have it.

    Attributes:
        value: The figure; NaN where it does not exist.
        low: Lower end; NaN with fewer than two images.
        high: Upper end; likewise.
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """Return plain data ready for JSON, with None in place of NaN."""
        return {
            key: None if math.isnan(value) else value
            for key, value in (("value", self.value), ("low", self.low), ("high", self.high))
        }


@dataclass(frozen=True)
class ReliabilityIntervals:
    """Figures with their intervals, named as in `ReliabilityScores`, or what they changed by.

    Attributes:
        images: Images with counted pixels.
        ece: Calibration error of the class shown.
        classwise_ece: Mean calibration error of the classes' own probabilities.
        brier: Mean Brier score.
        nll: Mean negative log-likelihood, in nats.
        accuracy: Share of pixels that are right.
        confidence: Mean probability of the class shown.
        classes: For each class the `ece` of the pixels labelled as it; resamples without the class say nothing of it.
    """

    images: int
    ece: Estimate
    classwise_ece: Estimate
    brier: Estimate
    nll: Estimate
    accuracy: Estimate
    confidence: Estimate
    classes: tuple[Estimate, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data ready for JSON, with None in place of NaN."""
        return {
            "images": self.images,
            **{name: getattr(self, name).as_dict() for name in _FIGURES},
            "classes": [estimate.as_dict() for estimate in self.classes],
        }


@dataclass(frozen=True, eq=False)
class ImageReliability:
    """What intervals need of one image, a few KiB.

    Attributes:
        pixels: Counted pixels by label.
        label_gaps: Pixels that are right less the sum of the probabilities of the class shown, by label and bin.
        class_gaps: Pixels of each class less the sum of its probabilities, by bin of that probability.
        sums: Sums over all pixels: Brier score, negative log-likelihood, right pixels, probability of the class shown.
    """

    pixels: Int64[np.ndarray, " class"]
    label_gaps: Float64[np.ndarray, "class bin"]
    class_gaps: Float64[np.ndarray, "class bin"]
    sums: Float64[np.ndarray, " 4"]

    @classmethod
    def of(cls, reliability: Reliability) -> "ImageReliability":
        """Return the summary of one image's counts.

        Raises:
            DataError: They lack all but the class shown (detail "top").
        """
        shown, classwise = reliability.shown, reliability.classwise
        if classwise is None or reliability.brier is None or reliability.nll is None:
            raise DataError('Intervals need reliability of detail "binned" or "all", not "top".')
        right = int(shown.right.sum())
        confidence = float(shown.stated.sum().sum().values())
        return cls(
            pixels=shown.pixels.sum(1).numpy(),
            label_gaps=(shown.right.double() - shown.stated.values()).numpy(),
            class_gaps=(classwise.right.double() - classwise.stated.values()).numpy(),
            sums=np.array(
                [float(reliability.brier.sum().values()), float(reliability.nll.sum().values()), right, confidence],
                dtype=np.float64,
            ),
        )


def reliability_intervals(
    images: Sequence[ImageReliability], *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> ReliabilityIntervals:
    """Return each figure of all images with its interval.

    Args:
        images: One summary an image; those without counted pixels take no part.
        level: Share of resamples inside an interval, 0..1.
        draws: Resamples.
        seed: Of the draws.

    Raises:
        DataError: The images know different numbers of classes.
    """
    known = [image for image in images if image.pixels.sum()]
    whole, resampled = _figures(known, draws=draws, seed=seed)
    return _estimates(whole, resampled, level=level, images=len(known))


def reliability_differences(
    before: Sequence[ImageReliability],
    after: Sequence[ImageReliability],
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> ReliabilityIntervals:
    """Return what each figure changed by, `after - before`, with its interval from the same images in every resample.

    Args:
        before: One summary an image.
        after: The same images in the same order.
        level: Share of resamples inside an interval, 0..1.
        draws: Resamples.
        seed: Of the draws.

    Raises:
        DataError: They are not the same images, or know different numbers of classes.
    """
    if len(before) != len(after) or any(
        not np.array_equal(one.pixels, other.pixels) for one, other in zip(before, after, strict=True)
    ):
        raise DataError(
            f"{len(before)} images before and {len(after)} after are not the same labelled pixels; differences need "
            "the same images in the same order."
        )
    known = [position for position, image in enumerate(before) if image.pixels.sum()]
    whole, resampled = _figures([before[position] for position in known], draws=draws, seed=seed)
    later, later_resampled = _figures([after[position] for position in known], draws=draws, seed=seed)
    return _estimates(
        {name: later[name] - whole[name] for name in whole},
        {name: later_resampled[name] - resampled[name] for name in resampled},
        level=level,
        images=len(known),
    )


_Figures = dict[str, Float64[np.ndarray, "..."]]


def _figures(images: Sequence[ImageReliability], *, draws: int, seed: int) -> tuple[_Figures, _Figures]:
    """Return the figures of all images as a single draw, and those of every resample."""
    if not images:
        nothing = {name: np.full(1, np.nan) for name in _FIGURES} | {"classes": np.full((1, 0), np.nan)}
        return nothing, nothing
    if len({image.class_gaps.shape for image in images}) > 1:
        raise DataError("Reliability of images with different numbers of classes makes no interval.")
    all_once = np.ones((1, len(images)))
    counts = resampled_counts(len(images), draws=draws, seed=seed).astype(np.float64)
    return _weighted(images, all_once), _weighted(images, counts)


def _weighted(images: Sequence[ImageReliability], counts: Float64[np.ndarray, "draw image"]) -> _Figures:
    """Return the figures of draws, each with so many copies of every image."""

    def summed(parts: Sequence[np.ndarray]) -> Float64[np.ndarray, "..."]:
        return np.tensordot(counts, np.stack(parts).astype(np.float64), axes=1)

    labelled = summed([image.pixels for image in images])
    label_gaps = summed([image.label_gaps for image in images])
    class_gaps = summed([image.class_gaps for image in images])
    pixels = labelled.sum(axis=1)
    means = summed([image.sums for image in images]) / pixels[:, None]
    nothing = np.zeros_like
    joined = label_gaps.sum(axis=1)
    return {
        "ece": binned_error(joined, nothing(joined), pixels),
        "classwise_ece": binned_error(
            class_gaps, nothing(class_gaps), pixels[:, None].repeat(class_gaps.shape[1], 1)
        ).mean(axis=1),
        "brier": means[:, 0],
        "nll": means[:, 1],
        "accuracy": means[:, 2],
        "confidence": means[:, 3],
        "classes": _error(label_gaps, labelled),
    }


def _error(
    gaps: Float64[np.ndarray, "*group bin"], pixels: Float64[np.ndarray, "*group"]
) -> Float64[np.ndarray, "*group"]:
    return binned_error(gaps, np.zeros_like(gaps), pixels)


def _estimates(whole: _Figures, resampled: _Figures, *, level: float, images: int) -> ReliabilityIntervals:
    """Return values and intervals; one image says nothing of others."""

    def estimate(value: float, draws: Float64[np.ndarray, " draw"]) -> Estimate:
        low, high = interval(draws, level=level) if images > 1 else (math.nan, math.nan)
        return Estimate(value, low, high)

    figures = {name: estimate(float(whole[name][0]), resampled[name]) for name in _FIGURES}
    by_class = zip(whole["classes"][0].tolist(), resampled["classes"].T, strict=True)
    return ReliabilityIntervals(
        images=images, **figures, classes=tuple(estimate(value, draws) for value, draws in by_class)
    )
