"""The areas of a class map as polygons, from rows that come in from top to bottom."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from terrazzo.data.classes import Classes
from terrazzo.errors import ConfigError, LabelError, StorageError
from terrazzo.geo.grid import Grid
from terrazzo.record import nearest
from terrazzo.scene.polygons.bands import BandLimits
from terrazzo.scene.polygons.features import Features
from terrazzo.scene.polygons.polygoniser import Polygoniser
from terrazzo.scene.polygons.rounds import SieveRounds
from terrazzo.scene.settings import PolygonSettings

__all__ = ["PolygonWriter"]

Rows = Shaped[np.ndarray, "y x"]


class PolygonWriter:
    """Takes a class map row by row and writes the polygons of its areas.

    An area is all pixels of one class that hang together along their sides. Its polygon follows the pixels' borders
    exactly unless `simplify` says otherwise, and how the rows are handed over leaves no trace in it. Memory is that of
    a band of the map and of what is open at its lower border; the points of long open rings lie on the disk.

    Columns: `class` (its name), `value` (its number), `pixels`, `area_m2` (of these pixels on the ellipsoid, empty
    without coordinate reference system), `geometry`.

    Args:
        path: File that appears on completion; what is collected until then lies in its folder without a name.
        grid: Where the map lies.
        classes: What its values mean.
        settings: Format, smallest area, simplification, classes.
        ignore: Value of missing pixels; they are part of no polygon.
        limits: What bounds memory.

    Raises:
        ConfigError: The settings name a class that there is not.
        StorageError: The folder cannot be written.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        classes: Classes,
        settings: PolygonSettings,
        *,
        ignore: int,
        limits: BandLimits | None = None,
    ) -> None:
        limits = limits or BandLimits()
        self._path = path
        self._grid = grid
        self._settings = settings
        self._classes = len(classes)
        self._ignore = ignore
        self._written = 0
        self._dtype, outside = _type_and_outside(len(classes), ignore)
        wanted = _wanted(classes, settings, np.iinfo(self._dtype).max + 1)
        folder = path.parent
        self._polygoniser = Polygoniser(
            grid, wanted, outside=outside, simplify=settings.simplify, folder=folder, limits=limits
        )
        with _told(path):
            folder.mkdir(parents=True, exist_ok=True)
            self._features = Features(folder, classes.names, grid.crs)
            self._rounds = None
            if settings.smallest_pixels > 1:
                self._rounds = SieveRounds(
                    grid.width,
                    smallest=settings.smallest_pixels,
                    ignore=ignore,
                    band_rows=max(limits.pixels // grid.width, 1),
                    folder=folder,
                )

    def write(self, rows: Rows) -> None:
        """Append rows of class numbers.

        Raises:
            LabelError: They hold a value that is neither a class nor missing.
            StorageError: They do not fit the grid, or the disk cannot take what is kept meanwhile.
        """
        if rows.shape[1] != self._grid.width or self._written + len(rows) > self._grid.height:
            raise StorageError(
                f"{self._path}: {len(rows)} rows of {rows.shape[1]} pixels after row {self._written} do not fit a map "
                f"of {self._grid.height} x {self._grid.width}."
            )
        wrong = ((rows < 0) | (rows >= self._classes)) & (rows != self._ignore)
        if wrong.any():
            raise LabelError(
                f"{self._path}: the map holds {rows[wrong][0]}, but classes are 0..{self._classes - 1} and missing "
                f"pixels {self._ignore}."
            )
        self._written += len(rows)
        # A copy: whoever hands rows over may use their memory again.
        own = rows.astype(self._dtype)
        with _told(self._path):
            if self._rounds is None:
                self._trace(own)
            else:
                self._rounds.write(own)

    def complete(self) -> None:
        """Write the file after the last row.

        Raises:
            StorageError: Rows are missing, or the file cannot be written.
        """
        try:
            if self._written != self._grid.height:
                raise StorageError(f"{self._path}: {self._grid.height - self._written} rows were not written.")
            with _told(self._path):
                if self._rounds is not None:
                    for rows in self._rounds.finish():
                        self._trace(rows)
                for polygons in self._polygoniser.finish():
                    self._features.add(polygons)
                self._features.write(self._path, self._settings.format)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give back what was taken; without completion no file appears."""
        self._features.close()
        self._polygoniser.close()
        if self._rounds is not None:
            self._rounds.close()

    def _trace(self, rows: Rows) -> None:
        for polygons in self._polygoniser.write(rows):
            self._features.add(polygons)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Name the file where the system cannot write what belongs to it."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}.") from error


def _type_and_outside(classes: int, ignore: int) -> tuple[np.dtype[Any], int]:
    """Return the smallest type for a map, and a value in it that no pixel has."""
    for dtype in (np.dtype(np.uint8), np.dtype(np.uint16)):
        highest = int(np.iinfo(dtype).max)
        free = [value for value in (highest, highest - 1) if value >= classes and value != ignore]
        if free and ignore <= highest:
            return dtype, free[0]
    raise ConfigError(f"Polygons are made of at most 65534 classes and missing values up to 65535, not of {ignore}.")


def _wanted(classes: Classes, settings: PolygonSettings, values: int) -> Bool[np.ndarray, " value"]:
    """Return for each value whether its areas become polygons."""
    for name in settings.classes:
        if name not in classes.names:
            raise ConfigError(
                f'predict.polygons.classes names "{name}", but the classes are {", ".join(classes.names)}.'
                f"{nearest(name, list(classes.names))}"
            )
    wanted = np.zeros(values, dtype=bool)
    wanted[: len(classes)] = [not settings.classes or name in settings.classes for name in classes.names]
    return wanted
