"""Which classes a map of ours says that it holds: numbers, names and colours, read from the file alone."""

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Integer, Shaped

from terrazzo.data.classes import Classes
from terrazzo.errors import DataError
from terrazzo.serve.rasters import ViewedRaster

__all__ = ["MapClasses", "MapLegend", "is_map", "read_legend"]

_ROW = re.compile(r"<Row[^>]*>\s*<F>(-?\d+)</F>\s*<F>([^<]*)</F>\s*<F>(\d+)</F>\s*<F>(\d+)</F>\s*<F>(\d+)</F>\s*</Row>")
"""A row of the side file's table: value, name, red, green, blue."""
_LARGEST_SIDE_FILE = 2**24


@dataclass(frozen=True)
class MapClasses:
    """One class of a map.

    Attributes:
        value: What pixels of the class hold; its position in a map of colours.
        name: Its name.
        colour: Red, green, blue, 0..255.
    """

    value: int
    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class MapLegend:
    """All classes of a map, and how its pixels name them.

    Attributes:
        classes: In the order of the classes.
        coloured: Whether pixels hold colours instead of values.
    """

    classes: tuple[MapClasses, ...]
    coloured: bool

    def positions(
        self, values: Shaped[np.ndarray, "band y x"], valid: Bool[np.ndarray, "y x"]
    ) -> Integer[np.ndarray, "y x"]:
        """Return the position of each pixel's class among the classes; -1 where it has none.

        Args:
            values: As the file holds them.
            valid: Where it holds any.
        """
        if self.coloured:
            keys = (values[0].astype(np.int64) << 16) | (values[1].astype(np.int64) << 8) | values[2]
            known = [(red << 16) | (green << 8) | blue for red, green, blue in (one.colour for one in self.classes)]
        else:
            keys = values[0].astype(np.int64)
            known = [one.value for one in self.classes]
        order = np.argsort(known, kind="stable")
        ordered = np.asarray(known, dtype=np.int64)[order]
        slot = np.minimum(np.searchsorted(ordered, keys), len(known) - 1)
        found: Integer[np.ndarray, "y x"] = np.where((ordered[slot] == keys) & valid, order[slot], -1)
        return found


def is_map(raster: ViewedRaster) -> bool:
    """Return whether a raster says that it is a map of classes."""
    return "CLASS_NAMES" in raster.source.tags()


def read_legend(raster: ViewedRaster) -> MapLegend:
    """Return the classes of a map.

    Args:
        raster: A map that `terrazzo predict` or `terrazzo evaluate` wrote.

    Raises:
        DataError: It does not say which classes it holds, or what it says makes no sense.
    """
    tags = raster.source.tags()
    names = _listed(tags, "CLASS_NAMES", raster.path)
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{raster.path.name}: its tag CLASS_NAMES is no list of names; is it a map of ours?")
    if "CLASS_COLOURS" in tags:
        colours = _listed(tags, "CLASS_COLOURS", raster.path)
        values: list[Any] = list(range(len(names)))
        if raster.source.count < 3 or not all(_is_colour(colour) for colour in colours):
            raise DataError(f"{raster.path.name}: its tag CLASS_COLOURS does not fit its pixels.")
        found = [tuple(colour) for colour in colours]
    else:
        values = _listed(tags, "CLASS_VALUES", raster.path)
        found = _colours(raster, names, values)
    if not len(names) == len(values) == len(found) or not all(isinstance(value, int) for value in values):
        raise DataError(f"{raster.path.name}: its tags CLASS_NAMES and CLASS_VALUES do not fit each other.")
    entries = (MapClasses(*entry) for entry in zip(values, names, found, strict=True))
    return MapLegend(tuple(entries), coloured="CLASS_COLOURS" in tags)


def _listed(tags: dict[str, str], key: str, path: Path) -> list[Any]:
    try:
        found = json.loads(tags[key])
    except (KeyError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: its tag {key} is missing or damaged; is it a map of ours?") from error
    if not isinstance(found, list):
        raise DataError(f"{path.name}: its tag {key} is no list; is it a map of ours?")
    return found


def _is_colour(colour: object) -> bool:
    return (
        isinstance(colour, list)
        and len(colour) == 3
        and all(isinstance(part, int) and 0 <= part <= 255 for part in colour)
    )


def _colours(raster: ViewedRaster, names: list[str], values: list[Any]) -> list[tuple[int, int, int]]:
    """Colours of classes: of the palette, of the side file for values above 255, else distinct ones of our own."""
    palette = raster.palette
    if palette is not None:
        return [tuple(palette.get(value, (128, 128, 128, 255))[:3]) for value in values]  # type: ignore[misc]
    side = raster.path.with_name(f"{raster.path.name}.aux.xml")
    if side.is_file() and not side.is_symlink() and side.stat().st_size <= _LARGEST_SIDE_FILE:
        rows = {
            int(value): (html.unescape(name), (int(red), int(green), int(blue)))
            for value, name, red, green, blue in _ROW.findall(side.read_text(encoding="utf-8", errors="replace"))
        }
        if all(value in rows and rows[value][0] == name for value, name in zip(values, names, strict=False)):
            return [rows[value][1] for value in values]
    unique = list(dict.fromkeys(names))
    picked = dict(zip(unique, Classes(items=unique).colours.tolist(), strict=True)) if len(unique) > 1 else {}
    return [tuple(picked.get(name, (128, 128, 128))) for name in names]
