"""How far scores would move with other images, and whether two systems differ: resampling whole images.

Pixels of one image are not independent, so that images are what is drawn, each with its whole confusion matrix. A score
of a draw is the score of the sum of its matrices, never a mean of scores of images.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 (percentile intervals) and 15
    (permutation tests).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from terrazzo.bootstrap import DRAWS, interval, resampled_counts
from terrazzo.errors import ModelError
from terrazzo.metrics.ratios import without_nan

__all__ = [
    "PERMUTATIONS",
    "ClassDifference",
    "ClassIntervals",
    "ConfusionIntervals",
    "Difference",
    "Interval",
    "PairedComparison",
    "confusion_intervals",
    "paired_comparison",
]

PERMUTATIONS = 10_000
"""Random exchanges of two systems from which a p-value is read."""

# Draws that are summed at once: what they need fits into a few megabytes for thousands of images.
_AT_ONCE = 500
# The first columns of all scores are those over all classes; the first of those are compared, with each class's IoU.
_OF_ALL, _COMPARED = 3, 2


@dataclass(frozen=True)
class Interval:
    """A score with its interval, 0..1; NaN where it divides by nothing.

    Attributes:
        value: Of all images.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassIntervals:
    """Scores of one class with their intervals.

    Attributes:
        name: The class.
        iou: TP / (TP + FP + FN).
        f1: 2 TP / (2 TP + FP + FN).
    """

    name: str
    iou: Interval
    f1: Interval


@dataclass(frozen=True)
class ConfusionIntervals:
    """Scores of a split with percentile intervals of the image-level bootstrap.

    Attributes:
        miou: Mean IoU over the classes that are labelled or predicted in a draw.
        accuracy: Share of counted pixels that are right.
        f1: Mean F1 over the same classes as `miou`.
        classes: Scores of each class, in order. A draw without the class says nothing about it and is left out.
        images: How many images there are.
        draws: Resamples.
        level: Share of the resamples inside the intervals.
    """

    miou: Interval
    accuracy: Interval
    f1: Interval
    classes: tuple[ClassIntervals, ...]
    images: int
    draws: int
    level: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain data ready for JSON: lists, and None in place of NaN."""
        return {key: without_nan(part) for key, part in asdict(self).items()}


@dataclass(frozen=True)
class Difference:
    """A score of two systems on the same images.

    Attributes:
        first: The first system's, 0..1.
        second: The second system's, 0..1.
        value: First minus second.
        low: Lower end of the difference's interval, from draws that are the same for both.
        high: Upper end.
        p_value: Two-sided: the chance of a difference at least as large if it did not matter, image by image, which of
            the two answered. Never 0: the observed assignment counts as one of the permutations.
    """

    first: float
    second: float
    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class ClassDifference:
    """One class as two systems answer it; NaN where it is neither labelled nor predicted.

    Attributes:
        name: The class.
        iou: Of its IoU.
    """

    name: str
    iou: Difference


@dataclass(frozen=True)
class PairedComparison:
    """Two systems on the same images.

    Attributes:
        miou: Of mean IoU.
        accuracy: Of the share of right pixels.
        classes: Of each class, in order. Of many classes some differ by chance alone: each p-value stands for itself.
        images: How many images there are.
        draws: Resamples behind the intervals.
        permutations: Random exchanges behind the p-values.
        level: Share of the resamples inside the intervals.
    """

    miou: Difference
    accuracy: Difference
    classes: tuple[ClassDifference, ...]
    images: int
    draws: int
    permutations: int
    level: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain data ready for JSON: lists, and None in place of NaN."""
        return {key: without_nan(part) for key, part in asdict(self).items()}


