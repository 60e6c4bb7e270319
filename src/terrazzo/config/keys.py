"""Every key that a configuration may hold, found by walking the records: for explanations, hints and completion."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from terrazzo.config.issue import Path, dotted
from terrazzo.config.structure import Items, choices_of
from terrazzo.errors import ConfigError
from terrazzo.record import Component, Record, Table

__all__ = ["Key", "all_keys", "constraints", "options", "type_words"]

_PLAIN: Mapping[object, str] = {
    bool: "true or false", int: "whole number", float: "number", str: "text", FilePath: "path",
    type(None): "null", Any: "anything",
}  # fmt: skip
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "multiple_of": "a multiple of"}


@dataclass(frozen=True)
class Key:
    """One setting.

    Attributes:
        path: From the root; `*` stands for any position of a list, or any key of a mapping.
        field: The record's field.
        owner: The record that has it.
        within: For each component on the way the path where it stands, and its name.
    """

    path: Path
    field: FieldInfo
    owner: type[Record]
    within: tuple[tuple[Path, str], ...] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        """The families of which a member stands here, or in a list here."""
        found = []
        for choice in choices_of(self.field.annotation, self.field.metadata):
            inner = choices_of(choice.annotation, ()) if isinstance(choice, Items) else (choice,)
            found += [each for each in inner if isinstance(each, Table)]
        return tuple(dict.fromkeys(found))

    @property
    def default(self) -> object:
        """The default as plain data.

        Raises:
            LookupError: It must be given.
        """
        if self.field.is_required():
            raise LookupError(dotted(self.path))
        return _plain(self.field.get_default(call_default_factory=True))


def all_keys(record: type[Record]) -> Iterator[Key]:
    """Yield every key below a record; the settings of each member of a family, with the member's name.

    A family inside its own members, such as losses that hold losses, is followed once.
    """
    yield from _below(record, (), (), frozenset())


def _below(
    record: type[Record], path: Path, within: tuple[tuple[Path, str], ...], seen: frozenset[str]
) -> Iterator[Key]:
    for name, field in record.model_fields.items():
        here = (*path, name)
        yield Key(here, field, record, within)
        for choice in choices_of(field.annotation, field.metadata):
            yield from _of_choice(choice, here, within, seen)


def _of_choice(choice: object, path: Path, within: tuple[tuple[Path, str], ...], seen: frozenset[str]) -> Iterator[Key]:
    if isinstance(choice, Items):
        for inner in choices_of(choice.annotation, ()):
            yield from _of_choice(inner, (*path, "*"), within, seen)
    elif isinstance(choice, Table):
        if choice.family in seen:
            return
        for name in choice:
            try:
                member = choice.find(name)
            except ConfigError:  # a plug-in whose package is missing
                continue
            yield from _below(member, path, (*within, (path, name)), seen | {choice.family})
    elif isinstance(choice, type) and issubclass(choice, Record):
        yield from _below(choice, path, within, seen)


def type_words(annotation: object, metadata: object = ()) -> str:
    """Return what an annotation allows, in words.

    >>> type_words(tuple[int, ...]), type_words(float | Literal["auto"])
    ('list of whole number', 'number or auto')
    """
    for choice in choices_of(annotation, metadata if isinstance(metadata, list | tuple) else ()):
        if isinstance(choice, Table):
            return f"one of the {choice.family}"
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(inner[0], inner[1:])
    if origin is Literal:
        return " or ".join(str(value) for value in inner)
    if origin in {Union, types.UnionType}:
        return " or ".join(dict.fromkeys(type_words(each) for each in inner))
    if origin in {list, tuple, frozenset, set}:
        items = [type_words(each) for each in inner if each is not Ellipsis]
        if origin is tuple and Ellipsis not in inner:
            return f"list of {len(items)}: {', '.join(items)}"
        return f"list of {' or '.join(items)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {type_words(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Component):
        return f"the component {annotation.model_fields['name'].default}"
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return "section"
    return getattr(annotation, "__name__", None) or str(annotation)


def constraints(annotation: object, metadata: object = ()) -> list[str]:
    """Return the limits of a value, such as `at least 1`; those inside lists and unions are among them."""
    found: list[str] = []
    for mark in metadata if isinstance(metadata, list | tuple) else ():
        for part in (mark, *getattr(mark, "metadata", ())):
            found += _limits(part)
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        found += constraints(inner, marks)
    else:
        for each in get_args(annotation):
            if get_origin(annotation) is not Literal:
                found += constraints(each)
    return list(dict.fromkeys(found))


def _limits(mark: object) -> Iterator[str]:
    for name, words in _BOUNDS.items():
        if (bound := getattr(mark, name, None)) is not None:
            yield f"{words} {bound:g}" if isinstance(bound, float) else f"{words} {bound}"
    least, most = getattr(mark, "min_length", None), getattr(mark, "max_length", None)
    if least:
        yield f"at least {least} long"
    if most is not None:
        yield f"at most {most} long"
    if pattern := getattr(mark, "pattern", None):
        yield f"like {pattern}"


def options(annotation: object, metadata: object = ()) -> list[str]:
    """Return the values that may be chosen by name: of a Literal, of true and false, and of a family's names."""
    if annotation is bool:
        return ["true", "false"]
    found: list[str] = []
    for choice in choices_of(annotation, metadata if isinstance(metadata, list | tuple) else ()):
        if isinstance(choice, Table):
            found += choice.names()
    if get_origin(annotation) is Literal:
        found += [str(value) for value in get_args(annotation)]
    elif get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        found += options(inner, marks)
    elif get_origin(annotation) in {Union, types.UnionType}:
        for each in get_args(annotation):
            found += options(each)
    return list(dict.fromkeys(found))


def _plain(value: object) -> object:
    if isinstance(value, Record):
        return value.model_dump(mode="json")
    if isinstance(value, FilePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
