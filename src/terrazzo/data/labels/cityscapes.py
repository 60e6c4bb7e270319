"""Labels of Cityscapes: label images with ids or training ids, and the polygons that they were drawn from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Shaped
from PIL import Image, ImageDraw
from pydantic import BaseModel, Field, ValidationError

from terrazzo.data.classes import Class, Classes, Decoded
from terrazzo.data.colours import Colour
from terrazzo.data.labels.drawing import Drawing
from terrazzo.data.labels.label import Label, LabelReader
from terrazzo.data.labels.named import decode_words
from terrazzo.data.labels.shapes import Polygon
from terrazzo.data.same_grid import require_same_grid
from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import RasterFile

__all__ = ["CITYSCAPES", "OFFICIAL_LABELS", "CityscapesLabel", "OfficialLabel", "label_names"]

Form = Literal["labelIds", "labelTrainIds", "polygons"]


class OfficialLabel(NamedTuple):
    """One line of the official table."""

    name: str
    label_id: int
    train_id: int
    """0..18, 255 for what is not judged, -1 for what is never drawn."""
    colour: Colour


OFFICIAL_LABELS = (
    OfficialLabel("unlabeled", 0, 255, (0, 0, 0)),
    OfficialLabel("ego vehicle", 1, 255, (0, 0, 0)),
    OfficialLabel("rectification border", 2, 255, (0, 0, 0)),
    OfficialLabel("out of roi", 3, 255, (0, 0, 0)),
    OfficialLabel("static", 4, 255, (0, 0, 0)),
    OfficialLabel("dynamic", 5, 255, (111, 74, 0)),
    OfficialLabel("ground", 6, 255, (81, 0, 81)),
    OfficialLabel("road", 7, 0, (128, 64, 128)),
    OfficialLabel("sidewalk", 8, 1, (244, 35, 232)),
    OfficialLabel("parking", 9, 255, (250, 170, 160)),
    OfficialLabel("rail track", 10, 255, (230, 150, 140)),
    OfficialLabel("building", 11, 2, (70, 70, 70)),
    OfficialLabel("wall", 12, 3, (102, 102, 156)),
    OfficialLabel("fence", 13, 4, (190, 153, 153)),
    OfficialLabel("guard rail", 14, 255, (180, 165, 180)),
    OfficialLabel("bridge", 15, 255, (150, 100, 100)),
    OfficialLabel("tunnel", 16, 255, (150, 120, 90)),
    OfficialLabel("pole", 17, 5, (153, 153, 153)),
    OfficialLabel("polegroup", 18, 255, (153, 153, 153)),
    OfficialLabel("traffic light", 19, 6, (250, 170, 30)),
    OfficialLabel("traffic sign", 20, 7, (220, 220, 0)),
    OfficialLabel("vegetation", 21, 8, (107, 142, 35)),
    OfficialLabel("terrain", 22, 9, (152, 251, 152)),
    OfficialLabel("sky", 23, 10, (70, 130, 180)),
    OfficialLabel("person", 24, 11, (220, 20, 60)),
    OfficialLabel("rider", 25, 12, (255, 0, 0)),
    OfficialLabel("car", 26, 13, (0, 0, 142)),
    OfficialLabel("truck", 27, 14, (0, 0, 70)),
    OfficialLabel("bus", 28, 15, (0, 60, 100)),
    OfficialLabel("caravan", 29, 255, (0, 0, 90)),
    OfficialLabel("trailer", 30, 255, (0, 0, 110)),
    OfficialLabel("train", 31, 16, (0, 80, 100)),
    OfficialLabel("motorcycle", 32, 17, (0, 0, 230)),
    OfficialLabel("bicycle", 33, 18, (119, 11, 32)),
    OfficialLabel("license plate", -1, -1, (0, 0, 142)),
)
"""All labels of the data set.

Source: Cordts et al., The Cityscapes Dataset, CVPR 2016; github.com/mcordts/cityscapesScripts, helpers/labels.py.
"""

_BY_NAME = {label.name: label for label in OFFICIAL_LABELS}
_JUDGED = tuple(label for label in OFFICIAL_LABELS if 0 <= label.train_id < 255)
_REST = tuple(label for label in OFFICIAL_LABELS if label not in _JUDGED)

CITYSCAPES = Classes(
    items=tuple(Class(name=label.name, colour=label.colour, values=(label.label_id,)) for label in _JUDGED),
    labels="value",
    ignore_values=tuple(label.label_id for label in _REST),
    ignore_labels=tuple(label.name for label in _REST),
)
"""The 19 judged classes in the order of their training ids; `values` are label ids, as the benchmark wants them."""


class CityscapesLabel(Label):
    """One frame's annotation. Classes are found by official name (a class's own or one of its `labels`), else by id."""

    name: Literal["cityscapes"] = "cityscapes"
    """Name of this kind."""
    annotation: Path
    """Label image or polygon file."""
    form: Form
    """What it holds."""
    outline: bool = False
    """Cover the outlines of polygons too, pixel by pixel as the official tool does."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation."""
        return (self.annotation,)

    def open(self, grid: Grid) -> LabelReader:
        """Open it, after checking that it has the frame's size."""
        if self.form == "polygons":
            return _PolygonReader(self.annotation, grid, outline=self.outline)
        return _RasterReader(self.annotation, grid, label_names(self.form))


def label_names(form: Literal["labelIds", "labelTrainIds"]) -> tuple[str, ...]:
    """Return what each value 0..255 of a label image is called; values without a meaning are called by their number.

    >>> label_names("labelIds")[26], label_names("labelTrainIds")[13], label_names("labelTrainIds")[255]
    ('car', 'car', 'unlabeled')
    """
    if form == "labelIds":
        names = {label.label_id: label.name for label in OFFICIAL_LABELS}
        return tuple(names.get(value, f"label id {value}") for value in range(256))
    names = {label.train_id: label.name for label in _JUDGED} | {255: "unlabeled"}
    return tuple(names.get(value, f"training id {value}") for value in range(256))


