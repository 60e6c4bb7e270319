"""Windows that fade into each other: answers come in, pixels to which nothing more is added go out at once.

Weights are separable and no pixel is made of more than two windows along an axis, so all that has to be kept is what
waits for a neighbour: the right fade of the last window, and the lower fades of the last row of windows. Memory is
O(width x overlap), whatever the height of the scene and of the window.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Int64

from terrazzo.errors import ModelError
from terrazzo.scene.products import best_class
from terrazzo.scene.strips import Strip
from terrazzo.scene.windows import Axis

__all__ = ["Agreement", "Piece", "StripBlender"]

_COMPARED_PIXELS = 8192
"""About so many pixels tell how far two windows agree; all of a usual fade would cost as much as deciding the map."""


@dataclass(frozen=True)
class Piece:
    """Pixels to which no later window adds.

    Attributes:
        y: First row in the scene.
        x: First column in the scene.
        scores: Their blended scores; valid until the next window is added.
    """

    y: int
    x: int
    scores: Float32[torch.Tensor, "channel y x"]


@dataclass(frozen=True)
class Agreement:
    """How far two windows agree where one fades into the other.

    Attributes:
        row: Row of the later window.
        column: Column of the later window.
        side: "left" or "above": where the earlier window lies.
        differing: Pixels for which their classes differ.
        compared: Pixels in common that were compared: all, or those of every so manieth row where there are very many.
    """

    row: int
    column: int
    side: str
    differing: int
    compared: int


class StripBlender:
    """Blends the windows of one strip, which come row by row and from left to right.

    Every product is rounded to float32 before it is added, and every pixel is the sum of at most two of them along an
    axis, rows summed before columns: the order of strips and workers leaves no trace in the bits.

    Args:
        rows: Windows along y.
        columns: Windows along x.
        channels: Scores a pixel: one a class, and what else is blended after them.
        classes: Leading channels that are scores of classes.
        device: Where the scores lie.

    Attributes:
        device: As given.
    """

    def __init__(self, rows: Axis, columns: Axis, *, channels: int, classes: int, device: torch.device) -> None:
        self.device = device
        self._rows = rows
        self._columns = columns
        self._classes = classes
        deepest = max((fade.stop - fade.start for fade in rows.fades), default=0)
        self._below = torch.zeros((channels, deepest, columns.length), dtype=torch.float32, device=device)
        self._above = torch.zeros_like(self._below)
        self._left: torch.Tensor | None = None
        self._into = [torch.from_numpy(columns.rising(number)).to(device) for number in range(len(columns) - 1)]
        self._strip: Strip | None = None
        self._row = -1
        self._down: tuple[torch.Tensor, torch.Tensor] | None = None
        self._fades: list[tuple[int, int, str]] = []
        self._counts: list[torch.Tensor] = []

    def begin(self, strip: Strip) -> None:
        """Begin a strip; what the one before it left is forgotten."""
        self._strip, self._row, self._left = strip, -1, None
        self._above.zero_()
        self._below.zero_()
        self._fades, self._counts = [], []

    @property
    def fades(self) -> tuple[tuple[int, int, str], ...]:
        """Row and column of the later window of each fade of the strip so far, and the side of the earlier one."""
        return tuple(self._fades)

    @property
    def counts(self) -> Int64[torch.Tensor, "fade 2"]:
        """Of each fade the pixels whose classes differ, and those that were compared; on the device."""
        return torch.stack(self._counts).reshape(-1, 2) if self._counts else torch.zeros((0, 2), dtype=torch.int64)

    @property
    def agreements(self) -> list[Agreement]:
        """How far windows agree; waits for the device."""
        return [Agreement(*fade, *counts) for fade, counts in zip(self.fades, self.counts.tolist(), strict=True)]

    def skip(self, row: int, column: int) -> None:
        """Leave out a window of which no pixel counts; nor does then any pixel of its fades."""
        self._enter(row, column)
        _, width = self._shape(row, column)
        x = self._columns.used(column).start
        self._left = None
        self._below[:, :, x : x + width] = 0

    def add(
        self,
        row: int,
        column: int,
        scores: Float32[torch.Tensor, "channel y x"],
        valid: Bool[torch.Tensor, "y x"],
    ) -> Piece | None:
        """Add a window, and return the pixels that are now done.

        Args:
            row: Position of the window along y.
            column: Position along x; those before it in its row were added or skipped.
            scores: Its scores; overwritten.
            valid: Where the scene was measured; only there windows are compared.

        Returns:
            Done pixels that belong to this strip alone; None where there are none.
        """
        with torch.inference_mode():
            strip = self._enter(row, column)
            across, down = self._columns.used(column), self._rows.used(row)
            x, y = self._columns.starts[column], self._rows.starts[row]
            inside = (slice(down.start - y, down.stop - y), slice(across.start - x, across.stop - x))
            own, measured = scores[:, *inside], valid[inside]
            whole = self._blend_across(own, measured, row, column)
            top, bottom = self._heights(row)
            upper, lower = whole[:, :top], whole[:, whole.shape[1] - bottom :]
            here = slice(across.start, across.start + whole.shape[2])
            rising, falling = self._weights_down()
            first = row == strip.rows[0]
            if top:
                if first:
                    self._above[:, :top, here] = upper * rising[:, None]
                else:
                    waiting = self._below[:, :top, here]
                    self._compare(upper, waiting, measured[:top, : whole.shape[2]], (row, column, "above"))
                    upper.mul_(rising[:, None]).add_(waiting)
            if bottom:
                self._below[:, :bottom, here] = lower * falling[:, None]
            begin = top if first else 0
            done = whole[:, begin : whole.shape[1] - bottom]
            return Piece(down.start + begin, across.start, done) if done.numel() else None

    def edges(self) -> tuple[Float32[torch.Tensor, "channel above x"], Float32[torch.Tensor, "channel below x"]]:
        """Return the strip's weighted share of the rows that it has in common with the strips above and below."""
        strip = self._strip
        if strip is None:
            raise ModelError("No strip was begun.")
        above, below = strip.above.stop - strip.above.start, strip.below.stop - strip.below.start
        return self._above[:, :above], self._below[:, :below]

    def _enter(self, row: int, column: int) -> Strip:
        """Note where the next window lies."""
        if self._strip is None:
            raise ModelError("No strip was begun.")
        if row != self._row:
            self._row, self._left, self._down = row, None, None
        if column == 0:
            self._left = None
        return self._strip

    def _blend_across(
        self, own: Float32[torch.Tensor, "channel y x"], valid: Bool[torch.Tensor, "y x"], row: int, column: int
    ) -> Float32[torch.Tensor, "channel y done"]:
        """Add what the window to the left has kept, and keep what waits for the one to the right."""
        if column:
            rising = self._into[column - 1]
            shared = own[:, :, : len(rising)]
            if self._left is None:
                shared.mul_(rising)
            else:
                self._compare(shared, self._left, valid[:, : len(rising)], (row, column, "left"))
                shared.mul_(rising).add_(self._left)
        if column == len(self._columns) - 1:
            return own
        rising = self._into[column]
        end = own.shape[2] - len(rising)
        self._left = own[:, :, end:] * (1 - rising)
        return own[:, :, :end]

    def _compare(
        self, later: torch.Tensor, earlier: torch.Tensor, valid: torch.Tensor, where: tuple[int, int, str]
    ) -> None:
        """Count where two windows choose different classes; a weight that all classes share changes no choice."""
        looked = slice(None, None, max(valid.numel() // _COMPARED_PIXELS, 1))
        classes = (best_class(scores[: self._classes, looked])[1] for scores in (later, earlier))
        measured = valid[looked]
        differing = torch.ne(*classes) & measured
        self._fades.append(where)
        # Counted on the device, and asked for at the strip's end: nobody waits here.
        self._counts += differing.sum(), measured.sum()

    def _heights(self, row: int) -> tuple[int, int]:
        """Return the rows of pixels over which a row of windows fades in and out."""
        fades = self._rows.fades
        above = fades[row - 1].stop - fades[row - 1].start if row else 0
        below = fades[row].stop - fades[row].start if row < len(self._rows) - 1 else 0
        return above, below

    def _shape(self, row: int, column: int) -> tuple[int, int]:
        """Return height and width of the pixels that are done along x once a window has come."""
        down, across = self._rows.used(row), self._columns.used(column)
        last = column == len(self._columns) - 1
        end = across.stop if last else self._columns.fades[column].start
        return down.stop - down.start, end - across.start

    def _weights_down(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weights of the current row of windows over the rows where it fades in and out."""
        if self._down is None:
            row, device = self._row, self._below.device
            none = torch.empty(0, device=device)
            rising = torch.from_numpy(self._rows.rising(row - 1)).to(device) if row else none
            last = row == len(self._rows) - 1
            falling = none if last else 1 - torch.from_numpy(self._rows.rising(row)).to(device)
            self._down = rising, falling
        return self._down
