"""A small coloured picture of a map, made while its rows go by.

Each pixel of the picture shows the most frequent class of up to sixteen pixels that lie evenly in its place.
"""

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from terrazzo.data.classes import Classes
from terrazzo.errors import StorageError
from terrazzo.scene.overviews import Pyramid, halved_by_mode
from terrazzo.scene.png import PngForm, PngWriter

__all__ = ["QuickLook", "quick_look_path", "quick_look_shape"]

_HALVINGS = 2
_SAMPLES = 2**_HALVINGS
"""Pixels of the map along each axis that are asked for one pixel of the picture."""


def quick_look_path(out: Path) -> Path:
    """Return where the picture of a map lies: beside it.

    >>> quick_look_path(Path("maps/a.tif")).name
    'a_quicklook.png'
    """
    return out.with_name(f"{out.stem}_quicklook.png")


def quick_look_shape(height: int, width: int, *, longest: int) -> tuple[int, int]:
    """Return height and width of the picture; a small map is shown as it is.

    >>> quick_look_shape(3000, 12000, longest=1024), quick_look_shape(30, 40, longest=1024)
    ((256, 1024), (30, 40))
    """
    shrink = min(longest / max(height, width), 1.0)
    return max(round(height * shrink), 1), max(round(width * shrink), 1)


class QuickLook:
    """An open picture that takes the map's rows of class numbers from top to bottom.

    Memory is that of a few rows of the picture, whatever the map's height.

    Args:
        path: File to write, a PNG.
        classes: Their colours; missing pixels are transparent.
        height: Rows of the map.
        width: Columns of the map.
        longest: Longest side of the picture in pixels.
    """

    def __init__(self, path: Path, classes: Classes, *, height: int, width: int, longest: int) -> None:
        shape = quick_look_shape(height, width, longest=longest)
        self._path = path
        self._classes = classes
        self._rows = _samples(height, shape[0] * _SAMPLES)
        self._columns = _samples(width, shape[1] * _SAMPLES)
        self._seen = 0
        self._sampled = 0
        few = classes.ignore == 255
        palette = _palette(classes) if few else None
        self._file = PngWriter(path, PngForm(*shape, np.dtype(np.uint8), 1 if few else 4, palette))
        shapes = [(shape[0] * _SAMPLES >> level, shape[1] * _SAMPLES >> level) for level in range(1, _HALVINGS + 1)]
        halve = functools.partial(halved_by_mode, nodata=classes.ignore)
        self._pyramid = Pyramid(shapes, halve, [lambda _rows: None, self._file.write if few else self._write_colours])

    def write(self, rows: Shaped[np.ndarray, "1 y x"]) -> None:
        """Append rows of class numbers, `Classes.ignore` where there is none."""
        self._seen += rows.shape[1]
        end = int(np.searchsorted(self._rows, self._seen))
        chosen = self._rows[self._sampled : end] - (self._seen - rows.shape[1])
        self._sampled = end
        if len(chosen):
            self._pyramid.write(rows[:, chosen[:, None], self._columns])

    def complete(self) -> None:
        """Close the file after the map's last row.

        Raises:
            StorageError: Rows are missing.
        """
        if self._sampled < len(self._rows):
            self.abandon()
            raise StorageError(f"{self._path}: the map ended after {self._seen} rows, before the picture did.")
        self._pyramid.close()
        self._file.complete()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.abandon()

    def _write_colours(self, rows: Shaped[np.ndarray, "1 y x"]) -> None:
        missing = rows[0] == self._classes.ignore
        colours = self._classes.colours[np.where(missing, 0, rows[0])]
        alpha = np.where(missing, 0, 255).astype(np.uint8)
        self._file.write(np.concatenate([np.moveaxis(colours, -1, 0) * (alpha > 0), alpha[None]]))


def _samples(length: int, count: int) -> Int64[np.ndarray, " sample"]:
    """Return the pixels in the middle of each of `count` equal parts; one may stand for several."""
    return (2 * np.arange(count, dtype=np.int64) + 1) * length // (2 * count)


def _palette(classes: Classes) -> UInt8[np.ndarray, "256 4"]:
    """Colour of each class number; what is none is transparent."""
    palette = np.zeros((256, 4), dtype=np.uint8)
    palette[: len(classes), :3] = classes.colours
    palette[: len(classes), 3] = 255
    return palette
