"""From a scene to groups of windows, strip by strip: each row of pixels is read once."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Shaped

from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import DataError
from terrazzo.geo.raster import Raster
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.strips import Strip
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.windows import mirrored

__all__ = ["RowSource", "RowStart", "StripEnd", "StripStart", "Unreadable", "hash_strip", "read_strips"]


@dataclass(frozen=True)
class Unreadable:
    """A part of the scene that could not be read; its pixels count as not measured.

    Attributes:
        y: First row.
        x: First column.
        height: Rows.
        width: Columns.
        reason: What the system said.
    """

    y: int
    x: int
    height: int
    width: int
    reason: str


@runtime_checkable
class RowSource(Protocol):
    """Whole rows of a scene, in whatever order they are asked for; most often downwards."""

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        """Yield pixels of rows top..bottom over the whole width, in parts from top to bottom."""
        ...

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        """Return what could not be read since the last call."""
        ...


@dataclass(frozen=True)
class StripStart:
    """A strip begins.

    Attributes:
        strip: Which.
    """

    strip: Strip


@dataclass(frozen=True)
class RowStart:
    """Windows of another row come next, after those still missing of the row before.

    Attributes:
        row: Position of the row of windows.
        wanted: Positions of the windows that hold a pixel that counts; the others do not come.
        valid: Where every band was measured, over the rows that the windows use and the scene's whole width.
    """

    row: int
    wanted: tuple[int, ...]
    valid: Bool[np.ndarray, "y x"]


@dataclass(frozen=True)
class StripEnd:
    """All windows of a strip that hold a pixel that counts have come.

    Attributes:
        strip: Which.
        pixels_hash: SHA-256 of the pixels that the strip's windows saw; empty where nobody asked for it.
        unreadable: What could not be read; those pixels count as not measured.
    """

    strip: Strip
    pixels_hash: str
    unreadable: tuple[Unreadable, ...]


def read_strips(
    plan: ScenePlan,
    source: RowSource,
    strips: Iterable[Strip],
    normalisation: Normalisation,
    *,
    group_size: int,
    counts: Callable[[slice, slice], bool] | None = None,
    hashed: bool = True,
) -> Iterator[StripStart | RowStart | WindowGroup | StripEnd]:
    """Yield each strip's rows of windows and groups, and then its end.

    Groups never cross a strip, and are the same whichever strips are read. Windows without any valid pixel are left
    out: nothing of them reaches the map. Beyond the scene's edges its mirror image stands.

    Args:
        plan: How the scene is cut.
        source: Its pixels.
        strips: Which strips, in the order in which they are to be read.
        normalisation: From raw values to what the network sees.
        group_size: Windows of a group; the last of a strip may have fewer.
        counts: Told rows and columns of pixels, whether any of them counts; None where every measured one does.
        hashed: Whether strips end with their pixels' hash; not where no strip is kept.

    Raises:
        DataError: The file cannot be read, or not to its end.
    """
    with _hashing(hashed=hashed) as hashing:
        yield from _items(plan, source, strips, normalisation, group_size, counts, hashing)


def _items(
    plan: ScenePlan,
    source: RowSource,
    strips: Iterable[Strip],
    normalisation: Normalisation,
    group_size: int,
    counts: Callable[[slice, slice], bool] | None,
    hashing: Executor | None,
) -> Iterator[StripStart | RowStart | WindowGroup | StripEnd]:
    held = _HeldRows(plan, source)
    for strip in strips:
        yield StripStart(strip)
        pixels = _PixelHash(hashing)
        group = _OpenGroup(held, group_size)
        for row in strip.rows:
            held.advance(row, pixels)
            used = plan.rows.used(row)
            valid = held.valid_rows(used)
            wanted = tuple(
                column
                for column, across in enumerate(map(plan.columns.used, range(len(plan.columns))))
                if valid[:, across].any() and (counts is None or counts(used, across))
            )
            yield RowStart(row, wanted, valid)
            for column in wanted:
                group.add(row, column)
                if len(group.windows) == group_size:
                    yield group.closed(normalisation)
                    group = _OpenGroup(held, group_size)
        if group.windows:
            yield group.closed(normalisation)
        yield StripEnd(strip, pixels.result(), source.take_unreadable())


def hash_strip(plan: ScenePlan, source: RowSource, strip: Strip) -> str:
    """Return the SHA-256 of a strip's pixels as `read_strips` does, without making windows.

    Raises:
        DataError: The file cannot be read, or not to its end.
    """
    with _hashing(hashed=True) as hashing:
        held, pixels = _HeldRows(plan, source), _PixelHash(hashing)
        for row in strip.rows:
            held.advance(row, pixels)
        source.take_unreadable()
        return pixels.result()


@contextlib.contextmanager
def _hashing(*, hashed: bool) -> Iterator[Executor | None]:
    """Yield a thread that hashes rows while windows are cut from them, which takes as long; or none."""
    if not hashed:
        yield None
        return
    with ThreadPoolExecutor(1, thread_name_prefix="terrazzo-hash") as hashing:
        yield hashing


class _PixelHash:
    """SHA-256 of rows of pixels, wherever the rows are cut.

    Args:
        hashing: Where it is computed; None where nobody wants it.
    """

    def __init__(self, hashing: Executor | None) -> None:
        self._hashing = hashing
        self._values = hashlib.sha256()
        self._valid = hashlib.sha256()
        self._under_way: Future[None] | None = None
        self.begun = False

    def add(self, values: Shaped[np.ndarray, "band y x"], valid: Bool[np.ndarray, "y x"]) -> None:
        """Add rows below those before; they must not change until `wait` has returned."""
        self.begun = True
        if self._hashing is not None:
            self.wait()
            self._under_way = self._hashing.submit(self._update, values, valid)

    def wait(self) -> None:
        """Return once all rows that were added are taken."""
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None

    def result(self) -> str:
        """Return the hash of all rows; nothing where it is not wanted."""
        if self._hashing is None:
            return ""
        self.wait()
        return hashlib.sha256(self._values.digest() + self._valid.digest()).hexdigest()

    def _update(self, values: Shaped[np.ndarray, "band y x"], valid: Bool[np.ndarray, "y x"]) -> None:
        for y in range(values.shape[1]):
            for plane in values:
                self._values.update(plane[y].data)
        self._valid.update(np.ascontiguousarray(valid).data)


class _HeldRows:
    """Raw pixels of some rows over the scene's whole width, in one piece of memory from the first strip to the last."""

    def __init__(self, plan: ScenePlan, source: RowSource) -> None:
        height = min(plan.window_shape[0], plan.grid.height)
        dtype = np.result_type(*(band.dtype for band in plan.bands))
        self._plan = plan
        self._source = source
        self._top = self._bottom = 0
        self._values = np.empty((len(plan.bands), height, plan.grid.width), dtype=dtype)
        self._valid = np.empty((height, plan.grid.width), dtype=bool)

    def advance(self, row: int, pixels: _PixelHash) -> None:
        """Hold the rows of a row of windows, reading only those that are not held; all new ones of a strip are hashed.

        Args:
            row: Position of the row of windows.
            pixels: Of the strip; empty at its first row of windows.
        """
        # What is held now is overwritten.
        pixels.wait()
        plan = self._plan
        start = plan.rows.starts[row]
        top = max(start - plan.margin, 0)
        bottom = min(start + plan.rows.size + plan.margin, plan.grid.height)
        if not self._top <= top <= self._bottom:
            self._top = self._bottom = top
        kept, shift = max(self._bottom - top, 0), top - self._top
        kept = min(kept, bottom - top)
        if kept and shift:
            self._values[:, :kept] = self._values[:, shift : shift + kept]
            self._valid[:kept] = self._valid[shift : shift + kept]
        position = kept
        for part in self._source.rows(top + kept, bottom) if top + kept < bottom else ():
            height = part.valid.shape[0]
            self._values[:, position : position + height] = part.values
            self._valid[position : position + height] = part.valid
            position += height
        if position != bottom - top:
            raise DataError(
                f"{plan.scene} ended after row {top + position - 1}; {bottom - top - position} rows are missing."
            )
        self._top, self._bottom = top, bottom
        # Rows that the strip before read too belong to the pixels of this one as well.
        fresh = kept if pixels.begun else 0
        pixels.add(self._values[:, fresh : bottom - top], self._valid[fresh : bottom - top])

    def valid_rows(self, rows: slice) -> Bool[np.ndarray, "y x"]:
        """Return a copy, because these rows go on without those that the map still needs."""
        return self._valid[rows.start - self._top : rows.stop - self._top].copy()

    def copy_window(
        self, row: int, column: int, values: Shaped[np.ndarray, "band y x"], valid: Bool[np.ndarray, "y x"]
    ) -> None:
        """Copy a window, and where it was measured, to where they are wanted; these rows go on."""
        plan = self._plan
        height, width = plan.window_shape
        y, x = plan.rows.starts[row] - plan.margin, plan.columns.starts[column] - plan.margin
        rows = _relative(mirrored(y, y + height, plan.grid.height), self._top)
        across = mirrored(x, x + width, plan.grid.width)
        values[:] = self._values[:, rows][:, :, across]
        valid[:] = self._valid[rows][:, across]

    def room(self, count: int) -> tuple[Shaped[np.ndarray, "batch band y x"], Bool[np.ndarray, "batch y x"]]:
        """Return room for so many windows."""
        height, width = self._plan.window_shape
        return (
            np.empty((count, len(self._values), height, width), dtype=self._values.dtype),
            np.empty((count, height, width), dtype=bool),
        )


class _OpenGroup:
    """A group while its windows are cut.

    Args:
        held: Where they are cut from.
        size: Most windows.

    Attributes:
        windows: Row and column of those that were added.
    """

    def __init__(self, held: _HeldRows, size: int) -> None:
        self._held = held
        self._values, self._valid = held.room(size)
        self.windows: list[tuple[int, int]] = []

    def add(self, row: int, column: int) -> None:
        """Add a window."""
        position = len(self.windows)
        self._held.copy_window(row, column, self._values[position], self._valid[position])
        self.windows.append((row, column))

    def closed(self, normalisation: Normalisation) -> WindowGroup:
        """Return the group."""
        values, valid = (torch.from_numpy(whole[: len(self.windows)]) for whole in (self._values, self._valid))
        return WindowGroup(values, valid, tuple(self.windows), normalisation)


def _relative(rows: slice | np.ndarray, top: int) -> slice | np.ndarray:
    """Count rows from the first that is held instead of the scene's."""
    return slice(rows.start - top, rows.stop - top) if isinstance(rows, slice) else rows - top
