"""The drawn confusion matrix."""

import numpy as np
import pytest

from terrazzo.tracking.confusion_figure import DARK, EMPTY, LIGHT, confusion_figure


def has(picture: np.ndarray, colour: object) -> bool:
    return bool((picture == np.asarray(colour)).all(axis=2).any())


def test_shares_are_heat_and_a_class_without_pixels_is_grey() -> None:
    picture = confusion_figure("val, epoch 3", ["wood", "roof", "Straße"], [[8, 0, 0], [0, 5, 5], [0, 0, 0]])
    assert picture.dtype == np.uint8
    assert has(picture, DARK)
    assert has(picture, LIGHT)
    assert has(picture, EMPTY)
    middle = (LIGHT + 0.5 * (DARK - LIGHT)).astype(np.uint8)
    assert has(picture, middle)


def test_rows_are_labels() -> None:
    picture = confusion_figure("val", ["a", "b"], [[0, 9], [9, 0]])
    dark = np.argwhere((picture == DARK).all(axis=2))
    # The upper row's share lies right, the lower one's left.
    upper, lower = dark[dark[:, 0] < dark[:, 0].mean()], dark[dark[:, 0] > dark[:, 0].mean()]
    assert upper[:, 1].mean() > lower[:, 1].mean()


@pytest.mark.parametrize("classes", [1, 2, 40, 300])
def test_any_number_of_classes_fits(classes: int) -> None:
    picture = confusion_figure(
        "a title", [f"class {n} " * 9 for n in range(classes)], np.eye(classes, dtype=int).tolist()
    )
    assert max(picture.shape) < 1600
    assert has(picture, DARK)
