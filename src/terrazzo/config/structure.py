"""What may stand where: read from the records themselves, for hints, for short forms and for defaults."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from terrazzo.config.issue import Path
from terrazzo.config.plain_data import child
from terrazzo.record import Component, Record, Table, family

__all__ = ["Items", "choices_of", "component_fields", "known_keys", "record_defaults"]


@dataclass(frozen=True)
class Items:
    """Any list entry or mapping value of one type."""

    annotation: object


_Choice = type[Record] | Table | Items


def component_fields(record: type[Record], path: Path = ()) -> dict[Path, str | None]:
    """Return the path of each component below a record, with the name of its default.

    Args:
        record: Its own fields, its sections and its lists are searched; the members of families are not.
        path: Where the record stands.

    Returns:
        Paths in which `*` stands for any position of a list.
    """
    found: dict[Path, str | None] = {}
    for name, field in record.model_fields.items():
        default = field.default.name if isinstance(field.default, Component) else None
        for choice in choices_of(field.annotation, field.metadata):
            found |= _components_of(choice, (*path, name), default)
    return found


def _components_of(choice: _Choice, path: Path, default: str | None) -> dict[Path, str | None]:
    if isinstance(choice, Table):
        return {path: default}
    if isinstance(choice, Items):
        found: dict[Path, str | None] = {}
        for inner in choices_of(choice.annotation, ()):
            found |= _components_of(inner, (*path, "*"), None)
        return found
    return component_fields(choice, path)


def record_defaults(record: type[Record]) -> dict[str, Any]:
    """Return the default of each field that has one, as plain data; components are left out."""
    found: dict[str, Any] = {}
    for name, field in record.model_fields.items():
        if field.is_required() or isinstance(field.default, Component):
            continue
        default = field.get_default(call_default_factory=True)
        found[name] = default.model_dump(mode="json") if isinstance(default, Record) else default
    return found


def known_keys(record: type[Record], path: Path, values: Mapping[str, Any]) -> list[str]:
    """Return the keys that may stand in the mapping at a path.

    Args:
        record: The root's record.
        path: From the root.
        values: The whole configuration; it says which component was chosen.
    """
    choices: list[_Choice] = [record]
    value: object = values
    for part in path:
        fields = [field for choice in choices for field in _fields(choice, part, value)]
        choices = [inner for choice in choices for inner in _below(choice, part, value)]
        value = child(value, part)
        defaults = [field.default.name for field in fields if isinstance(field.default, Component)]
        if defaults and isinstance(value, Mapping):
            # Keys without a name are laid over the default component.
            value = {"name": defaults[0], **value}
    members = [member for choice in choices for member in _records(choice, value)]
    return list(dict.fromkeys(key for member in members for key in member.model_fields))


def _below(choice: _Choice, part: str | int, value: object) -> Iterator[_Choice]:
    if isinstance(choice, Items):
        yield from choices_of(choice.annotation, ())
        return
    for field in _fields(choice, part, value):
        yield from choices_of(field.annotation, field.metadata)


def _fields(choice: _Choice, part: str | int, value: object) -> Iterator[FieldInfo]:
    """Yield the fields of a name that a choice has."""
    for member in _records(choice, value):
        field = member.model_fields.get(str(part))
        if field is not None:
            yield field


def _records(choice: _Choice, value: object) -> list[type[Record]]:
    """Return the record that a choice means; of a family the one that the value names."""
    if isinstance(choice, Items):
        return []
    if isinstance(choice, Table):
        name = value.get("name") if isinstance(value, Mapping) else value
        return [choice.find(name)] if isinstance(name, str) and name in choice else []
    return [choice]


def choices_of(annotation: object, metadata: Sequence[object]) -> Iterator[_Choice]:
    """Yield what an annotation allows, apart from plain values."""
    tables = [mark.table for mark in metadata if isinstance(mark, family)]
    if tables:
        yield from tables
    elif get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        yield from choices_of(inner, marks)
    elif get_origin(annotation) in {Union, UnionType}:
        for inner in get_args(annotation):
            yield from choices_of(inner, ())
    elif get_origin(annotation) in {tuple, list}:
        for inner in get_args(annotation):
            if inner is not Ellipsis:
                yield Items(inner)
    elif get_origin(annotation) is dict:
        yield Items(get_args(annotation)[1])
    elif isinstance(annotation, type) and issubclass(annotation, Record):
        yield annotation
