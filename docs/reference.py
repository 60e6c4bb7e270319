"""Fills the pages of commands, settings and components from the program itself while the site is built.

MkDocs calls `on_page_markdown` for each page (`hooks` in mkdocs.yml). A page holds `<!-- commands -->`,
`<!-- settings -->` or `<!-- components -->` where the tables go, so that nothing there can be out of date. Lists that
follow a paragraph at once are set apart, as other readers of Markdown do by themselves.
"""

import importlib
import re
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from terrazzo.cli.application import application
from terrazzo.cli.listing import FAMILIES
from terrazzo.config.run_config import RunConfig
from terrazzo.record import Component, Record, Table, family

__all__ = ["commands", "components", "on_page_markdown", "set_apart", "settings"]

_WORDS = {str: "text", bool: "true or false", int: "whole number", float: "number", Any: "any value"}
_TYPE = r"(?<=[A-Z]) <(list\[str\]|path|str)>$"
_ITEM = re.compile(r"([-*]|\d+\.) ")
_LISTS = (tuple, list, set, frozenset)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the tables of a page where its marks are."""
    markdown = set_apart(markdown)
    for mark, write in _WRITERS.items():
        if f"<!-- {mark} -->" in markdown:
            markdown = markdown.replace(f"<!-- {mark} -->", write())
    return markdown


def set_apart(markdown: str) -> str:
    """Put an empty line before each list that follows a line of text; code is left alone."""
    lines: list[str] = []
    fenced = False
    for line in markdown.split("\n"):
        before = lines[-1] if lines else ""
        if _ITEM.match(line) and not fenced and before.strip() and not _ITEM.match(before) and before[0] not in " |":
            lines.append("")
        if line.startswith("```"):
            fenced = not fenced
        lines.append(line)
    return "\n".join(lines)


def commands() -> str:
    """Return a section for each command: what it does, its arguments and its options."""
    root = typer.main.get_command(application)
    return "\n".join(_command(("terrazzo", *names), found) for names, found in _leaves(root, ()))


def _leaves(group: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - of click
    for name, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from _leaves(found, (*names, name))
        else:
            yield (*names, name), found


def _command(names: tuple[str, ...], found: Any) -> str:  # noqa: ANN401 - of click
    context = found.make_context(names[-1], [], resilient_parsing=True)
    records = [parameter.get_help_record(context) for parameter in found.params]
    # Of an argument its own word says more than the type behind it.
    rows = [f"| {_code(re.sub(_TYPE, '', name))} | {_cell(told)} |" for name, told in filter(None, records)]
    told = "\n\n".join(" ".join(part.split()) for part in (found.help or "").split("\n\n"))
    return "\n".join([f"## {' '.join(names)}", "", told, "", "| argument or option | |", "|---|---|", *rows, ""])


def settings() -> str:
    """Return a section for each part of a configuration, with a row for each of its keys."""
    fields = RunConfig.model_fields
    alone = [row for name, field in fields.items() if _record(field.annotation) is None for row in _rows(name, field)]
    parts = ["## The first level", "", *_table(alone), ""]
    for name, field in fields.items():
        record = _record(field.annotation)
        if record is not None:
            rows = [row for key, inner in record.model_fields.items() for row in _rows(f"{name}.{key}", inner)]
            parts += [f"## {name}", "", _sentence(field), "", *_table(rows), ""]
    return "\n".join(parts)


def components() -> str:
    """Return a section for each family, and in it the settings of each of its members."""
    parts = []
    for table in _tables():
        kind = table.family
        parts += [f"## {kind}", ""]
        for name in table.names():
            record = table.find(name)
            told = " ".join((record.__doc__ or "").strip().split("\n\n")[0].split())
            rows = [row for key, field in record.model_fields.items() if key != "name" for row in _rows(key, field)]
            parts += [f"### {name} {{#{kind}-{name}}}", "", told, "", *(_table(rows) if rows else ["No settings."]), ""]
    return "\n".join(parts)


def _tables() -> Iterator[Table]:
    for kind, module in FAMILIES.items():
        importlib.import_module(module)
        yield Table.of(kind)


_WRITERS: Mapping[str, Callable[[], str]] = {"commands": commands, "settings": settings, "components": components}


def _table(rows: list[str]) -> list[str]:
    return ["| key | value | default | |", "|---|---|---|---|", *rows]


def _rows(key: str, field: FieldInfo) -> Iterator[str]:
    """Yield the row of a key, and those below it where it holds a record."""
    default = _default(field)
    yield f"| {_code(key)} | {_cell(_kind(field.annotation, field.metadata))} | {default} | {_cell(_sentence(field))} |"
    record = _record(field.annotation)
    if record is not None:
        for name, inner in record.model_fields.items():
            yield from _rows(f"{key}.{name}", inner)


def _record(annotation: object) -> type[Record] | None:
    """Return the record that a field holds, or may hold beside null."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, Record) and not issubclass(one, Component):
            return one
    return None


def _kind(annotation: Any, metadata: object = ()) -> str:  # noqa: ANN401 - any annotation
    """Say in words what a field takes."""
    for one in metadata if isinstance(metadata, list | tuple) else ():
        if isinstance(one, family):
            return f"one of the [{one.table.family}](components.md#{one.table.family})"
    origin, given = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(given[0], given[1:])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in given)
    if origin in {Union, types.UnionType}:
        return " or ".join("null" if one is type(None) else _kind(one) for one in given)
    if origin in _LISTS:
        return f"list of {' and '.join(dict.fromkeys(_kind(one) for one in given if one is not ...))}"
    if origin is not None and issubclass(origin, Mapping):
        return f"mapping of {_kind(given[-1])}"
    if isinstance(annotation, type):
        return _kind_of_class(annotation)
    return _WORDS.get(annotation, "value")


def _kind_of_class(annotation: type) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    if issubclass(annotation, PurePath):
        return "path"
    if issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    for table in _tables() if issubclass(annotation, Component) else ():
        if any(table.lists(name, f"{annotation.__module__}:{annotation.__qualname__}") for name in table.names()):
            return f"[settings of {annotation.model_fields['name'].default}](components.md#{table.family})"
    return "settings" if issubclass(annotation, Record) else annotation.__name__.lower()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, Component):
        return _code(value.name)
    if isinstance(value, Record):
        return ""
    if isinstance(value, bool) or value is None:
        return _code({True: "true", False: "false", None: "null"}[value])
    if isinstance(value, tuple | list):
        return _code(f"[{', '.join(str(getattr(one, 'name', one)) for one in value)}]")
    if isinstance(value, Mapping):
        return _code("{" + ", ".join(f"{key}: {one}" for key, one in value.items()) + "}")
    return _code(str(value))


def _sentence(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _code(text: str) -> str:
    # A bar within backticks parts no cells here.
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))