def confusion_intervals(
    per_image: Int64[np.ndarray, "image class class"],
    names: Sequence[str] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> ConfusionIntervals:
    """Return the scores of all images together, with intervals.

    Args:
        per_image: Each image's counted pixels; rows label, columns prediction.
        names: One name a class; numbers if None.
        draws: Resamples of as many images, drawn with replacement.
        seed: Of the draws.
        level: Share of the resamples inside an interval, 0..1.

    Raises:
        ModelError: There is no image, or the number of names is not the number of classes.

    >>> one = np.array([[[8, 2], [0, 10]], [[9, 1], [3, 7]]])
    >>> found = confusion_intervals(one, ["field", "forest"], draws=100)
    >>> found.accuracy
    Interval(value=0.85, low=0.8, high=0.9)
    """
    _require_images(per_image)
    classes = per_image.shape[1]
    names = _named(names, classes)
    parts = _parts(per_image)
    values = _scores(parts.sum(axis=0, keepdims=True))[0]
    drawn = _drawn(parts, resampled_counts(len(per_image), draws=draws, seed=seed))
    found = [
        Interval(float(value), *interval(of_draws, level=level))
        for value, of_draws in zip(values, drawn.T, strict=True)
    ]
    (miou, accuracy, f1), of_classes = found[:_OF_ALL], found[_OF_ALL:]
    return ConfusionIntervals(
        miou=miou,
        accuracy=accuracy,
        f1=f1,
        classes=tuple(map(ClassIntervals, names, of_classes[:classes], of_classes[classes:])),
        images=len(per_image),
        draws=draws,
        level=level,
    )


def paired_comparison(
    first: Int64[np.ndarray, "image class class"],
    second: Int64[np.ndarray, "other_image other_class other_class"],
    names: Sequence[str] | None = None,
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    level: float = 0.95,
) -> PairedComparison:
    """Compare two systems on the same images, pair by pair.

    The interval is that of the paired bootstrap: both systems are judged on the same resampled images. The p-value is
    that of a permutation test: each image's two matrices are exchanged or not, with even chances, and p = (1 + those at
    least as far apart as observed) / (1 + permutations). Two equal systems differ by 0, with p = 1.

    Args:
        first: One system's counted pixels, image by image; rows label, columns prediction.
        second: The other's, of the same images in the same order.
        names: One name a class; numbers if None.
        draws: Resamples for the intervals.
        permutations: Random exchanges for the p-values.
        seed: Of both.
        level: Share of the resamples inside an interval, 0..1.

    Raises:
        ModelError: There is no image, the number of names is not the number of classes, or the labels that the two were
            judged by are not the same.

    Source: Edgington and Onghena, Randomization Tests, 2007, chapter 3; Phipson and Smyth, Permutation P-values should
        never be zero, 2010 (the one added).

    >>> better = np.array([[[9, 1], [0, 10]]] * 8)
    >>> worse = np.array([[[8, 2], [3, 7]]] * 8)
    >>> found = paired_comparison(better, worse).accuracy
    >>> round(found.value, 3), round(found.low, 3), found.p_value < 0.02
    (0.2, 0.2, True)
    """
    _require_images(first)
    _require_same_labels(first, second)
    names = _named(names, first.shape[1])
    one, other = _parts(first), _parts(second)
    both = [_compared(_scores(parts.sum(axis=0, keepdims=True)))[0] for parts in (one, other)]
    observed = both[0] - both[1]
    counts = resampled_counts(len(first), draws=draws, seed=seed)
    drawn = _compared(_drawn(one, counts) - _drawn(other, counts))
    # An exchange that leaves a class without a pixel counts as far apart, to be careful.
    far = sum(
        (~(np.abs(exchanged) < np.abs(observed))).sum(axis=0)
        for exchanged in _exchanged(one, other, permutations, seed)
    )
    p_values = np.where(np.isnan(observed), np.nan, (1 + far) / (1 + permutations))
    miou, accuracy, *of_classes = (
        Difference(
            first=float(both[0][column]),
            second=float(both[1][column]),
            value=float(observed[column]),
            low=low,
            high=high,
            p_value=float(p_values[column]),
        )
        for column, (low, high) in enumerate(interval(of_draws, level=level) for of_draws in drawn.T)
    )
    classes = tuple(map(ClassDifference, names, of_classes))
    return PairedComparison(miou, accuracy, classes, len(first), draws, permutations, level)


def _named(names: Sequence[str] | None, classes: int) -> Sequence[str]:
    names = [str(number) for number in range(classes)] if names is None else names
    if len(names) != classes:
        raise ModelError(f"{len(names)} class names were given for confusion matrices of {classes} classes.")
    return names


def _compared(scores: Float64[np.ndarray, "draw score"]) -> Float64[np.ndarray, "draw compared"]:
    """Return mIoU, accuracy and the IoU of each class."""
    classes = (scores.shape[1] - _OF_ALL) // 2
    return np.concatenate([scores[:, :_COMPARED], scores[:, _OF_ALL : _OF_ALL + classes]], axis=1)


def _require_images(per_image: Int64[np.ndarray, "image class class"]) -> None:
    if not len(per_image):
        raise ModelError("Intervals need the confusion matrix of at least one image; none was given.")


def _require_same_labels(
    first: Int64[np.ndarray, "image class class"], second: Int64[np.ndarray, "other_image other_class other_class"]
) -> None:
    """Refuse systems that were judged on other images, or on other pixels of them."""
    if first.shape != second.shape:
        raise ModelError(
            f"{len(first)} confusion matrices of {first.shape[1]} classes cannot be compared with {len(second)} of "
            f"{second.shape[1]}; judge both systems on the same images."
        )
    others = (first.sum(axis=2) != second.sum(axis=2)).any(axis=1).nonzero()[0]
    if len(others):
        raise ModelError(
            f"The labels of {len(others)} of {len(first)} images differ between the two systems, the first at position "
            f"{others[0]}; judge both on the same pixels of the same images, in the same order."
        )


def _parts(per_image: Int64[np.ndarray, "image class class"]) -> Int64[np.ndarray, "image 3 class"]:
    """Return what all scores follow from: right, labelled and predicted pixels of each class."""
    right = np.diagonal(per_image, axis1=1, axis2=2)
    return np.stack([right, per_image.sum(axis=2), per_image.sum(axis=1)], axis=1)


def _summed(
    weights: Int64[np.ndarray, "draw image"], parts: Int64[np.ndarray, "image 3 class"]
) -> Int64[np.ndarray, "draw 3 class"]:
    """Return weighted sums over images.

    Products of floats are far faster than those of integers, and as exact below 2^53 pixels.
    """
    flat = parts.reshape(len(parts), -1)
    sums = (weights.astype(np.float64) @ flat.astype(np.float64)).astype(np.int64)
    return sums.reshape(len(weights), *parts.shape[1:])


def _drawn(
    parts: Int64[np.ndarray, "image 3 class"], counts: Int64[np.ndarray, "draw image"]
) -> Float64[np.ndarray, "draw score"]:
    """Return the scores of resamples."""
    return np.concatenate(
        [_scores(_summed(counts[first : first + _AT_ONCE], parts)) for first in range(0, max(1, len(counts)), _AT_ONCE)]
    )


def _exchanged(
    first: Int64[np.ndarray, "image 3 class"], second: Int64[np.ndarray, "image 3 class"], permutations: int, seed: int
) -> Iterator[Float64[np.ndarray, "draw compared"]]:
    """Yield differences of scores where systems are exchanged in some images, at random."""
    # A stream of its own: the same as that of the resamples would be no error, but hard to be sure of.
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 1])))
    total = first.sum(axis=0) + second.sum(axis=0)
    for begun in range(0, permutations, _AT_ONCE):
        shape = (min(_AT_ONCE, permutations - begun), len(first))
        kept = generator.integers(0, 2, size=shape, dtype=np.int64)
        one = _summed(kept, first - second) + second.sum(axis=0)
        yield _compared(_scores(one) - _scores(total - one))


