"""Paths through plain data: mappings, lists and values as YAML and JSON have them."""

from collections.abc import Mapping
from typing import Final

from terrazzo.config.issue import Path

__all__ = ["ABSENT", "at", "child", "common", "replaced"]

ABSENT: Final = object()
"""Stands where nothing is; None is a value."""


def child(value: object, part: str | int) -> object:
    """Return an entry of a mapping or a list, `ABSENT` where there is none.

    >>> child({"a": None}, "a") is None, child([1], 1) is ABSENT, child("text", 0) is ABSENT
    (True, True, True)
    """
    if isinstance(value, Mapping):
        return value.get(part, ABSENT)
    if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
        return value[part]
    return ABSENT


def at(value: object, path: Path) -> object:
    """Return what stands at a path, `ABSENT` where nothing does."""
    for part in path:
        value = child(value, part)
    return value


def common(value: object, path: Path) -> Path:
    """Return the longest beginning of a path that leads somewhere.

    >>> common({"a": {"b": 1}}, ("a", "c", "d"))
    ('a',)
    """
    for length, part in enumerate(path):
        value = child(value, part)
        if value is ABSENT:
            return path[:length]
    return path


def replaced(value: object, path: Path, new: object) -> object:
    """Return the data with another value at a path that is there.

    >>> replaced({"a": [1, 2]}, ("a", 1), 3)
    {'a': [1, 3]}
    """
    if not path:
        return new
    if isinstance(value, Mapping):
        return {key: replaced(inner, path[1:], new) if key == path[0] else inner for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, path[1:], new) if index == path[0] else inner for index, inner in enumerate(value)]
    return value
