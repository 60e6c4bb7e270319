"""What a worker does: strips in, finished files with their records out; reading, computing and writing side by side."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32

from terrazzo.data.normalisation import Normalisation
from terrazzo.scene.blend import Piece, StripBlender
from terrazzo.scene.device_work import HostCopy, uploaded
from terrazzo.scene.lanes import in_order
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products
from terrazzo.scene.reader import RowSource, RowStart, StripEnd, StripStart, read_strips
from terrazzo.scene.relay import Consumer, Producer
from terrazzo.scene.strip_file import ABOVE, BELOW, StripFigures, StripRecord, StripWriter
from terrazzo.scene.strips import Strip
from terrazzo.scene.threads import one_thread
from terrazzo.scene.window_group import WindowGroup
from terrazzo.storage import fingerprint

__all__ = ["Answered", "Forward", "Item", "WindowScores", "answered", "strip_key", "work"]

# Items that wait for the network, and rows of windows whose pixels wait for the disk.
_ITEMS_AHEAD = 3
_ROWS_AHEAD = 2


@dataclass(frozen=True)
class WindowScores:
    """What the network answered to a group.

    Attributes:
        scores: Probabilities or logits of each window without margin, and the steps taken where they are asked for.
        steps: Sum over the windows of the steps taken; 0 for a network without steps.
        seconds: Time the device worked.
    """

    scores: Float32[torch.Tensor, "batch channel y x"]
    steps: float
    seconds: float


@runtime_checkable
class Forward(Protocol):
    """The network, ready to answer groups of windows; may be called by several threads at once."""

    device: torch.device
    lanes: int

    def __call__(self, group: WindowGroup) -> WindowScores:
        """Return the scores of a group, on the device."""
        ...


Item = StripStart | RowStart | WindowGroup | StripEnd
Answered = Iterator[tuple[Item, WindowScores | None]]


def strip_key(header_key: str, strip: int, pixels_hash: str) -> str:
    """Return the key under which a finished strip is known: another header or other pixels make another key."""
    return fingerprint([header_key, strip, pixels_hash])


def work(
    plan: ScenePlan,
    source: RowSource,
    strips: Iterable[Strip],
    forward: Forward,
    products: Products,
    *,
    normalisation: Normalisation,
    group_size: int,
    header_key: str,
    folder: Path,
    done: Callable[[StripRecord], None],
    advance: Callable[[int], None] = lambda _windows: None,
) -> None:
    """Compute strips; each is on the disk when its record is handed over.

    Args:
        plan: How the scene is cut.
        source: The scene's pixels; read in a thread.
        strips: Taken one by one, shortly before they are read.
        forward: The network.
        products: What is decided from its scores.
        normalisation: From raw values to what the network sees.
        group_size: Windows that are computed together.
        header_key: Key of the journal's header.
        folder: Where the files of strips lie.
        done: Takes each record, in a thread, in the order of the strips.
        advance: Hears how many more windows are done or skipped.

    Raises:
        DataError: The scene cannot be read.
        ModelError: The network answered wrong shapes or values that are no numbers.
        OSError: A file cannot be written.
    """
    blender = StripBlender(
        plan.rows, plan.columns, channels=products.channels, classes=products.classes, device=forward.device
    )

    def read() -> Iterable[Item]:
        return read_strips(plan, source, strips, normalisation, group_size=group_size)

    with (
        torch.inference_mode(),
        one_thread(),
        _open_files() as files,
        Consumer[Callable[[], None]](lambda call: call(), ahead=_ROWS_AHEAD) as writing,
        answered(read, forward) as computed,
    ):
        under_way: list[_StripUnderWay] = []
        for item, answer in computed:
            if isinstance(item, StripStart):
                blender.begin(item.strip)
                strip = _StripUnderWay(plan, item.strip, products, blender, folder, writing.give)
                files[:] = [file for file in files if not file.closed] + [strip.writer]
                under_way[:] = [strip]
            elif isinstance(item, RowStart):
                advance(len(plan.columns) - len(item.wanted))
                under_way[0].expect(item)
            elif isinstance(item, WindowGroup):
                if answer is not None:
                    under_way[0].take(item, answer)
                advance(len(item.windows))
            else:
                under_way[0].end(item, header_key, done)


@contextlib.contextmanager
def answered(read: Callable[[], Iterable[Item]], forward: Forward) -> Iterator[Answered]:
    """Yield what is read ahead in a thread with what the network answers to it, in order; groups pass side by side.

    Args:
        read: Called in the thread.
        forward: The network.
    """
    with (
        Producer(read, ahead=_ITEMS_AHEAD) as reading,
        # Closed here, not when an error's traceback is forgotten: no forward pass outlives this block.
        contextlib.closing(
            in_order(
                reading,
                lambda item: forward(item) if isinstance(item, WindowGroup) else None,
                needed=lambda item: isinstance(item, WindowGroup),
                lanes=forward.lanes,
            )
        ) as computed,
    ):
        yield computed


@contextlib.contextmanager
def _open_files() -> Iterator[list[StripWriter]]:
    """Yield a list of files; those that are not finished at the end are removed, once no thread writes to them."""
    files: list[StripWriter] = []
    try:
        yield files
    finally:
        for file in files:
            file.abandon()


@dataclass
class _OpenRow:
    """A row of windows whose pixels come in.

    Attributes:
        start: What the reader said of it.
        top: First row of pixels that it decides.
        height: How many it decides.
        rows: The products of these, on the device.
        total: Sum of their best scores, on the device.
        next_column: Position of the next window.
    """

    start: RowStart
    top: int
    height: int
    rows: dict[str, torch.Tensor]
    total: torch.Tensor
    next_column: int = 0


@dataclass
class _StripUnderWay:
    """A strip while its windows come in, in raster order."""

    plan: ScenePlan
    strip: Strip
    products: Products
    blender: StripBlender
    folder: Path
    write: Callable[[Callable[[], None]], None]
    writer: StripWriter = field(init=False)
    begun: float = field(default_factory=time.monotonic)
    windows: int = 0
    skipped: int = 0
    steps: float = 0.0
    busy: float = 0.0
    _expected: list[RowStart] = field(default_factory=list)
    _open: _OpenRow | None = None
    _edge_valid: dict[str, Bool[np.ndarray, "y x"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writer = StripWriter(self.folder, self.strip.number)

    def expect(self, start: RowStart) -> None:
        """Note a row of windows whose first window may still lie behind others."""
        self._expected.append(start)
        self.skipped += len(self.plan.columns) - len(start.wanted)

    def take(self, group: WindowGroup, answer: WindowScores) -> None:
        """Blend the windows of a group, and decide what is done."""
        margin = self.plan.margin
        size = self.plan.rows.size, self.plan.columns.size
        valid = uploaded(group.valid[:, margin : margin + size[0], margin : margin + size[1]], answer.scores.device)
        self.windows += len(group.windows)
        self.steps += answer.steps
        self.busy += answer.seconds
        for (row, column), scores, measured in zip(group.windows, answer.scores, valid, strict=True):
            opened = self._open_row(row)
            self._skip_until(opened, column)
            piece = self.blender.add(row, column, scores, measured)
            opened.next_column = column + 1
            if piece is not None:
                self._place(opened, piece)

    def end(self, item: StripEnd, header_key: str, done: Callable[[StripRecord], None]) -> None:
        """Close the strip: its seams and its record follow its rows to the disk."""
        while self._expected:
            self._open_row(self._expected[0].row)
        self._close_row()
        for name, edge, rows in zip(
            (ABOVE, BELOW), self.blender.edges(), (self.strip.above, self.strip.below), strict=True
        ):
            if edge.shape[1]:
                self._give_edge(name, rows.start, HostCopy(edge))
        figures = StripFigures(
            windows=self.windows,
            skipped=self.skipped,
            seconds=time.monotonic() - self.begun,
            busy_seconds=self.busy,
            steps=self.steps,
            unreadable=tuple((one.y, one.x, one.height, one.width, one.reason) for one in item.unreadable),
        )
        key = strip_key(header_key, self.strip.number, item.pixels_hash)
        writer, fades, counts = self.writer, self.blender.fades, HostCopy(self.blender.counts)

        def finish() -> None:
            told = zip(fades, counts.numpy().tolist(), strict=True)
            agreements = tuple((*fade, differing, compared) for fade, (differing, compared) in told)
            done(writer.finish(key, figures.model_copy(update={"agreements": agreements})))

        self.write(finish)

    def _open_row(self, row: int) -> _OpenRow:
        """Return the products of a row of windows; those of rows before it are closed."""
        while self._open is None or self._open.start.row < row:
            self._close_row()
            start = self._expected.pop(0)
            used = self.plan.rows.used(start.row)
            top = max(used.start, self.strip.above.stop)
            last = start.row == len(self.plan.rows) - 1
            bottom = used.stop if last else self.plan.rows.fades[start.row].start
            for name, edge in ((ABOVE, self.strip.above), (BELOW, self.strip.below)):
                if edge.stop > edge.start and used.start <= edge.start and edge.stop <= used.stop:
                    self._edge_valid[name] = start.valid[edge.start - used.start : edge.stop - used.start].copy()
            height = max(bottom - top, 0)
            rows = self.products.missing(height, self.plan.grid.width, device=self.blender.device)
            self._open = _OpenRow(start, top, height, rows, torch.zeros((), device=self.blender.device))
        return self._open

    def _skip_until(self, opened: _OpenRow, column: int) -> None:
        for skipped in range(opened.next_column, column):
            self.blender.skip(opened.start.row, skipped)
        opened.next_column = max(opened.next_column, column)

    def _place(self, opened: _OpenRow, piece: Piece) -> None:
        """Decide pixels and put them in their row, on the device; that they are numbers is seen with the whole row."""
        top = piece.y - opened.top
        decided, total = self.products.decide_unproven(piece.scores)
        opened.total += total
        for name, values in decided.items():
            height, width = values.shape[-2:]
            opened.rows[name][:, top : top + height, piece.x : piece.x + width] = values

    def _close_row(self) -> None:
        """Hand the rows of pixels that are done to the disk."""
        opened, self._open = self._open, None
        if opened is None:
            return
        self._skip_until(opened, len(self.plan.columns))
        if not opened.height:
            return
        decided = slice(opened.top, opened.top + opened.height)
        first = opened.top - self.plan.rows.used(opened.start.row).start
        valid = opened.start.valid[first : first + opened.height]
        # What is written holds on to these alone, not to the row on the device.
        copies = {name: HostCopy(values) for name, values in opened.rows.items()}
        total, writer, products = HostCopy(opened.total), self.writer, self.products

        def write() -> None:
            products.require_numbers(float(total.numpy()), decided)
            for product in products:
                rows = copies.pop(product.name).numpy()
                rows[:, ~valid] = product.missing
                writer.block(product.name, decided.start, rows)

        self.write(write)

    def _give_edge(self, name: str, y: int, copy: HostCopy) -> None:
        writer, valid = self.writer, self._edge_valid[name]

        def write() -> None:
            writer.block(name, y, copy.numpy())
            writer.block(f"{name}_valid", y, valid)

        self.write(write)
