"""Labels in vector files: shapes burned into the pixels of an image, window by window."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from terrazzo.data.areas.area import AreaReader
from terrazzo.data.areas.polygons import PolygonArea
from terrazzo.data.class_names import whole_number
from terrazzo.data.classes import Classes, Decoded
from terrazzo.data.labels.drawing import ground_class
from terrazzo.data.labels.label import Label, LabelReader
from terrazzo.data.labels.named import decode_words
from terrazzo.errors import LabelError
from terrazzo.geo.burning import BLOCK, Burner
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.shapes import Geometries, crs_of, widen
from terrazzo.geo.side_files import files_of
from terrazzo.geo.vector import EMPTY_TEXT, VectorFile, text_of
from terrazzo.record import OneOrSeveral

__all__ = ["KEPT_WHOLE", "VectorLabel", "VectorLabelReader"]

KEPT_WHOLE = 1024
"""Largest side in pixels of an image whose label is best burned whole and kept; larger ones are burned by blocks."""


def _listed(value: object) -> object:
    """Accept one for a list of one."""
    return (value,) if isinstance(value, str | Path | int | float) else value


def _texts(value: object) -> object:
    """Accept words and numbers, one or several, as text."""
    value = _listed(value)
    return tuple(text_of(item) for item in value) if isinstance(value, list | tuple) else value


_SCALAR = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
Texts = Annotated[
    tuple[str, ...],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [*_SCALAR["anyOf"], {"type": "array", "items": _SCALAR}]}),
]
"""Words or numbers; one needs no list."""

Metres = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class VectorLabel(Label):
    """Shapes of vector files, in any coordinate reference system.

    An area has the pixels whose centre lies inside. A line or point has those that it touches, unless `width_m` makes
    it an area.
    """

    name: Literal["vector"] = "vector"
    """Name of this kind."""
    vectors: Annotated[tuple[Path, ...], BeforeValidator(_listed), Field(min_length=1), OneOrSeveral()]
    """Files: GeoPackage, GeoJSON, shapefile, GeoParquet, or whatever else GDAL reads; a later one lies on top."""
    layer: str | None = None
    """Layer of the files; needed where a file has several."""
    field: str | None = None
    """Field that says the class of each shape: a name or further label of a class, or a raw value as text or number."""
    value: str | None = None
    """Class of every shape, where no field says it."""
    where: dict[str, Texts] = Field(default_factory=dict)
    """Only shapes whose fields say one of the listed words or numbers, such as {surface: [asphalt, 3]}."""
    order: Annotated[str, Field(pattern=r"^(file|reversed|area|field:.+)$")] = "file"
    """Which of several shapes lies on top: `file` the last in its file, `reversed` the first, `area` the smallest,
    `field:<name>` the one with the highest number or last word there; among equals the last in its file."""
    width_m: Metres | dict[str, Metres] | None = None
    """Width of lines and diameter of points in metres: one for all, or one for each word of `field`."""
    all_touched: bool = False
    """Give an area every pixel that it touches, not only those whose centre lies inside."""
    background: str = "auto"
    """What pixels without shape are: the name of a class; ignore; or auto, which is the first class where that is
    called background, and ignore elsewhere."""
    areas_of_interest: Path | None = None
    """Vector file with the polygons that were labelled; outside of them everything is ignored."""

    @model_validator(mode="after")
    def _class_is_said(self) -> "VectorLabel":
        if (self.field is None) == (self.value is None):
            raise ValueError("give one of `field`, which says the class of each shape, and `value`, the class of all")
        if self.field is None and isinstance(self.width_m, dict):
            raise ValueError("a width for each word needs `field`; give one number")
        return self

    def __hash__(self) -> int:
        """Hash what it says: open labels are kept by their settings, and mappings have no hash of their own."""
        return hash(self.model_dump_json())

    @property
    def files(self) -> tuple[Path, ...]:
        """The vector files, what lies beside a shapefile, and the areas of interest."""
        paths = self.vectors if self.areas_of_interest is None else (*self.vectors, self.areas_of_interest)
        return tuple(file for path in paths for file in files_of(path))

    def open(self, grid: Grid) -> "VectorLabelReader":
        """Read the shapes around an image's grid.

        Raises:
            DataError: A file is missing or damaged; a layer or field is missing; a file or the image has no coordinate
                reference system.
        """
        found = _Found.of(self, grid)
        crs = crs_of(grid)
        inside = None
        if self.areas_of_interest is not None:
            inside = PolygonArea(vectors=(self.areas_of_interest,)).open(grid)
        on_top = found.order(self.order)
        geometries = widen(found.geometries, self._widths(found.words), crs, grid=grid)[on_top]
        # Words in the order of the alphabet, so that codes do not depend on which shape comes first.
        words, codes = np.unique(found.words[on_top].astype(str), return_inverse=True)
        burner = Burner(grid, geometries, codes.reshape(-1).astype(np.int64) + 1, all_touched=self.all_touched)
        return VectorLabelReader(self, grid, burner, words=tuple(map(str, words)), inside=inside)

    def _widths(self, words: Shaped[np.ndarray, " shape"]) -> Float64[np.ndarray, " shape"]:
        if not isinstance(self.width_m, dict):
            return np.full(len(words), self.width_m or 0.0)
        known = {_same(word): width for word, width in self.width_m.items()}
        return np.array([known.get(_same(word), 0.0) for word in words], dtype=np.float64)


class VectorLabelReader(LabelReader):
    """Shapes on the grid of an image.

    Args:
        label: Settings.
        grid: Of the image.
        burner: Shapes whose code is 1 + the position of their word.
        words: What shapes say of their class.
        inside: Areas of interest; None where everything was labelled.
    """

    def __init__(
        self, label: VectorLabel, grid: Grid, burner: Burner, *, words: tuple[str, ...], inside: AreaReader | None
    ) -> None:
        small = max(grid.height, grid.width) <= KEPT_WHOLE
        self.block_shape = (grid.height, grid.width) if small else (BLOCK, BLOCK)
        self._label = label
        self._burner = burner
        self._words = words
        self._inside = inside

    def decode(self, window: Window, classes: Classes, inside: Bool[np.ndarray, "y x"] | None = None) -> Decoded:
        """Burn a window and look its words up; what lies on no pixel, or outside of what was labelled, never counts."""
        try:
            ground = ground_class(self._label.background, classes)
        except LabelError as error:
            raise LabelError(f"{self._label.file}: {error}") from error
        count = len(self._words)
        burned = self._burner.read(window)
        codes = np.where(burned > 0, burned - 1, count)
        if self._inside is not None:
            codes[~self._inside.inside(window)] = count + 1
        if inside is not None:
            codes[~inside] = count + 1
        return decode_words(codes, self._words, (ground, classes.ignore), classes=classes, file=self._label.file)


@dataclass(frozen=True)
class _Found:
    """Shapes of all files of a label, in the order of the files.

    Attributes:
        geometries: In the coordinate reference system of the image.
        words: What each says of its class.
        areas_m2: Area of each.
        texts: What each says in the fields that are asked for.
    """

    geometries: Geometries
    words: Shaped[np.ndarray, " shape"]
    areas_m2: Float64[np.ndarray, " shape"]
    texts: Mapping[str, Shaped[np.ndarray, " shape"]]

    @classmethod
    def of(cls, label: VectorLabel, grid: Grid) -> "_Found":
        """Read what `where` lets through."""
        sorted_by = label.order.removeprefix("field:") if label.order.startswith("field:") else None
        named = (label.field, sorted_by, *label.where)
        fields = tuple(dict.fromkeys(name for name in named if name is not None))
        widths = label.width_m.values() if isinstance(label.width_m, dict) else (label.width_m or 0.0,)
        reach = max(widths, default=0.0) / 2
        files = [VectorFile(path, label.layer).read(grid, fields, reach_m=reach) for path in label.vectors]
        texts = {name: np.concatenate([shapes.texts[name] for shapes in files]) for name in fields}
        geometries = np.concatenate([shapes.geometries for shapes in files])
        areas = np.concatenate([shapes.areas_m2 for shapes in files])
        kept = np.ones(len(geometries), dtype=bool)
        for name, listed in label.where.items():
            wanted = {_same(text) for text in listed}
            kept &= np.array([_same(text) in wanted for text in texts[name]], dtype=bool)
        words = np.full(len(geometries), label.value, dtype=object) if label.field is None else texts[label.field]
        return cls(geometries[kept], words[kept], areas[kept], {name: text[kept] for name, text in texts.items()})

    def order(self, order: str) -> Int64[np.ndarray, " shape"]:
        """Return the shapes from the lowest to the one on top."""
        count = np.arange(len(self.geometries))
        if order == "file":
            return count
        if order == "reversed":
            return count[::-1].copy()
        if order == "area":
            thin = shapely.get_dimensions(self.geometries) < 2
            return np.argsort(np.where(thin, 0.0, -self.areas_m2), kind="stable")
        ranks = [_rank(text) for text in self.texts[order.removeprefix("field:")]]
        return np.array(sorted(count.tolist(), key=ranks.__getitem__), dtype=np.int64)


def _rank(text: str) -> tuple[int, float, str]:
    """Return what sorts attributes: nothing, then numbers by size, then words by letters."""
    if text == EMPTY_TEXT:
        return (0, 0.0, "")
    try:
        number = float(text)
    except ValueError:
        return (2, 0.0, text)
    return (1, number, "") if math.isfinite(number) else (2, 0.0, text)


def _same(text: str) -> str:
    """Return a text that is one for "3" and "3.0"."""
    number = whole_number(text)
    return text if number is None else str(number)
