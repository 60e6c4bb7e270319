"""Words of shapes, looked up once."""

from pathlib import Path

import numpy as np
import pytest

from terrazzo.data.classes import Classes
from terrazzo.data.labels.named import decode_words
from terrazzo.errors import LabelError

HERE = Path("a.gpkg")
CODES = np.array([[0, 1, 2, 3], [2, 2, 0, 4]])


def test_words_and_what_follows_from_none():
    classes = Classes(items=["x", "y"], ignore_labels=["cloud"])
    found = decode_words(CODES, ("y", "cloud", "x"), (1, 255), classes=classes, file=HERE)
    assert found.target.tolist() == [[1, 255, 0, 1], [0, 0, 1, 255]]
    assert found.target.dtype == np.uint8
    assert found.unlisted == {}


@pytest.mark.parametrize(("unlisted", "strange"), [("ignore", 255), ("background", 0)])
def test_unlisted_words_are_counted(unlisted, strange):
    classes = Classes(items=["x", "y"], unlisted=unlisted)
    found = decode_words(CODES, ("y", "?", "!"), (0, 255), classes=classes, file=HERE)
    assert found.target.tolist() == [[1, strange, strange, 0], [strange, strange, 1, 255]]
    assert found.unlisted == {"?": 1, "!": 3}


def test_unlisted_words_are_an_error_only_where_a_pixel_has_them():
    classes = Classes(items=["x", "y"])
    with pytest.raises(LabelError, match=r"^a\.gpkg: no class lists ! \(3 pixels\)"):
        decode_words(CODES, ("y", "x", "!"), (0, 255), classes=classes, file=HERE)
    assert decode_words(CODES[:, :1] * 0, ("y", "x", "!"), (0,), classes=classes, file=HERE).unlisted == {}


def test_many_classes_need_wider_numbers():
    classes = Classes(items=[f"c{number}" for number in range(300)])
    found = decode_words(np.array([[0, 1]]), ("c299",), (65535,), classes=classes, file=HERE)
    assert found.target.tolist() == [[299, 65535]]
    assert found.target.dtype == np.uint16


def test_no_words_at_all():
    found = decode_words(np.zeros((2, 2), dtype=np.int32), (), (1,), classes=Classes(items=["x", "y"]), file=HERE)
    assert found.target.tolist() == [[1, 1], [1, 1]]
