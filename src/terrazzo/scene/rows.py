"""Whole rows of a scene: as they are asked for, or decoded ahead in threads with what cannot be read listed."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from terrazzo.errors import DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster
from terrazzo.scene.inputs.opened import OpenScene
from terrazzo.scene.read_ahead import ReadAhead
from terrazzo.scene.reader import Unreadable
from terrazzo.scene.salvage import PatientScene, Salvaged

__all__ = ["FileRows", "SceneRows", "joined_unreadable"]

# Bound what reading holds beside the strip; GDAL's cache keeps the blocks that such rows cut through. Small images are
# read at once, since each reading costs as much as decoding some hundred rows of them.
_LEAST_ROWS = 128
_BYTES_AT_ONCE = 2**23


class FileRows:
    """Rows of an open scene, read where they are asked for.

    Args:
        file: The scene.
        bands: Which of its bands, in order.
    """

    def __init__(self, file: OpenScene, bands: Bands) -> None:
        self._file = file
        self._bands = bands

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        """Yield rows from top to bottom.

        Raises:
            DataError: The file cannot be read, or not to its end.
        """
        row_bytes = self._file.grid.width * sum(np.dtype(band.dtype).itemsize for band in self._bands)
        most = max(_LEAST_ROWS, _BYTES_AT_ONCE // row_bytes)
        for first in range(top, bottom, most):
            height = min(most, bottom - first)
            yield self._file.read(Window(first, 0, height, self._file.grid.width), self._bands)

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        """Return nothing: what cannot be read is an error here."""
        return ()


class SceneRows:
    """Rows of a scene, decoded ahead. Use as a context manager.

    Chunks of rows are decoded in threads, each of which opens the scene for itself, and are handed out in order. What
    cannot be read is narrowed down to the smallest blocks and tried again with back-off; what still fails counts as not
    measured and is listed, until there are too many.

    Args:
        opener: Opens the scene; called in each thread, and again after a failure.
        bands: Which of its bands, in order.
        readers: Threads that decode; one is used where the scene can only be decoded from its top.
        retries: How often a block is tried again, after 1, 2, 4 ... seconds.
        max_errors: Blocks that may stay unreadable.
        wait: Called with seconds, returns something true to give up; by default it waits until this is closed.

    Attributes:
        ahead: How rows are dealt to the threads.

    Raises:
        DataError: The scene cannot be opened.
    """

    def __init__(
        self,
        opener: Callable[[], OpenScene],
        bands: Bands,
        *,
        readers: int = 1,
        retries: int = 0,
        max_errors: int = 0,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._bands = bands
        self._max_errors = max_errors
        self._stopped = threading.Event()
        self._scenes = [
            PatientScene(opener, bands, retries=retries, most=max_errors, wait=wait or self._stopped.wait)
            for _ in range(readers)
        ]
        first = self._scenes[0].scene()
        self._path, self._grid = first.path, first.grid
        self.ahead = ReadAhead.of(
            first.grid,
            first.block_shape,
            pixel_bytes=sum(np.dtype(band.dtype).itemsize for band in bands),
            readers=1 if first.sequential else readers,
        )
        self._free = list(self._scenes[: self.ahead.readers])
        self._pool = ThreadPoolExecutor(self.ahead.readers, thread_name_prefix="terrazzo-reader")
        self._under_way: dict[int, list[Future[Salvaged]]] = {}
        self._held: tuple[int, Salvaged] | None = None
        self._bad: set[tuple[int, int]] = set()
        self._listed: list[Unreadable] = []

    def __enter__(self) -> "SceneRows":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        """Yield rows from top to bottom, in parts.

        Args:
            top: First row.
            bottom: Row after the last.

        Raises:
            DataError: More blocks than are allowed cannot be read.
        """
        height = self.ahead.rows
        for number in range(top // height, -(-bottom // height)):
            chunk = self._chunk(number)
            first = max(top, number * height)
            last = min(bottom, number * height + len(chunk.valid))
            rows = slice(first - number * height, last - number * height)
            self._listed += [part for one in chunk.unreadable for part in _clipped(one, first, last)]
            grid = self._grid.window(Window(first, 0, last - first, self._grid.width))
            yield Raster(chunk.values[:, rows], chunk.valid[rows], grid, self._bands)

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        """Return what could not be read of the rows that were handed out since the last call, from top to bottom."""
        listed, self._listed = self._listed, []
        return joined_unreadable(listed)

    def close(self) -> None:
        """End the threads and free the scene's files."""
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for scene in self._scenes:
            scene.close()

    def _chunk(self, number: int) -> Salvaged:
        """Return a chunk, with those after it under way."""
        if self._held is not None and self._held[0] == number:
            return self._held[1]
        # Its memory is free before another chunk takes its place.
        self._held = None
        last = min(number + self.ahead.ahead, (self._grid.height - 1) // self.ahead.rows)
        for passed in [other for other in self._under_way if not number <= other <= last]:
            for future in self._under_way.pop(passed):
                future.cancel()
        for wanted in range(number, last + 1):
            if wanted not in self._under_way:
                self._under_way[wanted] = [self._pool.submit(self._read, window) for window in self._windows(wanted)]
        chunk = _beside([future.result() for future in self._under_way.pop(number)])
        self._require_few(chunk.unreadable)
        self._held = number, chunk
        return chunk

    def _windows(self, number: int) -> Iterator[Window]:
        """Yield a chunk's segments."""
        top = number * self.ahead.rows
        height = min(self.ahead.rows, self._grid.height - top)
        for columns in self.ahead.segments:
            yield Window(top, columns.start, height, columns.stop - columns.start)

    def _read(self, window: Window) -> Salvaged:
        """Read a segment; in a thread, of which there are as many as scenes."""
        scene = self._free.pop()
        try:
            return scene.read(window)
        finally:
            self._free.append(scene)

    def _require_few(self, unreadable: Iterable[Unreadable]) -> None:
        """Count the blocks that cannot be read, and stop where there are too many."""
        for one in unreadable:
            self._bad.add((one.y, one.x))
            if len(self._bad) > self._max_errors:
                raise DataError(
                    f"{self._path}: rows {one.y} to {one.y + one.height - 1}, columns {one.x} to "
                    f"{one.x + one.width - 1} cannot be read; that makes {len(self._bad)} unreadable blocks, and "
                    f"predict.max_errors allows {self._max_errors}. Repair the file or fetch it again, and start the "
                    "same command again: finished strips are kept. Or allow more; what cannot be read becomes nodata "
                    f"then. The system said: {one.reason}"
                )


def _beside(parts: list[Salvaged]) -> Salvaged:
    """Put the segments of a chunk side by side."""
    if len(parts) == 1:
        return parts[0]
    return Salvaged(
        np.concatenate([part.values for part in parts], axis=2),
        np.concatenate([part.valid for part in parts], axis=1),
        tuple(one for part in parts for one in part.unreadable),
    )


def _clipped(one: Unreadable, top: int, bottom: int) -> Iterator[Unreadable]:
    """Yield the rows top..bottom of what could not be read, if it has any there."""
    first, last = max(one.y, top), min(one.y + one.height, bottom)
    if last > first:
        yield replace(one, y=first, height=last - first)


def joined_unreadable(listed: Iterable[Unreadable]) -> tuple[Unreadable, ...]:
    """Join what was handed out in several runs of rows, or to several strips that have rows in common.

    Args:
        listed: In any order; what goes on below another part of the same columns, with the same reason, is one with it.
    """
    found: list[Unreadable] = []
    for one in sorted(listed, key=lambda one: (one.x, one.width, one.y)):
        if found and _goes_on(found[-1], one):
            bottom = max(found[-1].y + found[-1].height, one.y + one.height)
            found[-1] = replace(found[-1], height=bottom - found[-1].y)
        else:
            found.append(one)
    return tuple(sorted(found, key=lambda one: (one.y, one.x)))


def _goes_on(one: Unreadable, below: Unreadable) -> bool:
    same = (one.x, one.width, one.reason) == (below.x, below.width, below.reason)
    return same and below.y <= one.y + one.height
