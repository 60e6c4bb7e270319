"""Whole images through the scene engine without files: blended scores of rows, as a map would be decided from them.

The windows, their order, their blending and the network's arithmetic are those of mapping, so that what is measured
here holds for maps.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32

from terrazzo.bundle import Bundle
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Grid
from terrazzo.machine import MachineSettings, configure
from terrazzo.scene.batch_choice import choose_batch
from terrazzo.scene.blend import StripBlender
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions
from terrazzo.scene.plan import ScenePlan, plan_windows
from terrazzo.scene.probe import decide_on
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.reader import RowSource, RowStart, StripStart, read_strips
from terrazzo.scene.sampled_windows import noise_windows
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.threads import one_thread
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import Answered, Forward, Item, WindowScores, answered

__all__ = ["ImagePass", "PassImage", "ScoredRows"]

_CHECKED_WINDOWS = 4


@dataclass(frozen=True)
class PassImage:
    """An image that is to pass.

    Attributes:
        name: For messages.
        grid: Where its pixels lie.
        bands: The network's bands, with the image's type and missing values.
        source: Its rows of pixels.
        block_shape: Height and width of the blocks that it is stored in.
        wanted: Told rows and columns of pixels, whether any of them counts; None where all do. Windows of which none
            counts are not computed, and their scores are 0.
    """

    name: str
    grid: Grid
    bands: Bands
    source: RowSource
    block_shape: tuple[int, int] = (256, 256)
    wanted: Callable[[slice, slice], bool] | None = None


@dataclass(frozen=True)
class ScoredRows:
    """Rows of an image over its whole width.

    Attributes:
        y: First row.
        scores: Blended probabilities or logits, and the steps taken where that layer is asked for; 0 where nothing
            was measured.
        valid: Where every band was measured.
    """

    y: int
    scores: Float32[torch.Tensor, "channel y x"]
    valid: Bool[np.ndarray, "y x"]


class ImagePass:
    """A bundle ready for whole images; precision and batch are decided on the first and kept.

    Args:
        bundle: The network and what it was trained for.
        settings: How scenes become maps.
        machine: What is computed on.
        decisions: What another process decided, for this one to answer with its bits; nothing is tried then.

    Attributes:
        products: What a map would be decided by: `products.probabilities(rows.scores)`, `products.chosen(...)`.
        decisions: Precision, batch and the rest; None before the first image.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: PredictSettings,
        machine: MachineSettings,
        *,
        decisions: Decisions | None = None,
    ) -> None:
        self._bundle = bundle
        # One strip an image: nothing has to be joined.
        self._settings = settings.model_copy(update={"strip_pixels": 2**31})
        self._machine = machine
        self.decisions = decisions
        self._first: WindowForward | None = None
        self._forwards: dict[tuple[int, int], WindowForward] = {}
        self.products: Products = products_of(
            settings, classes=len(bundle.classes), ignore=bundle.classes.ignore, calibration=bundle.calibration
        )

    def plan(self, image: PassImage) -> ScenePlan:
        """Return how an image is cut."""
        return plan_windows(
            self._bundle,
            self._settings,
            scene=Path(image.name),
            grid=image.grid,
            bands=image.bands,
            block_shape=image.block_shape,
        )

    def forward(self, plan: ScenePlan, image: PassImage) -> WindowForward:
        """Return the network ready for the windows of a plan; the first time it is tried on that image."""
        if self._first is None or self.decisions is None:
            self._first, self.decisions = self._made(plan, image)
            self._forwards[plan.window_shape] = self._first
        shape = plan.window_shape
        if shape not in self._forwards:
            decided = self.decisions
            batch = choose_batch(decided.device, shape, fits=lambda _: True)
            group = batch * (decided.group_size // decided.batch_size)
            self._forwards[shape] = self._first.resized(
                decided.model_copy(
                    update={"batch_size": batch, "group_size": group, "compiled": False, "recorded": False}
                )
            )
        return self._forwards[shape]

    def _made(self, plan: ScenePlan, image: PassImage) -> tuple[WindowForward, Decisions]:
        """Return the network, and what was decided; threads and determinism of this process become the machine's."""
        if self.decisions is not None:
            decided = self.decisions
            settled = {"accelerator": decided.device, "precision": decided.precision, "threads": decided.threads}
            configure(self._machine.model_copy(update=settled))
            return WindowForward(self._bundle, self._settings, decided, self.products, margin=plan.margin), decided
        windows = next(iter(self.groups(plan, image, size=min(_CHECKED_WINDOWS, plan.windows))), None)
        seen = noise_windows(plan, count=1) if windows is None else windows
        found = decide_on(
            seen, self._bundle, plan, self._settings, self._machine, self.products, measured=windows is not None
        )
        return found.forward, found.decisions

    def groups(self, plan: ScenePlan, image: PassImage, *, size: int) -> Iterator[WindowGroup]:
        """Yield the windows of an image that count, in raster order, so many at once."""
        for item in self._read(plan, image, size=size):
            if isinstance(item, WindowGroup):
                yield item

    def rows(
        self, image: PassImage, *, through: Callable[[WindowForward], Forward] | None = None
    ) -> Iterator[ScoredRows]:
        """Yield the blended scores of an image from top to bottom; memory is of the order of a row of windows.

        Args:
            image: What is to pass.
            through: Returns what answers the groups instead of the network itself, with its bits.

        Raises:
            DataError: The image cannot be read.
            ModelError: The network answered wrong shapes.
            OutOfMemoryError: The device has too little memory.
        """
        plan = self.plan(image)
        network = self.forward(plan, image)
        forward: Forward = network if through is None else through(network)
        blender = StripBlender(
            plan.rows,
            plan.columns,
            channels=self.products.channels,
            classes=self.products.classes,
            device=forward.device,
        )

        def read() -> Iterator[Item]:
            return self._read(plan, image, size=network.group_size)

        # For whoever counts the rows too, until the last one is taken. One group is computed where it is asked for:
        # threads would have nothing to do beside it.
        alone = plan.windows <= network.group_size
        with one_thread(), _one_by_one(read, forward) if alone else answered(read, forward) as computed:
            rows = _Rows(plan, self.products.channels, blender)
            for item, answer in computed:
                if isinstance(item, StripStart):
                    blender.begin(item.strip)
                elif isinstance(item, RowStart):
                    rows.expected.append(item)
                elif isinstance(item, WindowGroup) and answer is not None:
                    margin, size = plan.margin, (plan.rows.size, plan.columns.size)
                    valid = item.valid[:, margin : margin + size[0], margin : margin + size[1]].to(forward.device)
                    for (row, column), scores, measured in zip(item.windows, answer.scores, valid, strict=True):
                        yield from rows.until(row)
                        rows.add(row, column, scores, measured)
            yield from rows.until(len(plan.rows))

    def _read(self, plan: ScenePlan, image: PassImage, *, size: int) -> Iterator[Item]:
        return read_strips(
            plan,
            image.source,
            plan.strips,
            self._bundle.normalisation,
            group_size=size,
            counts=image.wanted,
            hashed=False,
        )


@contextlib.contextmanager
def _one_by_one(read: Callable[[], Iterator[Item]], forward: Forward) -> Iterator[Answered]:
    """Yield what is read with what the network answers to it, in this thread."""
    with contextlib.closing(_answered(read(), forward)) as computed:
        yield computed


def _answered(items: Iterator[Item], forward: Forward) -> Generator[tuple[Item, WindowScores | None], None, None]:
    for item in items:
        yield item, forward(item) if isinstance(item, WindowGroup) else None


class _Rows:
    """Rows of scores while the windows of a row come in."""

    def __init__(self, plan: ScenePlan, channels: int, blender: StripBlender) -> None:
        self.expected: list[RowStart] = []
        self._plan = plan
        self._channels = channels
        self._blender = blender
        self._open: tuple[RowStart, int, torch.Tensor] | None = None
        self._next_column = 0

    def until(self, row: int) -> Iterator[ScoredRows]:
        """Yield the rows that are done before a row of windows begins; open that one."""
        while (self._open is None or self._open[0].row < row) and (self._open is not None or self.expected):
            yield from self._closed()
            if self.expected and self.expected[0].row <= row:
                self._begin(self.expected.pop(0))
            elif self._open is None:
                return

    def add(self, row: int, column: int, scores: torch.Tensor, valid: torch.Tensor) -> None:
        """Add a window of the open row."""
        if self._open is None:
            raise RuntimeError("no row of windows is open")
        self._skip_until(column)
        piece = self._blender.add(row, column, scores, valid)
        self._next_column = column + 1
        if piece is not None:
            _, top, held = self._open
            height, width = piece.scores.shape[1:]
            held[:, piece.y - top : piece.y - top + height, piece.x : piece.x + width] = piece.scores.cpu()

    def _begin(self, start: RowStart) -> None:
        used = self._plan.rows.used(start.row)
        last = start.row == len(self._plan.rows) - 1
        bottom = used.stop if last else self._plan.rows.fades[start.row].start
        held = torch.zeros((self._channels, bottom - used.start, self._plan.grid.width))
        self._open, self._next_column = (start, used.start, held), 0

    def _skip_until(self, column: int) -> None:
        if self._open is not None:
            for skipped in range(self._next_column, column):
                self._blender.skip(self._open[0].row, skipped)
        self._next_column = max(self._next_column, column)

    def _closed(self) -> Iterator[ScoredRows]:
        """Yield the open row's pixels, if there are any."""
        if self._open is None:
            return
        self._skip_until(len(self._plan.columns))
        start, top, held = self._open
        self._open = None
        if held.shape[1]:
            yield ScoredRows(top, held, start.valid[: held.shape[1]])
