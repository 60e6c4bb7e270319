"""A class map on disk, whoever made it: which classes it has, and its pixels as numbers of these."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Int64, Shaped

from terrazzo.errors import ConfigError, DataError, LabelError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import RasterFile
from terrazzo.record import nearest
from terrazzo.storage import hash_file

__all__ = ["OUTSIDE", "ClassMap", "Legend", "parse_legend", "read_legend"]

OUTSIDE = -1
"""Stands for pixels that are no part of the population."""
_PIXELS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Legend:
    """The classes that maps have, in order.

    Attributes:
        names: Their names.
        values: What stands for them in the maps.
        colours: Red, green, blue, 0..255, of each; empty where no map has a palette.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    colours: tuple[tuple[int, int, int], ...] = ()

    def position(self, word: str) -> int | None:
        """Return which class a name, or else a map value, means; None where it means none.

        >>> Legend(("water", "7"), (7, 9)).position("7"), Legend(("water",), (7,)).position("7.0")
        (1, 0)
        """
        text = word.strip()
        if text in self.names:
            return self.names.index(text)
        try:
            number = float(text)
        except ValueError:
            return None
        return self.values.index(int(number)) if number.is_integer() and int(number) in self.values else None


def parse_legend(text: str) -> Legend:
    """Return the classes that a list names.

    Args:
        text: Names with commas between, for the values 0, 1, 2 and so on; or `VALUE=NAME` of each.

    Raises:
        ConfigError: The list is empty, mixes both forms, or names something twice.

    >>> parse_legend("forest, water")
    Legend(names=('forest', 'water'), values=(0, 1), colours=())
    >>> parse_legend("1=forest,5=water").values
    (1, 5)
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs = [part.partition("=") for part in parts]
    numbered = [pair for pair in pairs if pair[1]]
    if not parts or len(numbered) not in (0, len(parts)):
        raise ConfigError(f'"{text}" is no list of classes; write for example forest,water or 1=forest,5=water.')
    if not numbered:
        names, values = tuple(parts), tuple(range(len(parts)))
    else:
        wrong = [value for value, _, name in numbered if not value.strip().lstrip("-").isdigit() or not name.strip()]
        if wrong:
            raise ConfigError(f'"{text}" is no list of classes: "{wrong[0]}" is no whole number with a name.')
        names = tuple(name.strip() for _, _, name in numbered)
        values = tuple(int(value) for value, _, _ in numbered)
    for kind, listed in (("name", names), ("value", values)):
        if len(set(listed)) != len(listed):
            raise ConfigError(f'"{text}" gives one {kind} to two classes.')
    return Legend(names, values)


def read_legend(paths: Sequence[Path], given: Legend | None) -> Legend:
    """Return the classes of maps, which must be the same in all.

    Args:
        paths: The maps; the tags `CLASS_NAMES` and `CLASS_VALUES` (JSON lists), as `terrazzo predict` writes them, say
            what their values mean.
        given: The classes, where the caller names them; tags do not count then.

    Raises:
        DataError: A map says nothing of its classes, or two maps differ.
    """
    found: Legend | None = None
    for path in paths:
        with RasterFile(path) as file:
            legend = given or _tagged(path, file.tags)
            colours = _colours(file, legend)
        legend = Legend(legend.names, legend.values, colours)
        if found is not None and (legend.names, legend.values) != (found.names, found.values):
            raise DataError(
                f"{path} has the classes {_listed(legend)}, but {paths[0]} has {_listed(found)}; maps of "
                "one population must have the same ones."
            )
        found = found if found is not None and found.colours else legend
    if found is None:
        raise ConfigError("No map is given; name one or more class maps.")
    return found


def _tagged(path: Path, tags: dict[str, str]) -> Legend:
    if "CLASS_NAMES" not in tags:
        raise DataError(
            f"{path} has no tag CLASS_NAMES that says what its values mean; name its classes with --classes, such as "
            "--classes 1=forest,2=water."
        )
    if "CLASS_COLOURS" in tags:
        raise DataError(f"{path} holds colours instead of classes; map the scene with predict.values=index.")
    try:
        names = json.loads(tags["CLASS_NAMES"])
        values = json.loads(tags["CLASS_VALUES"]) if "CLASS_VALUES" in tags else list(range(len(names)))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: CLASS_NAMES and CLASS_VALUES are no JSON lists ({error}); use --classes.") from error
    right = isinstance(names, list) and isinstance(values, list) and len(names) == len(values) == len(set(names)) > 0
    if not right or not all(isinstance(value, int) for value in values):
        raise DataError(
            f"{path}: CLASS_NAMES and CLASS_VALUES are no lists of one length; name classes with --classes."
        )
    return Legend(tuple(map(str, names)), tuple(values))


def _colours(file: RasterFile, legend: Legend) -> tuple[tuple[int, int, int], ...]:
    palette = file.colormap or {}
    if not all(value in palette for value in legend.values):
        return ()
    return tuple(palette[value][:3] for value in legend.values)


def _listed(legend: Legend) -> str:
    return ", ".join(f"{value}={name}" for name, value in zip(legend.names, legend.values, strict=True))


class ClassMap:
    """An open class map, read row by row. Use as a context manager.

    Args:
        path: A raster with one band.
        legend: What its values mean.
        left_out: Classes and other values, by name or number, that are no part of the population.

    Attributes:
        path: As given.
        grid: Where its pixels lie.
        key: 64 bits that the place of its pixels decides, whatever the file is called; without coordinates its content.

    Raises:
        DataError: The file cannot be read, or has several bands.
        ConfigError: What is left out is neither a class nor a number.
    """

    def __init__(self, path: Path, legend: Legend, left_out: Sequence[str] = ()) -> None:
        self.path = path
        self._legend = legend
        self._file = RasterFile(path)
        if len(self._file.bands) != 1:
            count = len(self._file.bands)
            self._file.close()
            raise DataError(f"{path} has {count} bands; a class map has one, with a number for each class.")
        self.grid = self._file.grid
        self.key = _key(path, self.grid)
        self._bands: Bands = self._file.bands
        self._values, self._numbers = _lookup(legend, left_out)

    def __enter__(self) -> "ClassMap":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()

    def rows(self) -> Iterator[tuple[int, Int64[np.ndarray, "y x"]]]:
        """Yield runs of whole rows from top to bottom: the first row, and the class of each pixel or `OUTSIDE`.

        Raises:
            DataError: The file is damaged.
            LabelError: A pixel has a value that no class has.
        """
        height = max(min(_PIXELS_AT_ONCE // self.grid.width, self._file.block_shape[0] * 4), 1)
        if self._file.sequential:
            height = max(_PIXELS_AT_ONCE // self.grid.width, 1)
        for top in range(0, self.grid.height, height):
            window = Window(top, 0, min(height, self.grid.height - top), self.grid.width)
            raster = self._file.read(window, self._bands)
            yield top, self._classes(raster.values[0], np.asarray(raster.valid), top)

    def _classes(
        self, values: Shaped[np.ndarray, "y x"], valid: Shaped[np.ndarray, "y x"], top: int
    ) -> Int64[np.ndarray, "y x"]:
        with np.errstate(invalid="ignore"):
            whole = np.where(valid, values, self._values[0]).astype(np.int64)
        place = np.minimum(np.searchsorted(self._values, whole), len(self._values) - 1)
        unknown = valid & ((self._values[place] != whole) | (whole != values))
        if unknown.any():
            row, column = (int(axis[0]) for axis in np.nonzero(unknown))
            raise LabelError(
                f"{self.path} holds the value {values[row, column]} (first at row {top + row}, column {column}), which "
                f"no class has; classes are {_listed(self._legend)}. If such pixels are no part of the population, "
                f"leave them out with --without {values[row, column]}."
            )
        return np.asarray(np.where(valid, self._numbers[place], OUTSIDE))


def _lookup(legend: Legend, left_out: Sequence[str]) -> tuple[Int64[np.ndarray, " value"], Int64[np.ndarray, " value"]]:
    """Return all values that may occur, sorted, and the class that each stands for."""
    numbers = {value: position for position, value in enumerate(legend.values)}
    for word in left_out:
        position = legend.position(word)
        if position is not None:
            numbers[legend.values[position]] = OUTSIDE
            continue
        try:
            numbers[int(word)] = OUTSIDE
        except ValueError as error:
            raise ConfigError(
                f'--without names "{word}", which is neither a class nor a number.{nearest(word, list(legend.names))} '
                f"Classes are {', '.join(legend.names)}."
            ) from error
    values = np.array(sorted(numbers), dtype=np.int64)
    return values, np.array([numbers[int(value)] for value in values], dtype=np.int64)


def _key(path: Path, grid: Grid) -> int:
    """Return 64 bits that tell maps apart; without coordinates all grids are alike, and the content does."""
    if grid.crs is None:
        text = hash_file(path)
    else:
        text = json.dumps([grid.crs.to_wkt(), [repr(part) for part in tuple(grid.transform)[:6]], *grid.shape])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
