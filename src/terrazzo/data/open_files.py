"""Files and decoded arrays that a process keeps for its next reads, within bounds.

They are one for each process, so that nothing of an open file crosses a fork.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from terrazzo.data.areas.area import Area, AreaReader
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.labels.label import LabelReader
from terrazzo.data.store.tile import TileFile, Tiles
from terrazzo.errors import DataError
from terrazzo.geo.raster import RasterFile
from terrazzo.geo.warped import Resampling

__all__ = ["KEPT_BYTES", "OPEN_FILES", "Arrays", "OpenFiles", "OpenLabel", "file_state", "open_files"]

OPEN_FILES = 32
"""Files that stay open in a process."""
TILE_FILES = 256
"""Files of the patch store that stay open in a process: opening one takes half as long as reading a patch from it."""
KEPT_BYTES = 256 * 2**20
"""Decoded bytes that a process keeps; where an epoch draws from much more, keeping is in vain."""

Arrays = tuple[Shaped[np.ndarray, "..."], ...]


@dataclass(frozen=True)
class OpenLabel:
    """A label kept open, and the area that it counts in."""

    reader: LabelReader
    area: AreaReader | None


class OpenFiles:
    """Open files and decoded arrays of this process, the least recently used dropped first."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._files: OrderedDict[Hashable, RasterFile] = OrderedDict()
        self._labels: OrderedDict[Hashable, OpenLabel] = OrderedDict()
        self._tiles: OrderedDict[Path, TileFile] = OrderedDict()
        self._areas: OrderedDict[Hashable, AreaReader] = OrderedDict()
        self._arrays: OrderedDict[Hashable, Arrays] = OrderedDict()
        self._bytes = 0

    def file(self, path: Path, entry: ImageEntry, resampling: Resampling) -> RasterFile:
        """Return the file, opened on an image's grid; a file that has changed on disk is opened again."""
        key = (file_state(path), resampling, entry.crs, entry.transform, entry.height, entry.width)
        if key not in self._files:
            self._files[key] = RasterFile(path, onto=entry.grid, resampling=resampling)
            while len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(key)
        return self._files[key]

    def label(self, key: Hashable, entry: ImageEntry) -> OpenLabel:
        """Return the label of an image, opened on its grid."""
        if key not in self._labels and entry.label is not None:
            area = entry.area.open(entry.grid) if entry.area else None
            self._labels[key] = OpenLabel(entry.label.open(entry.grid), area)
            while len(self._labels) > OPEN_FILES:
                self._labels.popitem(last=False)[1].reader.close()
        self._labels.move_to_end(key)
        return self._labels[key]

    def tiles(self, tiles: Tiles) -> TileFile:
        """Return a file of the patch store, opened; its name changes with its content."""
        if tiles.path not in self._tiles:
            self._tiles[tiles.path] = TileFile(tiles)
            while len(self._tiles) > TILE_FILES:
                self._tiles.popitem(last=False)[1].close()
        self._tiles.move_to_end(tiles.path)
        return self._tiles[tiles.path]

    def area(self, entry: ImageEntry, area: Area) -> AreaReader:
        """Return the area of an image, opened on its grid."""
        states = tuple(file_state(path) for path in area.files)
        key = (*states, area, entry.crs, entry.transform, entry.height, entry.width)
        if key not in self._areas:
            self._areas[key] = area.open(entry.grid)
            while len(self._areas) > OPEN_FILES:
                self._areas.popitem(last=False)
        self._areas.move_to_end(key)
        return self._areas[key]

    def get(self, key: Hashable) -> Arrays | None:
        """Return kept arrays, or None."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
        return self._arrays.get(key)

    def keep(self, key: Hashable, arrays: Arrays) -> Arrays:
        """Keep arrays while there is room."""
        self._arrays[key] = arrays
        self._bytes += sum(array.nbytes for array in arrays)
        while self._bytes > KEPT_BYTES and len(self._arrays) > 1:
            _, dropped = self._arrays.popitem(last=False)
            self._bytes -= sum(array.nbytes for array in dropped)
        return arrays


_OPEN: dict[int, OpenFiles] = {}


def open_files() -> OpenFiles:
    """Return this process's files; a forked child begins with none and never touches its parent's files."""
    pid = os.getpid()
    if pid not in _OPEN:
        _OPEN[pid] = OpenFiles()
    return _OPEN[pid]


def file_state(path: Path) -> tuple[str, int, int]:
    """Name a file as it now is: another size or time is another file."""
    try:
        facts = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return str(path), facts.st_size, facts.st_mtime_ns
