"""Folds added up: every image once, the same classes."""

import numpy as np
import pytest

from terrazzo.errors import ContractError
from terrazzo.sweep.pooling import FoldCounts, pool

CLASSES = ("field", "forest")


def fold(name: str, counts: list[list[int]], images: tuple[str, ...] | None = None, classes=CLASSES) -> FoldCounts:
    return FoldCounts(name, classes, np.array(counts, dtype=np.int64), images)


def test_pooled_by_hand() -> None:
    found = pool([fold("0", [[6, 2], [1, 3]], ("a", "b")), fold("1", [[90, 10], [0, 0]], ("c",))])
    field, forest = 96 / (108 + 97 - 96), 3 / (4 + 15 - 3)
    assert found.scores.miou == pytest.approx((field + forest) / 2)
    assert found.scores.accuracy == pytest.approx(99 / 112)
    first, second = (6 / 9 + 3 / 6) / 2, (90 / 100 + 0 / 10) / 2
    assert found.mean_miou == pytest.approx((first + second) / 2)
    assert (found.images, found.apart, found.folds) == (3, True, ("0", "1"))


def test_order_changes_nothing() -> None:
    parts = [fold(str(number), [[number + 3, 1], [2, 5]], (f"i{number}",)) for number in range(4)]
    one, other = pool(parts), pool(parts[::-1])
    assert (one.scores, one.images) == (other.scores, other.images)
    assert one.mean_miou == pytest.approx(other.mean_miou)


def test_an_image_judged_twice_is_refused() -> None:
    with pytest.raises(ContractError, match=r"1 of 2 images were judged by more than one of the folds 0, 2, such as a"):
        pool(
            [
                fold("0", [[1, 0], [0, 1]], ("a",)),
                fold("1", [[1, 0], [0, 1]], ("b",)),
                fold("2", [[1, 0], [0, 1]], ("a",)),
            ]
        )


def test_other_classes_are_refused() -> None:
    with pytest.raises(ContractError, match="Fold 0 was judged in the classes field, forest"):
        pool([fold("0", [[1, 0], [0, 1]]), fold("1", [[1, 0], [0, 1]], classes=("forest", "field"))])


def test_patches_keep_no_names() -> None:
    found = pool([fold("0", [[1, 0], [0, 1]]), fold("1", [[1, 0], [0, 1]], ("a",))])
    assert (found.images, found.apart) == (None, False)
