"""What a list of classes leaves open is completed; what is no such list is left for others to refuse."""

import pytest
from pydantic import ValidationError

from terrazzo.data.class_entries import Class, allow_bare_names, completed
from terrazzo.data.classes import Class as PublicClass
from terrazzo.data.classes import Classes


def test_bare_names_get_colours_and_labels_hold_values() -> None:
    found = completed(["sky", "wälder", "road"])
    assert [entry["name"] for entry in found["items"]] == ["sky", "wälder", "road"]
    assert len({tuple(entry["colour"]) for entry in found["items"]}) == 3
    assert found["labels"] == "value"


def test_colours_that_are_given_stay_and_are_not_picked_again() -> None:
    picked = [entry["colour"] for entry in completed(["a", "b", "c"])["items"]]
    first = "#{:02X}{:02X}{:02X}".format(*picked[0])
    found = completed({"items": [{"name": "x", "colour": first}, "y", Class(name="z", colour=picked[1])]})
    assert found["items"][0] == {"name": "x", "colour": first}
    assert found["items"][1]["colour"] not in picked[:2]
    assert found["items"][2] == Class(name="z", colour=picked[1])
    # One colour of their own is enough for labels of colours.
    assert "labels" not in found


@pytest.mark.parametrize("labels", ["colour", "value"])
def test_how_labels_name_classes_is_the_users_word(labels: str) -> None:
    assert completed({"items": ["a", "b"], "labels": labels})["labels"] == labels
    assert completed({"items": ["a", "b"], "labels": "auto"})["labels"] == "value"


def test_a_record_without_colour_gets_one_and_the_record_given_is_untouched() -> None:
    bare = Class(name="a", values=(3,))
    entry = completed([bare, Class(name="b", colour=(1, 2, 3))])["items"][0]
    assert (entry.name, entry.values) == ("a", (3,))
    assert "colour" in entry.model_fields_set
    assert "colour" not in bare.model_fields_set


def test_other_settings_are_carried_on() -> None:
    found = completed({"items": ["a"], "ignore_values": [255], "surprise": 1})
    assert (found["ignore_values"], found["surprise"]) == ([255], 1)
    complete = {"items": [{"name": "a", "colour": [0, 0, 0]}], "unlisted": "ignore"}
    assert completed(complete) == complete


@pytest.mark.parametrize("given", [None, 3, "sky", {}, {"items": "sky"}, {"items": 5}, {"classes": ["a"]}])
def test_what_is_no_list_of_classes(given: object) -> None:
    assert completed(given) is given


@pytest.mark.parametrize("entry", [7, None, ["a"], {"name": "a", "colour": "no colour"}, {"colour": [1, 2]}])
def test_entries_that_are_no_classes_are_left_for_validation(entry: object) -> None:
    assert completed([entry, "b"])["items"][0] == entry


def test_a_wrong_colour_beside_bare_names_is_told_where_it_stands() -> None:
    with pytest.raises(ValidationError) as refused:
        Classes.model_validate(["a", {"name": "b", "colour": "no colour"}, "c"])
    assert [error["loc"] for error in refused.value.errors()] == [("items", 1, "colour")]


def test_a_bare_name_stands_in_the_schema_too() -> None:
    schema = {"type": "array", "items": {"$ref": "#/$defs/Class"}}
    allow_bare_names(schema)
    assert schema["items"] == {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Class"}]}


def test_one_class_under_both_paths() -> None:
    assert PublicClass is Class
