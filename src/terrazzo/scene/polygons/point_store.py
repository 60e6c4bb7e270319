"""Points of rings that are not complete: the latest in memory, what came before them on the disk."""

import os
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from jaxtyping import Int, Int32, Int64

from terrazzo.errors import StorageError
from terrazzo.scene.polygons.chains import ranges

__all__ = ["PointStore"]

_POINT_BYTES = 8
# Points between two wanted pieces that are rather read than skipped, and the most that are read at once.
_GAP, _AT_ONCE = 2048, 2**20


class PointStore:
    """An append-only list of points, of which a bounded number is held in memory.

    The file has no name, so that nothing is left of it however the process ends.

    Args:
        folder: Where the file is made once it is needed.
        memory_points: Points in memory.
    """

    def __init__(self, folder: Path, *, memory_points: int) -> None:
        self._folder = folder
        self._capacity = memory_points
        self._buffer = np.empty((0, 2), dtype=np.int32)
        self._spilled = 0
        self._filled = 0
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        return self._spilled + self._filled

    @property
    def spilled_points(self) -> int:
        """Points on the disk."""
        return self._spilled

    def append(self, points: Int32[np.ndarray, "point 2"]) -> int:
        """Add points and return the position of the first."""
        first = len(self)
        for begin in range(0, len(points), self._capacity):
            part = points[begin : begin + self._capacity]
            if self._filled + len(part) > self._capacity:
                self._spill()
            self._reserve(self._filled + len(part))
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
        return first

    def read(
        self, positions: Int[np.ndarray, " piece"], counts: Int[np.ndarray, " piece"]
    ) -> Int32[np.ndarray, "point 2"]:
        """Return pieces one after the other."""
        wanted = ranges(positions, counts)
        points = np.empty((len(wanted), 2), dtype=np.int32)
        here = wanted >= self._spilled
        points[here] = self._buffer[wanted[here] - self._spilled]
        if not here.all():
            there = np.flatnonzero(~here)
            points[there] = self._read_file(wanted[there])
        return points

    def close(self) -> None:
        """Give back memory and disk."""
        self._buffer = np.empty((0, 2), dtype=np.int32)
        if self._file is not None:
            self._file.close()

    def _reserve(self, count: int) -> None:
        """Let the buffer grow, so that small maps take little."""
        if count > len(self._buffer):
            larger = np.empty((min(max(2 * len(self._buffer), count, 1024), self._capacity), 2), dtype=np.int32)
            larger[: self._filled] = self._buffer[: self._filled]
            self._buffer = larger

    def _spill(self) -> None:
        if self._file is None:
            self._file = cast("BinaryIO", tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 - closed by close()
        self._file.write(self._buffer[: self._filled].data)
        self._file.flush()
        self._spilled += self._filled
        self._filled = 0

    def _read_file(self, wanted: Int64[np.ndarray, " point"]) -> Int32[np.ndarray, "point 2"]:
        """Read single points; those that lie close together in one go."""
        order = np.argsort(wanted, kind="stable")
        ascending = wanted[order]
        far = np.flatnonzero(np.diff(ascending) > _GAP) + 1
        points = np.empty((len(wanted), 2), dtype=np.int32)
        for group in np.split(np.arange(len(ascending)), far):
            for begin in range(0, len(group), _AT_ONCE):
                part = group[begin : begin + _AT_ONCE]
                first, last = int(ascending[part[0]]), int(ascending[part[-1]])
                points[order[part]] = self._pread(first, last - first + 1)[ascending[part] - first]
        return points

    def _pread(self, first: int, count: int) -> Int32[np.ndarray, "point 2"]:
        if self._file is None:
            raise StorageError("Points were asked for that were never stored.")
        found = bytearray()
        while len(found) < count * _POINT_BYTES:
            missing = count * _POINT_BYTES - len(found)
            part = os.pread(self._file.fileno(), missing, first * _POINT_BYTES + len(found))
            if not part:
                raise StorageError(f"A temporary file in {self._folder} is shorter than what was written to it.")
            found += part
        return np.frombuffer(bytes(found), dtype=np.int32).reshape(-1, 2)
