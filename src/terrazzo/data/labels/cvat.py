"""Labels drawn in CVAT: an image's shapes, in the order in which CVAT shows them."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from terrazzo.data.labels.cvat_file import read_cvat, read_image_element
from terrazzo.data.labels.drawing import DrawnReader
from terrazzo.data.labels.label import Label, LabelReader
from terrazzo.data.labels.shapes import Dots, Ellipse, Line, Mask, Polygon, Shape, box
from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid, Window
from terrazzo.record import Record

__all__ = ["CvatDrawing", "CvatLabel"]

Width = Annotated[float, Field(gt=0, le=10_000)]


class CvatDrawing(Record):
    """How shapes become pixels."""

    attribute: str | None = None
    """Attribute whose value names a shape's class; the label of a shape that has no such attribute, or all labels if
    not given."""
    line_width: Width = 3.0
    """Width of polylines, in pixels."""
    point_width: Width = 3.0
    """Diameter of points, in pixels."""
    background: str = "auto"
    """What stands where no shape is: a class, `ignore`, or `auto`: the first class where that is called background,
    else ignore."""


class CvatLabel(Label):
    """The shapes of one image in an annotation file of CVAT for images 1.1."""

    name: Literal["cvat"] = "cvat"
    """Name of this kind."""
    annotations: Path
    """Annotation file."""
    image: Annotated[str, Field(min_length=1)]
    """Name of the image there."""
    place: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    """First byte of its element in the file and the number of bytes; looked up by its name if not given."""
    drawing: CvatDrawing = CvatDrawing()
    """How its shapes become pixels."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation file."""
        return (self.annotations,)

    def open(self, grid: Grid) -> LabelReader:
        """Read the shapes of the image, lowest first: by `z_order`, and of one `z_order` in the order of the file.

        Raises:
            DataError: The file is damaged or has changed, its image has another size than the grid, or a shape is
                damaged.
        """
        element = read_image_element(self.annotations, self.image, *(self.place or self._place()))
        size = (element.get("height"), element.get("width"))
        if size != (str(grid.height), str(grid.width)):
            # What has coordinates may have been brought to another resolution on its way here.
            why = "" if grid.crs is None else "; or data.resolution_m is set, which shapes in pixels cannot follow"
            raise DataError(
                f'{self.annotations} says that "{self.image}" has {size[0]} x {size[1]} pixels (rows x columns), but '
                f"the file has {grid.height} x {grid.width}: it is another image, or it was resized or turned{why}."
            )
        shapes: list[tuple[int, Shape, str]] = []
        for number, part in enumerate(element, 1):
            if part.tag in _SHAPES:
                try:
                    shape = _shape(part, self.drawing, grid)
                    shapes.append((int(part.get("z_order", "0")), shape, _class_of(part, self.drawing.attribute)))
                except (DataError, ValueError) as error:
                    where = (
                        f'{self.annotations}: {part.tag} "{part.get("label", "")}", number {number} of "{self.image}"'
                    )
                    raise DataError(f"{where}, cannot be drawn: {error}") from error
        shapes.sort(key=lambda entry: entry[0])
        drawn = [(shape, name) for _, shape, name in shapes]
        where = f'{self.annotations}: "{self.image}"'
        return DrawnReader(where, grid, drawn, background=self.drawing.background)

    def _place(self) -> tuple[int, int]:
        found = [image for image in read_cvat(self.annotations).images if image.name == self.image]
        if len(found) != 1:
            raise DataError(f'{self.annotations} holds {len(found)} images called "{self.image}", and not one.')
        return found[0].begin, found[0].size


def _class_of(part: Element, attribute: str | None) -> str:
    """Return the name of a shape's class: the value of the attribute where it has one, else its label."""
    for entry in part.iterfind("attribute") if attribute is not None else ():
        if entry.get("name") == attribute and (value := (entry.text or "").strip()):
            return value
    return part.get("label", "")


def _shape(part: Element, drawing: CvatDrawing, grid: Grid) -> Shape:
    shape = _SHAPES[part.tag](part, drawing)
    # A polygon may be drawn over the edge; a mask never is, and its rectangle says how much memory it takes.
    if isinstance(shape, Mask) and shape.extent.intersection(grid.whole) != shape.extent:
        raise DataError(f"its rectangle leaves the image of {grid.height} x {grid.width} pixels (rows x columns).")
    return shape


def _numbers(part: Element, *names: str) -> list[float]:
    found: list[float] = []
    for name in names:
        text = part.get(name)
        if text is None:
            raise DataError(f"it has no `{name}`.")
        number = float(text)
        if not math.isfinite(number):
            raise DataError(f"`{name}` is {text}.")
        found.append(number)
    return found


def _points(part: Element) -> Float64[np.ndarray, "point 2"]:
    text = part.get("points", "")
    pairs = [pair.split(",") for pair in text.split(";") if pair.strip()]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise DataError(f'its points are "{text[:60]}", and not "x,y;x,y;...".')
    return np.array([[float(number) for number in pair] for pair in pairs], dtype=np.float64)


def _rotation(part: Element) -> float:
    return _numbers(part, "rotation")[0] if part.get("rotation") else 0.0


def _polygon(part: Element, _drawing: CvatDrawing) -> Shape:
    return Polygon((_points(part),))


def _box(part: Element, _drawing: CvatDrawing) -> Shape:
    left, top, right, bottom = _numbers(part, "xtl", "ytl", "xbr", "ybr")
    return box(left, top, right, bottom, rotation=_rotation(part))


def _line(part: Element, drawing: CvatDrawing) -> Shape:
    return Line(_points(part), drawing.line_width)


def _dots(part: Element, drawing: CvatDrawing) -> Shape:
    return Dots(_points(part), drawing.point_width)


def _ellipse(part: Element, _drawing: CvatDrawing) -> Shape:
    x, y, radius_x, radius_y = _numbers(part, "cx", "cy", "rx", "ry")
    return Ellipse(x, y, radius_x, radius_y, _rotation(part))


def _mask(part: Element, _drawing: CvatDrawing) -> Shape:
    left, top, width, height = (int(number) for number in _numbers(part, "left", "top", "width", "height"))
    runs = [int(run) for run in part.get("rle", "").split(",") if run.strip()]
    # Checked before an array is made: a number beyond 64 bits is no length.
    if any(not 0 <= run < 2**40 for run in runs):
        raise DataError("its `rle` holds a run that is no length.")
    return Mask(Window(top, left, height, width), np.array(runs, dtype=np.int64))


_SHAPES: Mapping[str, Callable[[Element, CvatDrawing], Shape]] = MappingProxyType(
    {"polygon": _polygon, "box": _box, "polyline": _line, "points": _dots, "ellipse": _ellipse, "mask": _mask}
)
