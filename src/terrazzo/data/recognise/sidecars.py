"""Class names in files that lie beside labels: lists, tables, palettes and category names of several programs."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from terrazzo.data.recognise.view import View
from terrazzo.data.sources.plain_xml import read_xml

__all__ = ["Named", "find_names"]

LARGEST_BYTES = 2**20
"""Files above this are no list of classes."""

_LISTS = re.compile(
    r"(?:class(?:es)?|labels?|categor(?:y|ies)|legend|colou?rs?)"
    r"(?:[_\-]?(?:names?|list|dict|colou?rs?|seg|map|classes))*\.(?:txt|csv|json|clr)"
    r"|label_?map\.txt",
    re.IGNORECASE,
)
_IGNORED = re.compile(
    r"\b(?:ignored?|no ?data|void|unlabell?ed|unknown|unclassified|n/?a|not classified|undefined)\b", re.IGNORECASE
)
_SEPARATORS = re.compile(r"[\t;:,]+")
_PALETTE_ENTRY = re.compile(r"<paletteEntry\b([^>]*)/?>")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Named:
    """One class as a file beside the labels names it.

    Attributes:
        name: Its name.
        value: Label value; None where the file gives none.
        colour: Label colour; None where the file gives none.
    """

    name: str
    value: int | None = None
    colour: tuple[int, int, int] | None = None

    @property
    def ignored(self) -> bool:
        """Whether the name says that this is no class."""
        return bool(_IGNORED.search(self.name.replace("_", " ").replace("(", " ").replace(")", " ")))


def find_names(view: View) -> list[tuple[str, tuple[Named, ...]]]:
    """Return what the files of a folder say about classes, the nearest to the top first.

    Files that hold no such thing are passed over.

    Returns:
        The path of each file below the folder with its classes, two at least.
    """
    candidates = [path for path in view.files if _is_candidate(PurePosixPath(path))]
    candidates.sort(key=lambda path: (path.count("/"), path))
    found: list[tuple[str, tuple[Named, ...]]] = []
    for path in candidates[:50]:
        named = tuple(_named(view.folder / path))
        if len(named) >= 2 and len({entry.name for entry in named}) == len(named):
            found.append((path, named))
    return found


def _is_candidate(path: PurePosixPath) -> bool:
    return bool(_LISTS.fullmatch(path.name)) or path.name.lower().endswith((".aux.xml", ".qml"))


def _named(path: Path) -> Iterable[Named]:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return []
        if path.name.lower().endswith(".aux.xml"):
            return _categories(path)
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".qml":
            return _qgis_style(text)
        return _json(json.loads(text)) if path.suffix.lower() == ".json" else _lines(text)
    except (OSError, ValueError):
        # DataError is a ValueError: what cannot be read says nothing about classes.
        return []


def _categories(path: Path) -> list[Named]:
    """Return GDAL's category names; the place of each is its value. Empty ones and the filler "NA" at 0 name none."""
    found = []
    for band in read_xml(path).iter("CategoryNames"):
        for value, category in enumerate(band.iter("Category")):
            if name := (category.text or "").strip():
                found.append(Named(name, value))
    return found


def _qgis_style(text: str) -> list[Named]:
    """Return the entries of a QGIS palette; read as text, since such files declare a document type."""
    found = []
    for entry in _PALETTE_ENTRY.findall(text):
        said = dict(_ATTRIBUTE.findall(entry))
        if said.get("label") and re.fullmatch(r"-?\d+", said.get("value", "")):
            found.append(Named(said["label"], int(said["value"]), _hexadecimal(said.get("color", ""))))
    return found


def _json(content: object) -> list[Named]:
    """Return the classes of a list, of `{"classes": [...]}`, or of a mapping from or to names."""
    if isinstance(content, Mapping):
        for key in ("classes", "labels", "categories", "items"):
            if isinstance(content.get(key), list | Mapping):
                return _json(content[key])
        return [entry for key, value in content.items() if (entry := _of_item(str(key), value)) is not None]
    if not isinstance(content, list):
        return []
    if all(isinstance(item, str) for item in content):
        return [Named(name, number) for number, name in enumerate(content)]
    return [_of_record(item) for item in content if isinstance(item, Mapping) and _name_of(item)]


def _of_item(key: str, value: object) -> Named | None:
    """Return a class of `{"0": "name"}`, `{"name": 0}`, `{"name": "#RRGGBB"}` or `{"name": [r, g, b]}`."""
    if isinstance(value, str):
        if re.fullmatch(r"-?\d+", key):
            return Named(value, int(key))
        colour = _hexadecimal(value)
        return Named(key, colour=colour) if colour else None
    if isinstance(value, int) and not isinstance(value, bool):
        return Named(key, value)
    colour = _colour(value)
    return Named(key, colour=colour) if colour else None


def _name_of(item: Mapping[str, object]) -> str:
    return next((str(item[key]).strip() for key in ("name", "title", "label", "class") if item.get(key)), "")


def _of_record(item: Mapping[str, object]) -> Named:
    value = next((item[key] for key in ("value", "id", "index", "class_id") if isinstance(item.get(key), int)), None)
    said = next((item[key] for key in ("color", "colour", "rgb") if item.get(key)), None)
    colour = _hexadecimal(said) if isinstance(said, str) else _colour(said)
    return Named(_name_of(item), value if isinstance(value, int) else None, colour)


def _lines(text: str) -> list[Named]:
    """Return the classes of a text file: names alone, with values, with colours, or both, one a line."""
    found: list[Named] = []
    for line in text.splitlines():
        line = line.strip()  # noqa: PLW2901 - the same line, trimmed
        if not line or line.startswith("#") or line.upper().startswith("INTERPOLATION"):
            continue
        cells = [cell.strip() for cell in _SEPARATORS.split(line) if cell.strip()]
        if len(cells) < 3:
            # "3 open water" or "open water: 3": numbers stand apart, words belong together.
            cells = [part for cell in cells for part in cell.split()]
        numbers = [int(cell) for cell in cells if re.fullmatch(r"-?\d+", cell)]
        name = " ".join(cell for cell in cells if not re.fullmatch(r"-?\d+", cell))
        if not name or (name.lower().startswith(("name", "class")) and not numbers and not found):
            continue  # the head of a table
        value, colour = _numbers(numbers)
        found.append(Named(name, value, colour))
    if found and all(entry.value is None and entry.colour is None for entry in found):
        return [Named(entry.name, number) for number, entry in enumerate(found)]
    return found


def _numbers(numbers: list[int]) -> tuple[int | None, tuple[int, int, int] | None]:
    """Return value and colour by how many numbers a line holds: 1 a value, 3 a colour, 4 or 5 a value and a colour."""
    value = numbers[0] if len(numbers) in {1, 4, 5} else None
    channels = numbers[1:4] if len(numbers) in {4, 5} else numbers[:3] if len(numbers) == 3 else []
    return value, _colour(channels)


def _colour(value: object) -> tuple[int, int, int] | None:
    channels = [item for item in value if isinstance(item, int)] if isinstance(value, list | tuple) else []
    if len(channels) < 3 or not all(0 <= channel <= 255 for channel in channels[:3]):
        return None
    return channels[0], channels[1], channels[2]


def _hexadecimal(text: str) -> tuple[int, int, int] | None:
    found = re.fullmatch(r"#?([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})", text.strip())
    return None if found is None else (int(found[1], 16), int(found[2], 16), int(found[3], 16))
