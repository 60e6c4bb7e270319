"""A configuration as YAML again: resolved, except that what came from the environment stays a reference."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel

from terrazzo.config.document import PLAIN_TYPES
from terrazzo.config.issue import Path, dotted
from terrazzo.config.plain_data import at, common, replaced
from terrazzo.config.references import escape

__all__ = ["Carried", "carry", "differences", "dumped", "to_yaml"]


@dataclass(frozen=True)
class Carried:
    """A value that came from the environment.

    Attributes:
        path: Where it stands in the dumped form.
        value: What it was dumped as when it was loaded; a value changed since is no longer the environment's.
        reference: What is written instead.
    """

    path: Path
    value: object
    reference: object


_LINE_ENDS = {"\x85", "\u2028", "\u2029"}


class _Dumper(yaml.SafeDumper):
    """Writes block style, in the records' order, without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Write equal values twice: an anchor would surprise a reader."""
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key."""
        del indentless
        super().increase_indent(flow, False)


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    """Write a list of numbers, such as a colour, in one line."""
    numbers = all(isinstance(item, int | float) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=numbers)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    """Write text with the rarer line ends of Unicode in double quotes, where they are escaped and so survive."""
    style = '"' if _LINE_ENDS & set(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(list, _list)
_Dumper.add_representer(str, _text)

# Text such as "1e-3" is a number to our reader, so it is quoted; what YAML 1.1 readers take for more than text is too.
for _tag, _pattern in PLAIN_TYPES.items():
    _Dumper.add_implicit_resolver(_tag, _pattern, None)


def to_yaml(values: Mapping[str, Any]) -> str:
    """Return plain data as YAML.

    >>> print(to_yaml({"name": "1e-3", "colour": [60, 16, 152], "splits": ["val"]}), end="")
    name: '1e-3'
    colour: [60, 16, 152]
    splits:
      - val
    """
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)


def carry(record: BaseModel, values: dict[str, Any], references: Mapping[Path, str]) -> list[Carried]:
    """Return where references stand in the dumped form of a record.

    Args:
        record: What was made of `values`.
        values: Resolved plain data as the files and overrides say it.
        references: Of `values`, by path.
    """
    written = record.model_dump(mode="json")
    spelled = _escaped(values)
    for path, reference in references.items():
        spelled = replaced(spelled, path, reference)
    found: dict[Path, Carried] = {}
    for path in references:
        # A short form (a list for a mapping, a bare name) has other paths when dumped: then the reference covers the
        # smallest part that both forms have.
        shared = common(written, path)
        found[shared] = Carried(shared, at(written, shared), at(spelled, shared))
    return sorted(found.values(), key=lambda item: [str(part) for part in item.path])


def dumped(record: BaseModel, carried: Sequence[Carried]) -> dict[str, Any]:
    """Return a record as plain data that loads to the same record."""
    values = record.model_dump(mode="json")
    written = _escaped(values)
    for item in sorted(carried, key=lambda item: len(item.path), reverse=True):
        if at(values, item.path) == item.value:
            written = replaced(written, item.path, item.reference)
    if not isinstance(written, dict):
        raise TypeError("a record's plain form is a mapping")
    return written


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], *, ignore: Sequence[str] = ()) -> list[str]:
    """Return a line for each value that differs.

    >>> differences({"seed": 1, "train": {"epochs": 3}}, {"seed": 1, "train": {"epochs": 5}})
    ['train.epochs: 3 -> 5']
    """
    left, right = _flat(ours), _flat(theirs)
    lines = []
    for key in dict.fromkeys([*left, *right]):
        before, after = left.get(key, "absent"), right.get(key, "absent")
        if before != after and not any(key == part or key.startswith(f"{part}.") for part in ignore):
            lines.append(f"{key}: {before} -> {after}")
    return lines


def _flat(value: object, path: Path = ()) -> dict[str, str]:
    if isinstance(value, Mapping) and (value or not path):
        return {key: text for part, child in value.items() for key, text in _flat(child, (*path, str(part))).items()}
    if isinstance(value, list) and value:
        return {key: text for part, child in enumerate(value) for key, text in _flat(child, (*path, part)).items()}
    return {dotted(path): json.dumps(value, ensure_ascii=False)}


def _escaped(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _escaped(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_escaped(child) for child in value]
    return escape(value) if isinstance(value, str) else value
