"""Boundaries: F1 within tolerances, and IoU of the bands along them, for all classes of whole images.

The boundary pixels of a class are those of its pixels that have another class among their four neighbours (inner
boundary). Distances between boundary pixels are Euclidean; a distance equal to the tolerance is within it. The band of
Boundary IoU is the class minus its erosion, by Chebyshev distance, and the image's border counts as boundary there; for
the boundary F1 it does not.

Ignored pixels have no class, neither in the label nor in the prediction: no boundary runs along them, they are in no
band, and no predicted boundary below them counts. Everything is counted in integers, so that sums do not depend on the
order of images.

Source: Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013, section 3 (boundary F1);
    Cheng et al., Boundary IoU, CVPR 2021, section 4 (boundary IoU).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Integer

from terrazzo.errors import ModelError
from terrazzo.metrics.boundary_strips import strip_counts
from terrazzo.metrics.ratios import mean_of_known, ratio, without_nan

__all__ = ["BAND", "DIAGONAL", "TOLERANCES", "BoundaryClassScores", "BoundaryCounts", "BoundaryScores"]

TOLERANCES = (0, 1, 2, 3, 5)
"""Tolerances of the boundary F1 in pixels; 0 is strict: boundaries must lie on each other."""
DIAGONAL = 0.0075
"""A further tolerance, as a share of the image's diagonal; of 2448 x 2448 pixels 26."""
BAND = 0.02
"""Width of Boundary IoU's band, as a share of the image's diagonal; of 2448 x 2448 pixels 69."""

# An image's F1 is kept as an integer of this unit: sums over images are exact in any order.
_UNIT = 2**40


@dataclass(frozen=True)
class BoundaryClassScores:
    """Boundary scores of one class, 0..1; NaN where a score divides by nothing.

    Attributes:
        name: The class.
        f1: For each tolerance, the mean F1 of the images in which the class has a boundary, labelled or predicted.
        pooled_f1: For each tolerance, F1 of the boundary pixels of all images together.
        precision: For each tolerance, the share of all predicted boundary pixels near a labelled one.
        recall: For each tolerance, the share of all labelled boundary pixels near a predicted one.
        boundary_iou: Intersection over union of the bands, both summed over images.
        pixels: Labelled boundary pixels.
    """

    name: str
    f1: tuple[float, ...]
    pooled_f1: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    boundary_iou: float
    pixels: int


