"""Shapes over each other, and names that become classes."""

from collections.abc import Sequence

import numpy as np
import pytest
from affine import Affine

from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.drawing import Drawing, DrawnReader, ground_class
from terrazzo.data.labels.shapes import Ellipse, Shape, box
from terrazzo.errors import LabelError
from terrazzo.geo.grid import Grid, Window

IDENTITY = Grid(None, Affine.identity(), 6, 8)
LEFT, MIDDLE = box(0.0, 0.0, 4.0, 6.0), box(2.0, 0.0, 6.0, 6.0)
CLASSES = Classes(items=["background", "roof", Class(name="road", labels=("track", "path"))], ignore_labels=("cloud",))


def reader(*shapes: tuple[Shape, str], background: str = "auto") -> DrawnReader:
    return DrawnReader('a.xml: "1.jpg"', IDENTITY, shapes, background=background)


def first_row(codes: Sequence[int]) -> list[list[int]]:
    return [list(codes)] * 6


def test_the_last_shape_counts() -> None:
    drawing = Drawing([(LEFT, 5), (MIDDLE, 9), (box(3.0, 0.0, 4.0, 6.0), 5)])
    drawn = drawing.draw(IDENTITY.whole, ground=0, dtype=np.uint8)
    assert drawn.dtype == np.uint8
    assert drawn.tolist() == first_row([5, 5, 9, 5, 9, 9, 0, 0])


def test_many_shapes_give_the_same_bits_in_windows_of_any_cut() -> None:
    draw = np.random.default_rng(3)
    shapes: list[tuple[Shape, int]] = [
        (Ellipse(float(x), float(y), float(r), float(q), float(t)), number)
        for number, (x, y, r, q, t) in enumerate(draw.random((300, 5)) * (120, 90, 12, 9, 360))
    ]
    drawing = Drawing(shapes)
    whole = drawing.draw(Window(0, 0, 90, 120), ground=400, dtype=np.uint16)
    assert len(np.unique(whole)) > 100
    for window in (Window(0, 0, 90, 1), Window(31, 17, 1, 100), Window(50, 60, 40, 60)):
        np.testing.assert_array_equal(drawing.draw(window, ground=400, dtype=np.uint16), whole[window.slices])


def test_nothing_to_draw_leaves_the_ground() -> None:
    assert Drawing([]).draw(Window(0, 0, 2, 2), ground=7, dtype=np.uint8).tolist() == [[7, 7], [7, 7]]
    assert reader().decode(IDENTITY.whole, CLASSES).target.tolist() == first_row([0] * 8)


def test_names_become_classes_and_ignored_names_hide_what_is_below() -> None:
    label = reader((LEFT, "path"), (MIDDLE, "cloud"), (box(5.0, 0.0, 7.0, 6.0), "roof"))
    decoded = label.decode(IDENTITY.whole, CLASSES)
    assert decoded.target.tolist() == first_row([2, 2, 255, 255, 255, 1, 1, 0])
    assert decoded.target.dtype == np.uint8
    assert decoded.unlisted == {}
    assert label.block_shape == (6, 8)


def test_unlisted_names_are_counted_where_they_are_seen() -> None:
    label = reader((LEFT, "barn"), (MIDDLE, "roof"), (box(6.0, 0.0, 7.0, 6.0), "shed"))
    whole = Window(0, 0, 6, 8)
    ignored = label.decode(whole, CLASSES.model_copy(update={"unlisted": "ignore"}))
    assert ignored.target.tolist() == first_row([255, 255, 1, 1, 1, 1, 255, 0])
    assert ignored.unlisted == {"barn": 12, "shed": 6}
    ground = label.decode(whole, CLASSES.model_copy(update={"unlisted": "background"}))
    assert ground.target.tolist() == first_row([0, 0, 1, 1, 1, 1, 0, 0])
    with pytest.raises(LabelError, match=r'^a\.xml: "1\.jpg": no class lists barn \(12 pixels\), shed \(6 pixels\)'):
        label.decode(whole, CLASSES)
    # What other shapes cover whole, or what lies outside the window, troubles nobody.
    assert label.decode(Window(0, 2, 6, 4), CLASSES).target.tolist() == first_row([1] * 4)


def test_more_names_than_a_byte_holds_stay_apart() -> None:
    names = [f"name {number}" for number in range(300)]
    shapes = [(box(float(n % 20), float(n // 20), n % 20 + 1.0, n // 20 + 1.0), name) for n, name in enumerate(names)]
    classes = Classes(items=names)
    decoded = DrawnReader("a.xml", IDENTITY, shapes, background="auto").decode(Window(0, 0, 15, 20), classes)
    np.testing.assert_array_equal(decoded.target, np.arange(300).reshape(15, 20))
    assert decoded.target.dtype == np.uint16


def test_the_ground_is_the_class_called_background_or_what_is_named() -> None:
    nameless = Classes(items=["roof", "road"])
    assert ground_class("auto", CLASSES) == 0
    assert ground_class("auto", Classes(items=["Background", "roof"])) == 0
    assert ground_class("auto", nameless) == 255
    assert ground_class("auto", Classes(items=["roof", "background"])) == 255
    assert ground_class("ignore", CLASSES) == 255
    assert ground_class("track", CLASSES) == 2
    assert ground_class("cloud", CLASSES) == 255
    with pytest.raises(LabelError, match=r'no class is called "grass".*background, roof, road'):
        ground_class("grass", CLASSES)
    assert reader((LEFT, "road"), background="roof").decode(Window(0, 3, 1, 3), CLASSES).target.tolist() == [[2, 1, 1]]
