"""Classes of shapes: which attribute of a vector file says them, and which labels an annotation file declares."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from terrazzo.data.class_names import whole_number
from terrazzo.data.colours import parse_colour
from terrazzo.data.labels.cvat_file import read_cvat
from terrazzo.data.recognise.labels import ClassGuess, thing_in
from terrazzo.errors import DataError

__all__ = ["VECTOR_SUFFIXES", "ShapeGuess", "classes_of_annotations", "guess_shapes"]

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".shp", ".fgb", ".parquet")
"""Suffixes of files that may hold shapes, in lower case."""
MOST_SHAPES = 20_000
"""Shapes whose attributes are read."""
MOST_CLASSES = 40
"""Different words that a field may have and be taken for classes."""
_HINTS = (
    "class",
    "klass",
    "clase",
    "label",
    "categ",
    "type",
    "landuse",
    "land_use",
    "landcover",
    "cover",
    "code",
    "lulc",
)
_EMPTY = ("", "none", "nan", "null")


@dataclass(frozen=True)
class ShapeGuess:
    """What a vector file says about classes.

    Attributes:
        settings: Keys of `data.source.label_vectors` beside the files.
        classes: The classes.
    """

    settings: Mapping[str, object]
    classes: ClassGuess


def guess_shapes(path: Path, *, path_words: str) -> ShapeGuess:
    """Read the attributes of a vector file and choose the field that says the class.

    Args:
        path: The file.
        path_words: Names of folders and files, where a word such as "buildings" names the class of all shapes.

    Raises:
        DataError: The file cannot be read, or holds no area, line or point.
    """
    try:
        layers = pyogrio.list_layers(path)
        layer = next((str(name) for name, kind in layers if kind), None)
        if layer is None:
            raise DataError(f"{path} holds no layer with shapes.")
        frame = pyogrio.read_dataframe(path, layer=layer, read_geometry=False, max_features=MOST_SHAPES)
    except (DataSourceError, DataLayerError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as vector data: {error}.") from error
    settings: dict[str, object] = {"layer": layer} if len(layers) > 1 else {}
    field = _class_field(frame)
    if field is None:
        name = thing_in(path_words) or "foreground"
        items = [{"name": "background"}, {"name": name}]
        reason = f"no field of {path.name} looks like classes, so all shapes are one class; name it"
        return ShapeGuess({**settings, "value": name}, ClassGuess({"items": items}, (reason,)))
    return ShapeGuess({**settings, "field": field}, _classes(_texts(frame[field]), f"{field} of {path.name}"))


def _texts(column: "pd.Series[str]") -> list[str]:
    """Return the different words of a field, sorted, numbers by size; empty ones are left out."""
    words = {str(word).strip() for word in column.dropna()}
    words = {str(number) if (number := whole_number(word)) is not None else word for word in words}
    kept = [word for word in words if word.lower() not in _EMPTY]
    return sorted(kept, key=lambda word: (whole_number(word) is None, whole_number(word) or 0, word))


def _class_field(frame: pd.DataFrame) -> str | None:
    """Return the first field whose name and words look like classes."""
    for name in frame.columns:
        words = _texts(frame[name])
        hinted = any(hint in str(name).lower() for hint in _HINTS)
        filled = sum(str(word).strip().lower() not in _EMPTY for word in frame[name].dropna())
        if hinted and 2 <= len(words) <= min(MOST_CLASSES, len(frame) / 2 + 1) and filled >= 0.9 * len(frame):
            return str(name)
    return None


def _classes(words: list[str], where: str) -> ClassGuess:
    numbers = [whole_number(word) for word in words]
    if all(number is not None for number in numbers):
        ignored = [number for number in numbers if number in {255, -1, -9999}] if len(words) > 2 else []
        items = [{"name": f"class_{number}", "values": [number]} for number in numbers if number not in ignored]
        settings: dict[str, object] = {"items": items}
        if ignored:
            settings["ignore_values"] = ignored
        return ClassGuess(settings, (f"the field {where} holds these numbers; rename the classes",))
    return ClassGuess({"items": [{"name": word} for word in words]}, (f"the field {where} holds these words",))


def classes_of_annotations(path: Path) -> ClassGuess:
    """Return the labels that a CVAT file declares, after a background.

    Raises:
        DataError: The file cannot be read or declares no label.
    """
    labels = read_cvat(path).labels
    if not labels:
        raise DataError(f"{path} declares no labels.")
    colours = {name: parse_colour(colour) for name, colour in labels.items() if colour}
    distinct = len(set(colours.values())) == len(labels) and (0, 0, 0) not in colours.values()
    names = [name for name in labels if name.strip().lower() != "background"]
    items: list[dict[str, object]] = [{"name": "background", **({"colour": "#000000"} if distinct else {})}]
    items += [{"name": name, **({"colour": labels[name].upper()} if distinct else {})} for name in names]
    return ClassGuess({"items": items}, (f"labels and colours come from {path.name}; the rest is background",))