@dataclass(frozen=True)
class BoundaryScores:
    """Boundary scores of a split, 0..1; NaN where nothing was counted.

    Attributes:
        tolerances: Names of the tolerances: pixels, and the share of the diagonal, such as `2` or `0.75%`.
        f1: For each tolerance, as in the paper: the mean over the classes of an image that have a boundary there, then
            over images.
        pooled_f1: For each tolerance, the mean over classes of the F1 of all images' boundary pixels together.
        boundary_iou: Mean over the classes that have a band anywhere.
        classes: Scores of each class, in order.
        images: Images with a boundary, labelled or predicted.

    Source: Csurka et al., BMVC 2013, section 3; Cheng et al., CVPR 2021, section 4.
    """

    tolerances: tuple[str, ...]
    f1: tuple[float, ...]
    pooled_f1: tuple[float, ...]
    boundary_iou: float
    classes: tuple[BoundaryClassScores, ...]
    images: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain data ready for JSON: lists, and None in place of NaN."""
        return {key: without_nan(part) for key, part in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class BoundaryCounts:
    """Counted boundary pixels of images, by class and tolerance; integers that add up.

    Attributes:
        tolerances: In pixels.
        diagonal: A further, last tolerance as a share of each image's diagonal; None for none.
        band: Width of Boundary IoU's band as a share of each image's diagonal; None counts no bands.
        predicted: Predicted boundary pixels.
        labelled: Labelled boundary pixels.
        matched_predicted: Predicted boundary pixels with a labelled one of their class within the tolerance.
        matched_labelled: Labelled boundary pixels with a predicted one of their class within the tolerance.
        intersection: Pixels in the predicted and in the labelled band of the class.
        union: Pixels in either.
        f1_sum: Sum of the images' F1, in units of 2^-40.
        f1_images: Images in which the class has a boundary, labelled or predicted.
        mean_sum: Sum of the images' mean F1 over those classes, in units of 2^-40.
        images: Images in which any class has one.

    >>> target = np.array([[0, 0, 1, 1]])
    >>> prediction = np.array([[0, 1, 1, 1]])
    >>> counts = BoundaryCounts.of(prediction, target, target == 255, 2, tolerances=(0, 1), diagonal=None)
    >>> counts.matched_labelled.tolist(), counts.labelled.tolist()
    ([[0, 0], [1, 1]], [1, 1])
    >>> counts.scores(["field", "forest"]).f1
    (0.0, 1.0)
    """

    tolerances: tuple[float, ...]
    diagonal: float | None
    band: float | None
    predicted: Int64[np.ndarray, " class"]
    labelled: Int64[np.ndarray, " class"]
    matched_predicted: Int64[np.ndarray, "tolerance class"]
    matched_labelled: Int64[np.ndarray, "tolerance class"]
    intersection: Int64[np.ndarray, " class"]
    union: Int64[np.ndarray, " class"]
    f1_sum: Int64[np.ndarray, "tolerance class"]
    f1_images: Int64[np.ndarray, " class"]
    mean_sum: Int64[np.ndarray, " tolerance"]
    images: int

    @classmethod
    def zero(
        cls,
        classes: int,
        tolerances: Sequence[int | float] = TOLERANCES,
        *,
        diagonal: float | None = DIAGONAL,
        band: float | None = BAND,
    ) -> "BoundaryCounts":
        """Return counts of nothing; the arguments are those of `of`.

        Raises:
            ModelError: A tolerance or a width is negative or no number.
        """
        for value in (*tolerances, diagonal or 0.0, band or 0.0):
            if not (math.isfinite(value) and value >= 0):
                raise ModelError(f"{value} is no width of a boundary; tolerances and bands are numbers from 0.")
        rows = len(tolerances) + (diagonal is not None)
        one, table = np.zeros(classes, dtype=np.int64), np.zeros((rows, classes), dtype=np.int64)
        return cls(
            tolerances=tuple(float(tolerance) for tolerance in tolerances),
            diagonal=diagonal,
            band=band,
            predicted=one,
            labelled=one,
            matched_predicted=table,
            matched_labelled=table,
            intersection=one,
            union=one,
            f1_sum=table,
            f1_images=one,
            mean_sum=np.zeros(rows, dtype=np.int64),
            images=0,
        )

    @classmethod
    def of(
        cls,
        prediction: Integer[np.ndarray, "y x"],
        target: Integer[np.ndarray, "y x"],
        ignored: Bool[np.ndarray, "y x"],
        classes: int,
        tolerances: Sequence[int | float] = TOLERANCES,
        *,
        diagonal: float | None = DIAGONAL,
        band: float | None = BAND,
    ) -> "BoundaryCounts":
        """Count the boundaries of one whole image.

        Args:
            prediction: Class of each pixel, 0..K-1; anything where ignored.
            target: Label of each pixel, 0..K-1; anything where ignored.
            ignored: Pixels that have no class in either.
            classes: K.
            tolerances: Euclidean distances in pixels at which boundaries still match; 0 is strict.
            diagonal: A further tolerance as a share of this image's diagonal; None for none.
            band: Width of Boundary IoU's band as a share of this image's diagonal, rounded to pixels, at least 1; None
                counts no bands.

        Raises:
            LabelError: A counted pixel's label is outside 0..K-1.
            ModelError: A counted pixel's prediction is, or a tolerance or a width is negative or no number.
        """
        counts = cls.zero(classes, tolerances, diagonal=diagonal, band=band)
        if not target.size:
            return counts
        length = math.hypot(*target.shape)
        distances = [*counts.tolerances, *([] if diagonal is None else [diagonal * length])]
        # Rounding must not take a distance that equals the tolerance out of it.
        squared = [math.floor(distance * distance * (1 + 1e-12)) for distance in distances]
        width = None if band is None else max(1, round(band * length))
        order = sorted(range(len(squared)), key=squared.__getitem__)
        radii = [squared[row] for row in order]
        back = np.argsort(np.array(order, dtype=np.int64))
        for strip in strip_counts(prediction, target, ignored, classes, squared_radii=radii, width=width):
            counts = replace(
                counts,
                predicted=counts.predicted + strip.predicted,
                labelled=counts.labelled + strip.labelled,
                matched_predicted=counts.matched_predicted + strip.matched_predicted[back],
                matched_labelled=counts.matched_labelled + strip.matched_labelled[back],
                intersection=counts.intersection + strip.intersection,
                union=counts.union + strip.union,
            )
        return _as_one_image(counts)

    def numbers(self) -> Int64[np.ndarray, " number"]:
        """Return all counts one after another, to be added elsewhere; `with_numbers` takes the sums back."""
        return np.concatenate([np.atleast_1d(np.asarray(getattr(self, name))).ravel() for name in _COUNTS])

    def with_numbers(self, numbers: Int64[np.ndarray, " number"]) -> "BoundaryCounts":
        """Return these counts with other values, in the order of `numbers`."""
        taken: dict[str, Any] = {}
        position = 0
        for name in _COUNTS:
            shape = np.shape(getattr(self, name))
            part = numbers[position : position + math.prod(shape)]
            taken[name] = part.reshape(shape) if shape else int(part[0])
            position += math.prod(shape)
        return replace(self, **taken)

    def __add__(self, other: "BoundaryCounts") -> "BoundaryCounts":
        """Return the counts of both.

        Raises:
            ModelError: They count other classes, tolerances or bands.
        """
        if self._kind() != other._kind():
            raise ModelError(
                "Boundary counts of (classes, tolerances, share of the diagonal, band) "
                f"{self._kind()} cannot be added to those of {other._kind()}."
            )
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in _COUNTS})

    def __eq__(self, other: object) -> bool:
        """Tell whether both counted the same."""
        return (
            isinstance(other, BoundaryCounts)
            and self._kind() == other._kind()
            and np.array_equal(self.numbers(), other.numbers())
        )

    __hash__ = None  # type: ignore[assignment]

    def _kind(self) -> tuple[int, tuple[float, ...], float | None, float | None]:
        return len(self.labelled), self.tolerances, self.diagonal, self.band

    @property
    def tolerance_names(self) -> tuple[str, ...]:
        """Name of each tolerance: pixels, then the share of the diagonal in per cent."""
        shares = () if self.diagonal is None else (f"{100 * self.diagonal:g}%",)
        return (*(f"{tolerance:g}" for tolerance in self.tolerances), *shares)

    def scores(self, names: Sequence[str]) -> BoundaryScores:
        """Return the scores.

        Args:
            names: One name a class, in order.

        Raises:
            ModelError: The number of names is not the number of classes.
        """
        if len(names) != len(self.labelled):
            raise ModelError(f"{len(names)} class names were given for boundaries of {len(self.labelled)} classes.")
        classes = tuple(self._class_scores(name, index) for index, name in enumerate(names))
        return BoundaryScores(
            tolerances=self.tolerance_names,
            f1=tuple(ratio(total / _UNIT, self.images) for total in self.mean_sum.tolist()),
            pooled_f1=tuple(
                mean_of_known([score.pooled_f1[row] for score in classes]) for row in range(len(self.mean_sum))
            ),
            boundary_iou=mean_of_known([score.boundary_iou for score in classes]),
            classes=classes,
            images=self.images,
        )

    def _class_scores(self, name: str, index: int) -> BoundaryClassScores:
        predicted, labelled = int(self.predicted[index]), int(self.labelled[index])
        matched = list(
            zip(self.matched_predicted[:, index].tolist(), self.matched_labelled[:, index].tolist(), strict=True)
        )
        return BoundaryClassScores(
            name=name,
            f1=tuple(ratio(total / _UNIT, int(self.f1_images[index])) for total in self.f1_sum[:, index].tolist()),
            pooled_f1=tuple(ratio(*_f1_parts(*pair, predicted, labelled)) for pair in matched),
            precision=tuple(ratio(pair[0], predicted) for pair in matched),
            recall=tuple(ratio(pair[1], labelled) for pair in matched),
            boundary_iou=ratio(int(self.intersection[index]), int(self.union[index])),
            pixels=labelled,
        )


_COUNTS = tuple(field.name for field in fields(BoundaryCounts) if field.name not in ("tolerances", "diagonal", "band"))


def _as_one_image(counts: BoundaryCounts) -> BoundaryCounts:
    """Return the counts of one image's pixels with the sums over images that it makes."""
    present = (counts.predicted + counts.labelled > 0).nonzero()[0].tolist()
    if not present:
        return counts
    f1_sum = np.zeros_like(counts.f1_sum)
    for index in present:
        predicted, labelled = int(counts.predicted[index]), int(counts.labelled[index])
        for row in range(len(f1_sum)):
            matched = int(counts.matched_predicted[row, index]), int(counts.matched_labelled[row, index])
            f1_sum[row, index] = _rounded(*_f1_parts(*matched, predicted, labelled))
    means = [_rounded(total, _UNIT * len(present)) for total in f1_sum.sum(axis=1).tolist()]
    f1_images = np.zeros_like(counts.f1_images)
    f1_images[present] = 1
    return replace(counts, f1_sum=f1_sum, f1_images=f1_images, mean_sum=np.array(means, dtype=np.int64), images=1)


def _f1_parts(matched_predicted: int, matched_labelled: int, predicted: int, labelled: int) -> tuple[int, int]:
    """Return numerator and denominator of F1 = 2 P R / (P + R); 0 / 0 where there is no boundary at all."""
    if matched_predicted == 0 or matched_labelled == 0:
        # Neither precision nor recall: 0, but nothing where there was nothing to find.
        return 0, predicted + labelled
    part = 2 * matched_predicted * matched_labelled
    return part, matched_predicted * labelled + matched_labelled * predicted


def _rounded(part: int, whole: int) -> int:
    """Return a quotient in units of 2^-40, to the nearest."""
    return (2 * part * _UNIT + whole) // (2 * whole)
