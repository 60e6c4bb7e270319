"""Figures of answers: colours where a model is sure, greys where it is not, titles and legends that fit."""

import numpy as np
import pytest

from terrazzo.data.classes import Class, Classes
from terrazzo.data.pictures.figure import BRIGHTEST, DARKEST, SMALLEST_SIDE, colour_output, enlarged, figure

COLOURS = ((60, 16, 152), (0, 255, 0), (0, 0, 255))


def classes_of(count: int) -> Classes:
    return Classes(items=tuple(Class(name=f"class {number}", colour=COLOURS[number]) for number in range(count)))


def test_below_the_threshold_an_output_is_grey() -> None:
    number = np.array([[0, 1, 2, 2]])
    share = np.array([[0.9, 0.5, 0.49, 0.1]], dtype=np.float32)
    valid = np.array([[True, True, True, False]])
    picture = colour_output(number, share, valid, classes_of(3), threshold=0.5)
    assert picture[0, 0].tolist() == list(COLOURS[0])
    assert picture[0, 1].tolist() == list(COLOURS[1])
    grey = round(DARKEST + (BRIGHTEST - DARKEST) * 0.49)
    assert picture[0, 2].tolist() == [grey] * 3
    assert picture[0, 3].tolist() in ([96] * 3, [168] * 3)


def test_of_two_classes_only_the_second_is_coloured() -> None:
    share = np.array([[0.0, 0.29, 0.3, 1.0]], dtype=np.float32)
    number = (share >= 0.5).astype(np.int64)
    picture = colour_output(number, share, np.ones((1, 4), dtype=bool), classes_of(2), threshold=0.3)
    assert picture[0, 2].tolist() == picture[0, 3].tolist() == list(COLOURS[1])
    assert picture[0, 0].tolist() == [DARKEST] * 3
    assert picture[0, 1, 0] > DARKEST


def test_small_pictures_are_enlarged_and_large_ones_stay() -> None:
    small = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    large = enlarged(small)
    factor = SMALLEST_SIDE // 2
    assert large.shape == (2 * factor, 2 * factor, 3)
    assert (large[:factor, factor:] == small[0, 1]).all()
    assert enlarged(large) is large or (enlarged(large) == large).all()


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("shape", [(1, 1), (300, 80), (20, 500)])
def test_a_figure_holds_all_its_panels_whatever_their_size(shape: tuple[int, int], count: int) -> None:
    panels = [
        (f"title {number} that is long", np.full((*shape, 3), 50 * number, dtype=np.uint8)) for number in range(4)
    ]
    legend = [(f"класс {number} with a long name", (9, number, 9)) for number in range(count)]
    drawn = figure("name ä " * 30, panels, legend, note="mIoU 0.5")
    for number, (_, picture) in enumerate(panels):
        assert (drawn == 50 * number).all(axis=2).sum() >= enlarged(picture).shape[0] * enlarged(picture).shape[1]
    for _, colour in legend:
        assert (drawn == colour).all(axis=2).any()
