"""Annotation files of "CVAT for images 1.1": what lies where in one, found in a single pass of flat memory.

Only the place of each image in the file is kept, so that reading an image's shapes later costs as much as that image,
whatever the file's size. Document types, which are where entities come from, are refused as soon as they begin.
"""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.parsers import expat

from terrazzo.errors import DataError

__all__ = ["SHAPES", "CvatFile", "CvatImage", "read_cvat", "read_image_element"]

SHAPES = frozenset({"polygon", "box", "polyline", "points", "ellipse", "mask"})
"""Elements that can be drawn."""
OTHER_SHAPES = frozenset({"cuboid", "skeleton"})
"""Elements that mean no pixels of an image."""
PIXELLESS = frozenset({"tag", *OTHER_SHAPES})
"""Types of labels that no shape of pixels bears."""
LARGEST_DEPTH = 64
"""Elements within each other; CVAT needs five."""


@dataclass(frozen=True)
class CvatImage:
    """One image of an annotation file.

    Attributes:
        name: Its path as the file says it, with `/` between folders.
        width: Columns.
        height: Rows.
        begin: First byte of its element in the file.
        size: Bytes up to the next element.
        task: Name of its task; empty where the file says none.
        subset: Subset of its task, such as "Train"; empty where the file says none.
        tags: Labels of its tags.
        shapes: Number of shapes that can be drawn.
        other_shapes: Number of cuboids and skeletons.
    """

    name: str
    width: int
    height: int
    begin: int
    size: int
    task: str
    subset: str
    tags: tuple[str, ...]
    shapes: int
    other_shapes: int


@dataclass(frozen=True)
class CvatFile:
    """What an annotation file holds.

    Attributes:
        images: Its images in their order.
        labels: Colour of each label that it declares for shapes, as "#rrggbb" or empty, by name in their order.
    """

    images: tuple[CvatImage, ...]
    labels: Mapping[str, str]


