"""What may stand where, read from records."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from terrazzo.config.structure import component_fields, known_keys, record_defaults
from terrazzo.record import Component, Record, Table, family

SHAPES = Table("test shapes", {"square": f"{__name__}:Square", "group": f"{__name__}:Group"})


class Shape(Component):
    """Base."""


class Square(Shape):
    """Has a side."""

    name: Literal["square"] = "square"
    side: int = 1


class Group(Shape):
    """Holds shapes."""

    name: Literal["group"] = "group"
    members: tuple[Annotated[Shape, family(SHAPES)], ...] = ()


class Part(Record):
    """A section."""

    width: int = 2
    shape: Annotated[Shape, family(SHAPES)]


class Named(Record):
    """An entry of a list."""

    title: str = ""


class Whole(Record):
    """A root."""

    part: Part
    shape: Annotated[Shape, family(SHAPES)] = Square(side=3)
    entries: tuple[str | Named, ...] | None = None
    by_name: dict[str, Named] = Field(default_factory=dict)
    maybe: Named | None = None
    section: Named = Named(title="x")
    number: int = 5


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch):
    # Tests are loaded by path; the table finds their classes by module name.
    monkeypatch.setattr(SHAPES, "find", {"square": Square, "group": Group}.__getitem__)


def test_components_are_found_in_sections_with_their_default():
    assert component_fields(Whole) == {("part", "shape"): None, ("shape",): "square"}


def test_components_in_lists_are_found_at_any_position():
    assert component_fields(Group) == {("members", "*"): None}


def test_defaults_are_plain_and_leave_components_out():
    assert record_defaults(Whole) == {
        "entries": None,
        "by_name": {},
        "maybe": None,
        "section": {"title": "x"},
        "number": 5,
    }


@pytest.mark.parametrize(
    ("path", "values", "keys"),
    [
        ((), {}, ["part", "shape", "entries", "by_name", "maybe", "section", "number"]),
        (("part",), {}, ["width", "shape"]),
        (("shape",), {"shape": {"name": "square"}}, ["name", "side"]),
        (("shape",), {"shape": "group"}, ["name", "members"]),
        (("shape",), {"shape": {"name": "unknown"}}, []),
        (("shape",), {"shape": {}}, ["name", "side"]),
        (("part", "shape"), {"part": {"shape": {"name": "square"}}}, ["name", "side"]),
        (("entries", 0), {"entries": [{}]}, ["title"]),
        (("by_name", "a"), {"by_name": {"a": {}}}, ["title"]),
        (("maybe",), {}, ["title"]),
        (("number",), {}, []),
        (("nothing",), {}, []),
        (
            ("shape", "members", 0),
            {"shape": {"name": "group", "members": [{"name": "square"}]}},
            ["name", "side"],
        ),
    ],
)
def test_known_keys_follow_the_chosen_components(path: tuple[str | int, ...], values: dict, keys: list[str]):
    assert known_keys(Whole, path, values) == keys
