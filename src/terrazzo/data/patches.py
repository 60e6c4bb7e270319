"""The table of windows that images are cut into, and the part of each that counts in evaluation."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from terrazzo.errors import DataError
from terrazzo.geo.grid import Window, starts
from terrazzo.storage import atomic_path

__all__ = ["Patch", "PatchIndex", "axis_cores", "cut"]

COLUMNS = (
    "image_id",
    "y",
    "x",
    "height",
    "width",
    "core_y",
    "core_x",
    "core_height",
    "core_width",
    "split",
    "fold",
    "region",
    "ignored_share",
    "counts",
)
"""Columns of `PatchIndex.frame`."""


class Patch(NamedTuple):
    """A window of an image and its core.

    Attributes:
        window: The pixels that are read.
        core: The part that evaluation counts, in pixels of the image.
    """

    window: Window
    core: Window


def axis_cores(length: int, size: int, first: Sequence[int]) -> list[tuple[int, int]]:
    """Return begin and end of each window's core along one axis.

    Neighbours meet in the middle of what they share, so that the cores are one whole, without gap or overlap, wherever
    the windows are; where windows leave a gap, it belongs to no core.

    Args:
        length: Pixels of the axis.
        size: Pixels of a window, at most `length`.
        first: First pixel of each window, rising from 0 to `length - size`.

    >>> axis_cores(10, 4, [0, 4, 6])
    [(0, 4), (4, 7), (7, 10)]
    """
    neighbours = list(itertools.pairwise(first))
    ends = [min(here + size, (there + here + size) // 2) for here, there in neighbours]
    begins = [max(there, (there + here + size) // 2) for here, there in neighbours]
    return list(zip([0, *begins], [*ends, length], strict=True))


def cut(height: int, width: int, *, size: int, step: int) -> list[Patch]:
    """Return the patches of an image in raster order; the last of a row or column is moved inward to the border.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        size: Side of a patch; along an axis where the image is smaller, the patch is as small.
        step: Pixels from one patch to the next; up to `size` the patches cover every pixel.
    """
    rows, columns = _first_pixels(height, size, step), _first_pixels(width, size, step)
    tall, wide = min(size, height), min(size, width)
    return [
        Patch(Window(y, x, tall, wide), Window(top, left, bottom - top, right - left))
        for y, (top, bottom) in zip(rows, axis_cores(height, tall, rows), strict=True)
        for x, (left, right) in zip(columns, axis_cores(width, wide, columns), strict=True)
    ]


def _first_pixels(length: int, size: int, step: int) -> list[int]:
    """Return the first pixels of windows along one axis; only here may a step leave gaps."""
    if step <= size or length <= size:
        return starts(length, size, min(step, size))
    return [*range(0, length - size, step), length - size]


class PatchIndex:
    """Windows of all images, ordered by image, then from top to bottom and left to right.

    Attributes:
        frame: One row a patch, read only. `y, x, height, width` is the window and `core_*` its core, both in pixels
            of the image; `ignored_share` 0..1 is the part without a class or invalid; `counts` lists labelled pixels
            per class.

    Raises:
        DataError: Columns are missing.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        if missing := [column for column in COLUMNS if column not in frame.columns]:
            raise DataError(f"a patch index needs the columns {', '.join(missing)}.")
        self.frame = frame.reset_index(drop=True)[list(COLUMNS)]
        # Plain arrays beside the table: a loader asks for single rows many thousand times.
        self._windows = self.frame[list(COLUMNS[1:9])].to_numpy(dtype=np.int64).reshape(-1, 8)
        self._counts = [np.asarray(counts, dtype=np.int64) for counts in self.frame["counts"]]
        self._image_ids = [str(name) for name in self.frame["image_id"]]

    def __len__(self) -> int:
        return len(self.frame)

    def rows(self, split: str | None = None, *, max_ignored_share: float = 1.0) -> list[int]:
        """Return the rows of a role, in order.

        Args:
            split: "train", "val", "calibrate" or "test"; all roles if None.
            max_ignored_share: Leaves out patches of which more is ignored. Evaluation never leaves any out.
        """
        chosen = self.frame["ignored_share"] <= max_ignored_share
        if split is not None:
            chosen &= self.frame["split"] == split
        return [int(row) for row in np.flatnonzero(chosen.to_numpy())]

    def image_id(self, row: int) -> str:
        """Return the image that a row is cut from."""
        return self._image_ids[row]

    def window(self, row: int) -> Window:
        """Return the pixels that a row reads."""
        y, x, height, width = self._windows[row, :4].tolist()
        return Window(y, x, height, width)

    def core(self, row: int) -> Window:
        """Return the part of a row that evaluation counts, relative to the patch's own upper left corner."""
        y, x, _, _, core_y, core_x, height, width = self._windows[row].tolist()
        return Window(core_y - y, core_x - x, height, width)

    def counts(self, row: int) -> tuple[int, ...]:
        """Return the labelled pixels of each class in a row's window."""
        return tuple(self._counts[row].tolist())

    def save(self, path: Path) -> None:
        """Write Parquet, or CSV where the path ends so; whole or not at all."""
        with atomic_path(path) as temporary:
            if path.suffix == ".csv":
                self.to_csv(temporary)
            else:
                self.frame.to_parquet(temporary, index=False)

    def to_csv(self, path: Path) -> None:
        """Write CSV; the counts of the classes stand in one column, separated by spaces."""
        counts = [" ".join(map(str, row)) for row in self.frame["counts"]]
        self.frame.assign(counts=counts).to_csv(path, index=False)

    @classmethod
    def load(cls, path: Path) -> "PatchIndex":
        """Read what `save` wrote as Parquet.

        Raises:
            DataError: The file is missing, damaged or no patch index.
        """
        try:
            return cls(pd.read_parquet(path))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as a patch index: {error}.") from error
