"""Pixels by label and prediction: one exact confusion matrix over a split, and the scores that follow from it.

Pixels that are ignored are dropped before counting. Matrices add up exactly in any order, so a score depends on neither
batch size, nor tiling, nor the number of processes.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int64

from terrazzo.errors import LabelError, ModelError
from terrazzo.metrics.ratios import mean_of_known, ratio, without_nan

__all__ = ["ClassScores", "Confusion", "Scores"]


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class, 0..1; NaN where a score divides by nothing.

    Attributes:
        name: The class.
        iou: TP / (TP + FP + FN); NaN where the class is neither labelled nor predicted.
        f1: 2 TP / (2 TP + FP + FN); NaN where the class is neither labelled nor predicted.
        precision: TP / (TP + FP); NaN where the class is not predicted.
        recall: TP / (TP + FN); NaN where the class is not labelled.
        pixels: Labelled pixels.
    """

    name: str
    iou: float
    f1: float
    precision: float
    recall: float
    pixels: int


@dataclass(frozen=True)
class Scores:
    """Scores of a split, 0..1; NaN where nothing was counted.

    Attributes:
        miou: Mean IoU over the classes that are labelled or predicted anywhere.
        accuracy: Share of counted pixels that are right.
        mean_accuracy: Mean recall over the classes that are labelled.
        frequency_weighted_iou: Mean IoU, each class weighted by its labelled pixels.
        foreground_iou: IoU of the second of two classes; None for any other number of classes.
        classes: Scores of each class, in order.
        absent: Names of the classes neither labelled nor predicted, which the means leave out.
        pixels: Counted pixels.

    Source: Long et al., Fully Convolutional Networks, CVPR 2015, section 5 (pixel accuracy, mean accuracy, mean IoU,
        frequency-weighted IoU).
    """

    miou: float
    accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float
    foreground_iou: float | None
    classes: tuple[ClassScores, ...]
    absent: tuple[str, ...]
    pixels: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain data ready for JSON: lists, and None in place of NaN."""
        return {key: without_nan(part) for key, part in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counted pixels by label and prediction.

    Attributes:
        counts: Rows label, columns prediction.

    >>> target = torch.tensor([[[0, 0, 1, 255]]])
    >>> prediction = torch.tensor([[[0, 1, 1, 0]]])
    >>> confusion = Confusion.of(prediction, target, target == 255, classes=2)
    >>> confusion.counts
    tensor([[1, 1],
            [0, 1]])
    >>> confusion.scores(["field", "forest"]).miou
    0.5
    """

    counts: Int64[torch.Tensor, "class class"]

    @classmethod
    def zero(cls, classes: int, device: torch.device | None = None) -> "Confusion":
        """Return a matrix that has counted nothing."""
        return cls(torch.zeros((classes, classes), dtype=torch.int64, device=device))

    @classmethod
    def of(
        cls,
        prediction: Int64[torch.Tensor, "batch y x"],
        target: Int64[torch.Tensor, "batch y x"],
        ignored: Bool[torch.Tensor, "batch y x"],
        classes: int,
    ) -> "Confusion":
        """Count the pixels of a batch.

        Args:
            prediction: Class of each pixel, 0..K-1; anything where ignored.
            target: Label of each pixel, 0..K-1; anything where ignored.
            ignored: Pixels that do not count.
            classes: K.

        Raises:
            LabelError: A counted pixel's label is outside 0..K-1.
            ModelError: A counted pixel's prediction is outside 0..K-1.
        """
        kept = ~ignored
        rows, columns = target[kept], prediction[kept]
        if unlisted := _outside(rows, classes):
            raise LabelError(
                f"Labels {unlisted} are no classes (0..{classes - 1}); mark pixels without a class as ignored."
            )
        if unlisted := _outside(columns, classes):
            raise ModelError(f"Predictions {unlisted} are no classes (0..{classes - 1}).")
        cells = torch.bincount(rows * classes + columns, minlength=classes * classes)
        return cls(cells.reshape(classes, classes))

    def __add__(self, other: "Confusion") -> "Confusion":
        """Return the counts of both.

        Raises:
            ModelError: They know different numbers of classes.
        """
        if self.counts.shape != other.counts.shape:
            raise ModelError(
                f"A confusion matrix of {len(self.counts)} classes cannot be added to one of {len(other.counts)}."
            )
        return Confusion(self.counts + other.counts.to(self.counts.device))

    def __eq__(self, other: object) -> bool:
        """Tell whether both counted the same, on whatever device."""
        return isinstance(other, Confusion) and torch.equal(self.counts.cpu(), other.counts.cpu())

    __hash__ = None  # type: ignore[assignment]

    @property
    def total(self) -> int:
        """Counted pixels."""
        return int(self.counts.sum())

    def scores(self, names: Sequence[str]) -> Scores:
        """Return the scores.

        Args:
            names: One name a class, in order.

        Raises:
            ModelError: The number of names is not the number of classes.
        """
        rows = self.counts.tolist()
        if len(names) != len(rows):
            raise ModelError(f"{len(names)} class names were given for a confusion matrix of {len(rows)} classes.")
        labelled = [sum(row) for row in rows]
        predicted = [sum(column) for column in zip(*rows, strict=True)]
        classes = tuple(
            _class_scores(name, rows[index][index], labelled[index], predicted[index])
            for index, name in enumerate(names)
        )
        right = sum(rows[index][index] for index in range(len(rows)))
        weighted = sum(score.pixels * score.iou for score in classes if score.pixels)
        return Scores(
            miou=mean_of_known([score.iou for score in classes]),
            accuracy=ratio(right, sum(labelled)),
            mean_accuracy=mean_of_known([score.recall for score in classes]),
            frequency_weighted_iou=ratio(weighted, sum(labelled)),
            foreground_iou=classes[1].iou if len(classes) == 2 else None,
            classes=classes,
            absent=tuple(score.name for score in classes if math.isnan(score.iou)),
            pixels=sum(labelled),
        )


def _outside(values: Int64[torch.Tensor, " pixel"], classes: int) -> list[int]:
    """Return some values that are no class."""
    if not len(values):
        return []
    low, high = (int(bound) for bound in values.aminmax())
    if low >= 0 and high < classes:
        return []
    return sorted(set(values[(values < 0) | (values >= classes)].tolist()))[:10]


def _class_scores(name: str, right: int, labelled: int, predicted: int) -> ClassScores:
    return ClassScores(
        name=name,
        iou=ratio(right, labelled + predicted - right),
        f1=ratio(2 * right, labelled + predicted),
        precision=ratio(right, predicted),
        recall=ratio(right, labelled),
        pixels=labelled,
    )
