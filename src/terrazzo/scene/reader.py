"""From a scene's file to batches of normalised windows: each row of pixels is read once, strip by strip."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32

from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.windows import mirrored

__all__ = ["StripEnd", "WindowBatch", "read_scene"]


# Bounds what reading holds beside the strip; GDAL's cache keeps the blocks that such rows cut through.
_ROWS_AT_ONCE = 128


@dataclass(frozen=True)
class WindowBatch:
    """Windows of one strip, margin included.

    Attributes:
        image: Normalised values; 0 where not valid.
        valid: Where every band was measured.
        strip: Position of the strip.
        columns: Position of each window in the strip.
    """

    image: Float32[torch.Tensor, "batch band y x"]
    valid: Bool[torch.Tensor, "batch y x"]
    strip: int
    columns: tuple[int, ...]


@dataclass(frozen=True)
class StripEnd:
    """All windows of a strip that hold a valid pixel have come.

    Attributes:
        strip: Position of the strip.
        valid: Where every band was measured, over the strip without margin.
        skipped: Windows without a valid pixel.
    """

    strip: int
    valid: Bool[np.ndarray, "y x"]
    skipped: int


class _Strip:
    """Raw pixels of some rows over the scene's whole width, in one piece of memory from the first strip to the last."""

    def __init__(self, plan: ScenePlan) -> None:
        height = min(plan.window_shape[0], plan.grid.height)
        dtype = np.result_type(*(band.dtype for band in plan.bands))
        self._plan = plan
        self.top = self.bottom = 0
        self.values = np.empty((len(plan.bands), height, plan.grid.width), dtype=dtype)
        self.valid = np.empty((height, plan.grid.width), dtype=bool)

    def advance(self, scene: RasterFile, start: int) -> None:
        """Hold the rows of the strip at `start`, reading only those that the one before it did not hold."""
        plan = self._plan
        top = max(start - plan.margin, 0)
        bottom = min(start + plan.rows.size + plan.margin, plan.grid.height)
        kept, shift = max(self.bottom - top, 0), top - self.top
        if kept and shift:
            self.values[:, :kept] = self.values[:, shift : shift + kept]
            self.valid[:kept] = self.valid[shift : shift + kept]
        for first in range(max(self.bottom, top), bottom, _ROWS_AT_ONCE):
            height = min(_ROWS_AT_ONCE, bottom - first)
            fresh = scene.read(Window(first, 0, height, plan.grid.width), plan.bands)
            self.values[:, first - top : first - top + height] = fresh.values
            self.valid[first - top : first - top + height] = fresh.valid
        self.top, self.bottom = top, bottom


def read_scene(plan: ScenePlan, normalisation: Normalisation) -> Iterator[WindowBatch | StripEnd]:
    """Yield each strip's batches and then its end, top to bottom.

    Windows without any valid pixel are left out: nothing of them reaches the map. Beyond the scene's edges its mirror
    image stands.

    Raises:
        DataError: The file cannot be read, or not to its end.
    """
    size = plan.rows.size
    with RasterFile(plan.scene) as scene:
        strip = _Strip(plan)
        for number, start in enumerate(plan.rows.starts):
            strip.advance(scene, start)
            inside = strip.valid[start - strip.top : start - strip.top + size]
            wanted = [
                column for column, x in enumerate(plan.columns.starts) if inside[:, x : x + plan.columns.size].any()
            ]
            for first in range(0, len(wanted), plan.batch_size):
                yield _batch(strip, plan, normalisation, number, wanted[first : first + plan.batch_size])
            # A copy, because the strip goes on without these rows while the map still needs them.
            yield StripEnd(number, inside.copy(), len(plan.columns) - len(wanted))


def _batch(
    strip: _Strip, plan: ScenePlan, normalisation: Normalisation, number: int, columns: list[int]
) -> WindowBatch:
    height, width = plan.window_shape
    image = np.empty((len(columns), len(plan.bands), height, width), dtype=np.float32)
    valid = np.empty((len(columns), height, width), dtype=bool)
    y = plan.rows.starts[number] - plan.margin
    rows = _relative(mirrored(y, y + height, plan.grid.height), strip.top)
    for position, column in enumerate(columns):
        x = plan.columns.starts[column] - plan.margin
        across = mirrored(x, x + width, plan.grid.width)
        valid[position] = strip.valid[rows][:, across]
        image[position] = normalisation(strip.values[:, rows][:, :, across], valid[position])
    return WindowBatch(torch.from_numpy(image), torch.from_numpy(valid), number, tuple(columns))


def _relative(rows: slice | np.ndarray, top: int) -> slice | np.ndarray:
    """Count rows from the strip's first instead of the scene's."""
    return slice(rows.start - top, rows.stop - top) if isinstance(rows, slice) else rows - top