def _scores(sums: Int64[np.ndarray, "draw 3 class"]) -> Float64[np.ndarray, "draw score"]:
    """Return mIoU, accuracy and mean F1, then the IoU of each class, then the F1 of each; NaN as in `Confusion`.

    Equal sums give equal bits, however many draws there are, since means are added class by class.
    """
    right, labelled, predicted = (sums[:, row].astype(np.float64) for row in range(3))
    iou = _ratios(right, labelled + predicted - right)
    f1 = _ratios(2 * right, labelled + predicted)
    accuracy = _ratios(_added(right), _added(labelled))
    means = (_mean_of_known(iou), accuracy, _mean_of_known(f1))
    return np.concatenate([np.stack(means, axis=1), iou, f1], axis=1)


def _ratios(part: Float64[np.ndarray, "*shape"], whole: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    quotients: Float64[np.ndarray, "*shape"] = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
    return quotients


def _mean_of_known(values: Float64[np.ndarray, "draw class"]) -> Float64[np.ndarray, " draw"]:
    known = ~np.isnan(values)
    return _ratios(_added(np.where(known, values, 0.0)), _added(known.astype(np.float64)))


def _added(values: Float64[np.ndarray, "draw class"]) -> Float64[np.ndarray, " draw"]:
    """Return sums over classes, added in their order."""
    total = np.zeros(len(values))
    for column in values.T:
        total += column
    return total
