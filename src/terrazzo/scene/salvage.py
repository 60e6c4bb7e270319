"""Reading what can be read of a scene: a failure is narrowed down to the smallest blocks, which are tried again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Shaped

from terrazzo.errors import DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster
from terrazzo.scene.inputs.opened import OpenScene
from terrazzo.scene.reader import Unreadable

__all__ = ["PatientScene", "Salvaged", "retried"]

T = TypeVar("T")


@dataclass(frozen=True)
class Salvaged:
    """Pixels of a window, as far as they could be read.

    Attributes:
        values: Raw values; 0 where nothing could be read.
        valid: Where every band was measured and read.
        unreadable: What could not be read.
    """

    values: Shaped[np.ndarray, "band y x"]
    valid: Bool[np.ndarray, "y x"]
    unreadable: tuple[Unreadable, ...] = ()


def retried(call: Callable[[], T], *, retries: int, wait: Callable[[float], object]) -> T:
    """Call, and call again after 1, 2, 4 ... seconds where data cannot be read.

    Args:
        call: What is tried.
        retries: How often it is tried again.
        wait: Called with seconds; returns something true to give up.

    Raises:
        DataError: It failed to the last.
    """
    for attempt in range(retries):
        try:
            return call()
        except DataError:
            if wait(2.0**attempt):
                raise
    return call()


class PatientScene:
    """A scene that is opened when it is first read, and again after each failure. For one thread.

    Args:
        opener: Opens it.
        bands: Which of its bands, in order.
        retries: How often a block is tried again.
        most: Blocks of a window that may be unreadable; beyond, the rest of the window is left unread.
        wait: As for `retried`.
    """

    def __init__(
        self,
        opener: Callable[[], OpenScene],
        bands: Bands,
        *,
        retries: int,
        most: int,
        wait: Callable[[float], object],
    ) -> None:
        self._opener = opener
        self._bands = bands
        self._dtype = np.result_type(*(band.dtype for band in bands))
        self._retries = retries
        self._most = most
        self._wait = wait
        self._scene: OpenScene | None = None

    def scene(self) -> OpenScene:
        """Return the open scene.

        Raises:
            DataError: It cannot be opened.
        """
        if self._scene is None:
            self._scene = retried(self._opener, retries=self._retries, wait=self._wait)
        return self._scene

    def close(self) -> None:
        """Free its files."""
        scene, self._scene = self._scene, None
        if scene is not None:
            scene.close()

    def read(self, window: Window) -> Salvaged:
        """Read a window, whole or as far as it can be read.

        Raises:
            DataError: The scene cannot be opened.
        """
        block = self.scene().block_shape
        try:
            raster = self._attempt(window)
        except DataError:
            values = np.zeros((len(self._bands), window.height, window.width), dtype=self._dtype)
            valid = np.zeros((window.height, window.width), dtype=bool)
            unreadable: list[Unreadable] = []
            for part, found in self._parts(window, block, unreadable):
                values[:, *part.inside(window)] = found.values
                valid[part.inside(window)] = found.valid
            return Salvaged(values, valid, tuple(unreadable))
        return Salvaged(raster.values, raster.valid)

    def _parts(
        self, window: Window, block: tuple[int, int], unreadable: list[Unreadable]
    ) -> list[tuple[Window, Raster]]:
        """Return what can be read of a window that failed as a whole."""
        halves = _halves(window, block)
        if not halves:
            try:
                return [(window, retried(lambda: self._attempt(window), retries=self._retries, wait=self._wait))]
            except DataError as error:
                unreadable.append(Unreadable(*window, reason=str(error)))
                return []
        found: list[tuple[Window, Raster]] = []
        for half in halves:
            if len(unreadable) > self._most:
                break
            try:
                found.append((half, self._attempt(half)))
            except DataError:
                found += self._parts(half, block, unreadable)
        return found

    def _attempt(self, window: Window) -> Raster:
        try:
            if self._scene is None:
                self._scene = self._opener()
            return self._scene.read(window, self._bands)
        except DataError:
            # What an open file remembers of a failed read could fail again.
            self.close()
            raise


def _halves(window: Window, block: tuple[int, int]) -> list[Window]:
    """Divide a window between blocks; nothing where it touches one alone."""
    y, x, height, width = window
    if cut := _cut(y, height, block[0]):
        return [window._replace(height=cut - y), window._replace(y=cut, height=y + height - cut)]
    if cut := _cut(x, width, block[1]):
        return [window._replace(width=cut - x), window._replace(x=cut, width=x + width - cut)]
    return []


def _cut(start: int, length: int, block: int) -> int:
    """Return the border of a block near the middle of a run of pixels; 0 where the run touches one block alone."""
    first, last = start // block, (start + length - 1) // block
    return (first + last + 1) // 2 * block if last > first else 0
