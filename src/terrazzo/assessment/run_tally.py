"""Rows of one run counted against labels and against the run of all steps."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped

from terrazzo.assessment.halting_losses import RunOutcome
from terrazzo.scene.image_pass import ScoredRows
from terrazzo.scene.products import Products

__all__ = ["RunTally", "RunTruth", "class_of"]


@dataclass(frozen=True, eq=False)
class RunTruth:
    """What runs of an image are judged against.

    Attributes:
        target: Labels; None where they are not asked for.
        counted: Labelled and measured; without labels what is measured.
        part: Measured pixels of the image's part.
        classes: Of the run of all steps.
    """

    target: Shaped[np.ndarray, "y x"] | None
    counted: Bool[np.ndarray, "y x"]
    part: Bool[np.ndarray, "y x"]
    classes: Shaped[np.ndarray, "y x"]


class RunTally:
    """Counts a run's rows."""

    def __init__(self, products: Products, classes: int, *, labelled: bool) -> None:
        self._products, self._labelled = products, labelled
        self._confusion = np.zeros((classes, classes), dtype=np.int64)
        self._pixels = self._differing = 0
        self._brier = 0.0

    def add(self, rows: ScoredRows, truth: RunTruth) -> None:
        """Count rows of an image."""
        here = slice(rows.y, rows.y + rows.valid.shape[0])
        target = None if truth.target is None else truth.target[here]
        own = RunTruth(target, truth.counted[here], truth.part[here], truth.classes[here])
        self.add_rows(rows, own, class_of(self._products, rows))

    def add_rows(self, rows: ScoredRows, truth: RunTruth, classes: Shaped[np.ndarray, "y x"]) -> None:
        """Count rows whose truth is of them alone."""
        self._pixels += int(truth.part.sum())
        self._differing += int((truth.part & (classes != truth.classes)).sum())
        if truth.target is None:
            return
        size = len(self._confusion)
        kept, label = classes[truth.counted].astype(np.int64), truth.target[truth.counted].astype(np.int64)
        self._confusion += np.bincount(label * size + kept, minlength=size * size).reshape(size, size)
        probabilities = self._products.probabilities(rows.scores).numpy()[:, truth.counted].astype(np.float64)
        own = np.take_along_axis(probabilities, label[None], axis=0)[0]
        self._brier += float((np.square(probabilities).sum(axis=0) - 2 * own + 1).sum())

    def outcome(self) -> RunOutcome:
        """Return the counts."""
        confusion = self._confusion if self._labelled else None
        return RunOutcome(self._pixels, self._differing, confusion, self._brier)


def class_of(products: Products, rows: ScoredRows) -> Shaped[np.ndarray, "y x"]:
    """Return the classes that a map would hold."""
    decided: Shaped[np.ndarray, "y x"] = products.decide(rows.scores, y=rows.y)["class"][0].numpy()
    return decided
