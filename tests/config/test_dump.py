"""A dumped configuration loads to itself and never holds what came from the environment."""

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import model_validator

from terrazzo.config.document import plain, read_text
from terrazzo.config.dump import Carried, carry, differences, dumped, to_yaml
from terrazzo.record import Record


class Group(Record):
    """Accepts a bare list for its items."""

    items: tuple[str, ...] = ()
    size: int = 0

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"items": given, "size": len(given)} if isinstance(given, list) else given


class Whole(Record):
    """A root."""

    token: str = ""
    number: int = 0
    group: Group = Group()


def read(text: str) -> object:
    issues: list[object] = []
    found = read_text(text, "a.yaml", issues)
    assert found is not None
    assert issues == []
    return plain(found)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1).filter(lambda key: key != "<<"), VALUES, max_size=3))
@example({"a": "1e-3", "b": "010", "c": "0o7", "d": "yes", "e": "null", "f": "", "g": "2026-01-01", "h": "1:30"})
@example({"\x85": "a\u2028b\x85", "\ufeff": "\ud7ff\U0001f33e"})
@example({"a": 1e-8, "b": 1e22, "c": float("inf"), "d": "${x}", "e": "- a", "f": "a: b # c", "g": "\ttab\n"})
def test_plain_data_survives_writing_and_reading(values: dict[str, object]):
    assert read(to_yaml(values)) == values


def test_other_readers_take_words_for_text_too():
    assert yaml.safe_load(to_yaml({"a": "yes", "b": "on", "c": "1e-3"})) == {"a": "yes", "b": "on", "c": "1e-3"}


def test_order_is_kept_and_equal_lists_are_written_twice():
    shared = ["x"]
    assert to_yaml({"b": shared, "a": shared}) == "b:\n  - x\na:\n  - x\n"


def test_unicode_stays_readable():
    assert to_yaml({"name": "Wälder"}) == "name: Wälder\n"


def carried(values: dict[str, Any], references: dict[tuple, str]) -> tuple[Whole, list[Carried]]:
    record = Whole.model_validate(values)
    return record, carry(record, values, references)


def test_a_value_of_the_environment_is_written_as_its_reference():
    record, found = carried({"token": "secret", "number": 3}, {("token",): "${oc.env:T}"})
    assert dumped(record, found) == {"token": "${oc.env:T}", "number": 3, "group": {"items": [], "size": 0}}


def test_a_converted_value_is_written_as_its_reference_too():
    record, found = carried({"number": "7"}, {("number",): "${oc.env:N}"})
    assert record.number == 7
    assert dumped(record, found)["number"] == "${oc.env:N}"


def test_a_short_form_is_written_as_it_was_given():
    record, found = carried({"group": ["a", "secret", "${c}"]}, {("group", 1): "${oc.env:T}"})
    assert dumped(record, found)["group"] == ["a", "${oc.env:T}", "\\${c}"]


def test_a_value_changed_since_is_written_as_it_is():
    record, found = carried({"token": "secret", "number": 3}, {("token",): "${oc.env:T}"})
    assert dumped(record.model_copy(update={"token": "other"}), found)["token"] == "other"


def test_text_that_looks_like_a_reference_is_escaped():
    assert dumped(Whole(token="${x}"), [])["token"] == "\\${x}"


@pytest.mark.parametrize(
    ("ours", "theirs", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, ["a: 1 -> true"]),
        ({"a": "x"}, {}, ['a: "x" -> absent']),
        ({}, {"a": {"b": None}}, ["a.b: absent -> null"]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, ["a.1: 2 -> 3", "a.2: absent -> 4"]),
        ({"a": []}, {"a": {}}, ["a: [] -> {}"]),
        ({"a": "ä"}, {"a": "ö"}, ['a: "ä" -> "ö"']),
    ],
)
def test_differences_are_said_by_key(ours: dict, theirs: dict, lines: list[str]):
    assert differences(ours, theirs) == lines


def test_ignored_keys_cover_what_is_below_them_only():
    ours, theirs = {"a": {"b": 1}, "ab": 1}, {"a": {"b": 2}, "ab": 2}
    assert differences(ours, theirs, ignore=["a"]) == ["ab: 1 -> 2"]
    assert differences(ours, theirs, ignore=["a.b"]) == ["ab: 1 -> 2"]
    assert len(differences(ours, theirs, ignore=["a.x"])) == 2