class _NamedReader(LabelReader):
    """A label whose pixels are positions in a list of names.

    Args:
        file: The file that messages name.
        names: At least one.
    """

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self._file = file
        self._names = tuple(names)

    def _positions(self, window: Window) -> Shaped[np.ndarray, "y x"]:
        raise NotImplementedError

    def decode(self, window: Window, classes: Classes, inside: Bool[np.ndarray, "y x"] | None = None) -> Decoded:
        """Look up the class of each name that occurs."""
        positions = self._positions(window)
        present = np.flatnonzero(np.bincount(positions.ravel(), minlength=len(self._names)))
        compact = np.zeros(len(self._names), dtype=np.min_scalar_type(len(self._names)))
        compact[present] = np.arange(len(present))
        words = [_word(self._names[position], classes) for position in present]
        codes = compact[positions] if inside is None else np.where(inside, compact[positions], len(words))
        return decode_words(codes, words, (classes.ignore,), classes=classes, file=self._file)


class _RasterReader(_NamedReader):
    """An open label image.

    Args:
        path: The image.
        grid: Pixels of the frame.
        names: Meaning of each value.
    """

    def __init__(self, path: Path, grid: Grid, names: Sequence[str]) -> None:
        super().__init__(path, names)
        self._raster = RasterFile(path)
        self.block_shape = self._raster.block_shape
        try:
            self._check(grid)
        except DataError:
            self.close()
            raise

    def _check(self, grid: Grid) -> None:
        require_same_grid(grid, self._raster.grid, second=self._raster.path)
        bands = self._raster.bands
        if len(bands) != 1 or bands.items[0].dtype != "uint8":
            raise DataError(
                f"{self._raster.path} has {len(bands)} bands of {bands.items[0].dtype}; a label image of Cityscapes "
                "has one of uint8. Colour images (*_color.png) are for people."
            )

    def _positions(self, window: Window) -> Shaped[np.ndarray, "y x"]:
        values: Shaped[np.ndarray, "y x"] = self._raster.read(window).values[0]
        return values

    def close(self) -> None:
        """Free the file."""
        self._raster.close()


class _PolygonReader(_NamedReader):
    """An annotation's objects, drawn one over the other in the order of the file.

    Args:
        path: The annotation.
        grid: Pixels of the frame.
        outline: Whether outlines are covered too.
    """

    def __init__(self, path: Path, grid: Grid, *, outline: bool) -> None:
        annotation = _read(path)
        if (annotation.height, annotation.width) != (grid.height, grid.width):
            raise DataError(
                f"{path} is for {annotation.height} x {annotation.width} pixels (rows x columns), but its image has "
                f"{grid.height} x {grid.width}."
            )
        drawn = [(name, item) for item in annotation.objects if (name := _drawn_name(item)) is not None]
        super().__init__(path, tuple(dict.fromkeys(("unlabeled", *(name for name, _ in drawn)))))
        self.block_shape = (grid.height, grid.width)
        try:
            shapes = [(_polygon(item), self._names.index(name)) for name, item in drawn]
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        self._drawing = Drawing(shapes)
        self._drawn = _with_outlines(shapes, grid) if outline else None

    def _positions(self, window: Window) -> Shaped[np.ndarray, "y x"]:
        if self._drawn is not None:
            return self._drawn[window.slices]
        return self._drawing.draw(window, ground=0, dtype=np.min_scalar_type(len(self._names)))


class _Object(BaseModel):
    """One annotated object; what else a file says of it is not needed."""

    label: str
    polygon: list[tuple[float, float]]
    deleted: bool = False


class _Annotation(BaseModel):
    """What a polygon file says."""

    height: Annotated[int, Field(alias="imgHeight")]
    width: Annotated[int, Field(alias="imgWidth")]
    objects: list[_Object]


def _read(path: Path) -> _Annotation:
    try:
        return _Annotation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} is no polygon file of Cityscapes: {where + ': ' if where else ''}{first['msg']}."
        ) from error


def _drawn_name(item: _Object) -> str | None:
    """Return what an object is drawn as; None for what is not drawn: deleted objects and labels with a negative id.

    A group that has no label of its own, such as cargroup, is drawn as its members.
    """
    name = item.label
    if name not in _BY_NAME and name.removesuffix("group") in _BY_NAME:
        name = name.removesuffix("group")
    hidden = item.deleted or (name in _BY_NAME and _BY_NAME[name].label_id < 0)
    return None if hidden else name


def _polygon(item: _Object) -> Polygon:
    return Polygon((np.array(item.polygon, dtype=np.float64).reshape(-1, 2),))


def _with_outlines(shapes: Sequence[tuple[Polygon, int]], grid: Grid) -> Int32[np.ndarray, "y x"]:
    """Draw the whole frame as the official tool does: with Pillow, to which a corner is the pixel of that number."""
    picture = Image.new("I", (grid.width, grid.height), 0)
    canvas = ImageDraw.Draw(picture)
    for polygon, code in shapes:
        corners = [(float(x), float(y)) for x, y in polygon.rings[0]]
        if len(corners) > 1:
            canvas.polygon(corners, fill=code)
    return np.asarray(picture)


def _word(name: str, classes: Classes) -> str:
    """Return what classes know a label by: its name, or its id where only that is listed."""
    by_id = classes.number_of(name) is None and name in _BY_NAME and any(item.values for item in classes.items)
    text = str(_BY_NAME[name].label_id) if by_id else name
    return name if classes.number_of(text) is None else text