def read_cvat(path: Path) -> CvatFile:
    """Return what a file holds; a file that has not changed is read once in a process.

    Raises:
        DataError: The file is missing, no XML, cut off, declares a document type, or is no CVAT for images.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return _read(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, _size: int, _modified_ns: int) -> CvatFile:
    parser = expat.ParserCreate("utf-8")
    reading = _Reading(path, parser)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reading.refuse
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        with path.open("rb") as file:
            # Such a mark would overrule the encoding that is set, and with it the places of images.
            if file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
                raise DataError(f"{path} is in UTF-16, and CVAT writes UTF-8; convert it.")
            file.seek(0)
            parser.ParseFile(file)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except expat.ExpatError as error:
        raise DataError(
            f"{path} is no complete XML file in UTF-8: {error}; export it again as CVAT for images 1.1."
        ) from error
    return reading.result()


def read_image_element(path: Path, name: str, begin: int, size: int) -> ET.Element:
    """Return the element of one image.

    Args:
        path: Annotation file.
        name: Its name there.
        begin: First byte of its element.
        size: Bytes to read.

    Raises:
        DataError: The file is missing, or another image or nothing stands there: it has changed.
    """
    try:
        with path.open("rb") as file:
            file.seek(begin)
            content = file.read(size)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    changed = DataError(
        f'{path} has changed: "{name}" does not stand at byte {begin} any more; prepare the data again.'
    )
    if not content.startswith(b"<image"):
        raise changed
    try:
        # The content begins inside the document, where a document type is an error of syntax.
        element = ET.fromstring(content)  # noqa: S314
    except ET.ParseError as error:
        raise changed from error
    if element.tag != "image" or _with_slashes(element.get("name", "")) != name:
        raise changed
    return element


@dataclass
class _Open:
    """An image whose element has begun."""

    attributes: Mapping[str, str]
    begin: int
    tags: list[str] = field(default_factory=list)
    shapes: int = 0
    other_shapes: int = 0


class _Reading:
    """What has been found while a file is read."""

    def __init__(self, path: Path, parser: expat.XMLParserType) -> None:
        self._path = path
        self._parser = parser
        self._within: list[str] = []
        self._words: list[str] = []
        self._image: _Open | None = None
        self._found: list[tuple[_Open, int]] = []
        self._labels: dict[str, str] = {}
        self._label: dict[str, str] = {}
        self._tasks: dict[str, dict[str, str]] = {}
        self._task: dict[str, str] = {}

    def refuse(self, *_: object) -> None:
        """Refuse a document type."""
        raise DataError(
            f"{self._path} declares a document type or entities (<!DOCTYPE ...>), which can reach other files and "
            "grow without bound; CVAT writes none. Remove it."
        )

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take note of an element that begins."""
        depth = len(self._within)
        if depth == 0 and name != "annotations":
            raise DataError(
                f"{self._path} is no CVAT file: it begins with <{name}>, but CVAT's begin with <annotations>."
            )
        if depth == LARGEST_DEPTH:
            raise DataError(f"{self._path} is no CVAT file: more than {LARGEST_DEPTH} elements lie within each other.")
        if depth == 1:
            self._close()
            if name == "track":
                raise DataError(f"{self._path} is CVAT for video; export it as CVAT for images 1.1.")
            if name == "image":
                self._image = _Open(attributes, self._parser.CurrentByteIndex)
        elif depth == 2 and self._image is not None:
            self._image.tags += [attributes.get("label", "")] if name == "tag" else []
            self._image.shapes += name in SHAPES
            self._image.other_shapes += name in OTHER_SHAPES
        self._within.append(name)
        self._words.clear()

    def end(self, name: str) -> None:
        """Take note of what an element said."""
        self._within.pop()
        parent = self._within[-1] if self._within else ""
        said = "".join(self._words).strip()
        self._words.clear()
        if not self._within:
            self._close()
        elif self._within[1:2] == ["meta"]:
            if parent == "label" and name in {"name", "color", "type", "parent"}:
                self._label[name] = said
            elif name == "label":
                if self._label.get("type") not in PIXELLESS and not self._label.get("parent"):
                    self._labels.setdefault(self._label.get("name", ""), self._label.get("color", ""))
                self._label = {}
            elif parent == "task" and name in {"id", "name", "subset"}:
                self._task[name] = said
            elif name == "task":
                self._tasks[self._task.get("id", "")] = self._task
                self._task = {}
        elif self._within == ["annotations"] and name == "version" and not said.startswith("1."):
            raise DataError(f'{self._path} is CVAT of version "{said}"; export it as CVAT for images 1.1.')

    def text(self, words: str) -> None:
        """Collect what stands in an element of the file's head."""
        if self._within[1:2] in (["meta"], ["version"]):
            self._words.append(words)

    def _close(self) -> None:
        """The place of an image ends where the next element begins."""
        if self._image is not None:
            self._found.append((self._image, self._parser.CurrentByteIndex))
            self._image = None

    def result(self) -> CvatFile:
        """Return all that was found, checked."""
        if not self._found:
            raise DataError(f"{self._path} holds no image; export it as CVAT for images 1.1.")
        return CvatFile(tuple(self._checked(image, end) for image, end in self._found), self._labels)

    def _checked(self, image: _Open, end: int) -> CvatImage:
        given = image.attributes
        where = f'{self._path}: image {given.get("id", "")} "{given.get("name", "")}"'
        if not given.get("name"):
            raise DataError(f"{where} has no name.")
        sizes = {side: _whole(given.get(side, "")) for side in ("width", "height")}
        for side, value in sizes.items():
            if value is None:
                raise DataError(f'{where} has the {side} "{given.get(side, "")}", which is no number of pixels.')
        only = next(iter(self._tasks.values())) if len(self._tasks) == 1 else {}
        task = self._tasks.get(given.get("task_id", ""), only)
        return CvatImage(
            name=_with_slashes(given["name"]),
            width=sizes["width"] or 0,
            height=sizes["height"] or 0,
            begin=image.begin,
            size=end - image.begin,
            task=task.get("name", ""),
            subset=given.get("subset") or task.get("subset", ""),
            tags=tuple(image.tags),
            shapes=image.shapes,
            other_shapes=image.other_shapes,
        )


def _whole(text: str) -> int | None:
    """Return a positive whole number, or None where a text is none."""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 2**31 else None


def _with_slashes(name: str) -> str:
    """Return a path that may have been written on Windows with `/` between its parts."""
    return name.replace("\\", "/")
