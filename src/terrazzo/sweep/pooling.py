"""Folds as one judgement: every image is judged once, by the model that did not train on it, and all counts are added.

A mean of the folds' scores is another figure: it weighs small folds like large ones, and a class that a fold lacks
leaves that fold's mean.

Source: Forman and Scholz, Apples-to-Apples in Cross-Validation Studies, 2010 (of the ways to an F1 over folds, the one
    from added counts is the least biased).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

from terrazzo.errors import ContractError
from terrazzo.metrics import Confusion, Scores
from terrazzo.metrics.ratios import mean_of_known

__all__ = ["FoldCounts", "Pooled", "pool"]


@dataclass(frozen=True, eq=False)
class FoldCounts:
    """What a fold's model answered on the images that it did not train on.

    Attributes:
        fold: Name of the fold.
        classes: Names of the classes, in order.
        counts: Pixels, rows label, columns prediction.
        images: Names of the images; None where patches were judged, which keep no names.
    """

    fold: str
    classes: tuple[str, ...]
    counts: Int64[np.ndarray, "class class"]
    images: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Pooled:
    """Scores over all folds.

    Attributes:
        folds: Their names.
        scores: Of the sum of all counts.
        mean_miou: Mean over the folds of their own mIoU, which is what most papers quote; NaN where none has any.
        images: How many there are; None where they are not known.
        apart: Whether it was seen that no image was judged by two folds; else nothing names the images.
    """

    folds: tuple[str, ...]
    scores: Scores
    mean_miou: float
    images: int | None
    apart: bool


def pool(folds: Sequence[FoldCounts]) -> Pooled:
    """Add the counts of folds.

    Args:
        folds: One or more.

    Raises:
        ContractError: They know other classes, or an image was judged by two of them.

    >>> one = FoldCounts("0", ("field", "forest"), np.array([[8, 2], [0, 0]]), ("a",))
    >>> other = FoldCounts("1", ("field", "forest"), np.array([[0, 0], [10, 30]]), ("b",))
    >>> found = pool([one, other])
    >>> round(found.scores.miou, 3), round(found.mean_miou, 3)
    (0.557, 0.388)
    """
    first = folds[0]
    for one in folds[1:]:
        if one.classes != first.classes:
            raise ContractError(
                f"Fold {first.fold} was judged in the classes {', '.join(first.classes)}, but fold {one.fold} in "
                f"{', '.join(one.classes)}; only counts of the same classes can be added."
            )
    _require_apart(folds)
    named = [one.images for one in folds if one.images is not None]
    total = sum((_confusion(one) for one in folds), Confusion.zero(len(first.classes)))
    mious = [_confusion(one).scores(first.classes).miou for one in folds]
    return Pooled(
        folds=tuple(one.fold for one in folds),
        scores=total.scores(first.classes),
        mean_miou=mean_of_known(mious) if mious else math.nan,
        images=sum(map(len, named)) if len(named) == len(folds) else None,
        apart=len(named) == len(folds),
    )


def _confusion(fold: FoldCounts) -> Confusion:
    return Confusion(torch.from_numpy(np.ascontiguousarray(fold.counts, dtype=np.int64)))


def _require_apart(folds: Sequence[FoldCounts]) -> None:
    """Refuse images that more than one fold has judged: they would count twice."""
    judged: dict[str, str] = {}
    twice: dict[str, None] = {}
    between: set[str] = set()
    for one in folds:
        for image in one.images or ():
            if image in judged:
                twice[image] = None
                between |= {judged[image], one.fold}
            judged.setdefault(image, one.fold)
    if twice:
        raise ContractError(
            f"{len(twice)} of {len(judged)} images were judged by more than one of the folds "
            f"{', '.join(sorted(between))}, such as {', '.join(list(twice)[:3])}; folds are pooled where each image is "
            "judged once, as on the split val of folds."
        )
