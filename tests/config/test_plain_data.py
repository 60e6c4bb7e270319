"""Paths through plain data."""

from terrazzo.config.plain_data import ABSENT, at, child, common, replaced

DATA = {"a": [1, {"b": None}], "c": "text", "0": "zero"}


def test_child_tells_none_from_nothing():
    assert child({"b": None}, "b") is None
    assert child({"b": None}, "x") is ABSENT


def test_child_of_a_list_takes_positions_only():
    assert child([7], 0) == 7
    assert child([7], 1) is ABSENT
    assert child([7], -1) is ABSENT
    assert child([7], "0") is ABSENT


def test_child_of_text_is_absent():
    assert child("text", 0) is ABSENT
    assert child(None, "a") is ABSENT


def test_at_walks_lists_and_mappings():
    assert at(DATA, ()) is DATA
    assert at(DATA, ("a", 1, "b")) is None
    assert at(DATA, ("a", 2, "b")) is ABSENT
    assert at(DATA, ("c", "d")) is ABSENT


def test_common_stops_where_the_path_leaves_the_data():
    assert common(DATA, ("a", 1, "b")) == ("a", 1, "b")
    assert common(DATA, ("a", 5, "b")) == ("a",)
    assert common(DATA, ("x",)) == ()


def test_replaced_changes_one_value_and_leaves_the_original():
    changed = replaced(DATA, ("a", 1, "b"), 9)
    assert changed == {"a": [1, {"b": 9}], "c": "text", "0": "zero"}
    assert DATA["a"] == [1, {"b": None}]


def test_replaced_keeps_the_order_of_keys():
    assert list(replaced(DATA, ("a",), 0)) == ["a", "c", "0"]


def test_replaced_at_the_root_is_the_new_value():
    assert replaced(DATA, (), 1) == 1
