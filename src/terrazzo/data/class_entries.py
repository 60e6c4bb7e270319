"""One class as it is listed, and what a list of classes may leave open: bare names, and colours that we pick."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from terrazzo.data.colours import Colour, default_colours, parse_colour
from terrazzo.record import Record

__all__ = ["Class", "allow_bare_names", "completed"]


class Class(Record):
    """One class: its name, its colour on maps, and what stands for it in raw labels."""

    name: Annotated[str, Field(min_length=1)]
    """Name, once among the classes."""
    colour: Colour = (128, 128, 128)
    """Colour on maps, and in colour masks; where none is given, `Classes` picks one."""
    values: tuple[int, ...] = ()
    """Raw label values; where no class lists any, a class's value is its position 0, 1, 2, ..."""
    other_colours: tuple[Colour, ...] = ()
    """Further colours of the class in colour masks."""
    labels: tuple[str, ...] = ()
    """Names of the class in vector attributes and annotation files, beside its own name."""


def allow_bare_names(schema: dict[str, Any]) -> None:
    """Let a name stand for a class in the JSON Schema too."""
    schema["items"] = {"anyOf": [{"type": "string"}, schema["items"]]}


def completed(given: object) -> object:
    """Return classes as a mapping whose entries all have a colour; what is no list of classes comes back as it is.

    Args:
        given: A mapping with `items`, or these alone: names, mappings or records.
    """
    if isinstance(given, list | tuple):
        given = {"items": given}
    if not isinstance(given, Mapping) or not isinstance(given.get("items"), list | tuple):
        return given
    entries: list[Any] = [{"name": item} if isinstance(item, str) else item for item in given["items"]]
    bare = [position for position, entry in enumerate(entries) if not _has_colour(entry)]
    if not bare:
        return {**given, "items": entries}
    taken = [colour for entry in entries for colour in _given_colours(entry)]
    for position, colour in zip(bare, default_colours(len(bare), taken=taken), strict=True):
        entry = entries[position]
        if isinstance(entry, Class):
            entries[position] = entry.model_copy(update={"colour": colour})
        elif isinstance(entry, Mapping):
            entries[position] = {**entry, "colour": colour}
    # Colours that we picked never stand in a label, so labels can only hold values.
    labels = "value" if len(bare) == len(entries) and given.get("labels", "auto") == "auto" else None
    return {**given, "items": entries, **({"labels": labels} if labels else {})}


def _has_colour(entry: object) -> bool:
    if isinstance(entry, Class):
        return "colour" in entry.model_fields_set
    return not isinstance(entry, Mapping) or "colour" in entry


def _given_colours(entry: object) -> list[tuple[int, int, int]]:
    if isinstance(entry, Class):
        return [entry.colour] if "colour" in entry.model_fields_set else []
    try:
        colour = parse_colour(entry["colour"]) if isinstance(entry, Mapping) and "colour" in entry else None
    except ValueError:
        return []  # refused where it stands, as a field of its class
    return [(colour[0], colour[1], colour[2])] if isinstance(colour, list | tuple) and len(colour) == 3 else []
