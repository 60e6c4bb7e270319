"""Values of JSON files that others may have written: what is not of the kind that it should be counts as missing."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["mapping_of", "mappings_of", "sequence_of", "text_of", "texts_of"]


def texts_of(value: object) -> tuple[str, ...]:
    """Return a list's entries as text; none where it is no list."""
    return tuple(str(item) for item in sequence_of(value))


def text_of(value: object) -> str:
    """Return a value as text; nothing for None."""
    return "" if value is None else str(value)


def mapping_of(value: object) -> Mapping[str, Any]:
    """Return a mapping; an empty one where it is something else."""
    return value if isinstance(value, Mapping) else {}


def mappings_of(value: object) -> list[Mapping[str, Any]]:
    """Return a list's mappings, and leave out what is none."""
    return [entry for entry in sequence_of(value) if isinstance(entry, Mapping)]


def sequence_of(value: object) -> Sequence[Any]:
    """Return a list; an empty one where it is something else."""
    return value if isinstance(value, list | tuple) else ()
