"""Words that stand for classes."""

import pytest

from terrazzo.data.class_names import ClassNames, require_once, whole_number


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("3.", 3), ("3.000", 3), ("-3", -3), ("\t3 ", 3), ("007", 7)])
def test_whole_numbers(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["", " ", "3.1", "3e0", "0x3", "3,0", "three", "3 4", "--3", "²", "1_000"])
def test_what_is_no_whole_number(text):
    assert whole_number(text) is None


def test_names_go_before_values_and_the_last_entries_are_no_class():
    names = ClassNames.of([["a"], ["7"], ["none"]], [[7], [8, 9], [0]], ignore=255)
    assert [names.find(text) for text in ("a", "7", "7.0", "9", "none", "0", "b", "10")] == [
        *(0, 1, 0, 1),
        *(255, 255, None, None),
    ]


def test_one_claim_for_each():
    require_once("value", [(1, "a"), (2, "b")])
    with pytest.raises(ValueError, match='value 1 is claimed by "a" and by "b"'):
        require_once("value", [(1, "a"), (2, "a"), (1, "b")])
