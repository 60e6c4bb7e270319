"""From a scene's file to batches of normalised windows: each row of pixels is read once, strip by strip."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped

from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.windows import mirrored

__all__ = ["StripEnd", "WindowBatch", "read_scene"]


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


@dataclass(frozen=True)
class _Strip:
    """Raw pixels of some rows over the scene's whole width."""

    top: int
    values: Shaped[np.ndarray, "band y x"]
    valid: Bool[np.ndarray, "y x"]

    @property
    def bottom(self) -> int:
        return self.top + len(self.valid)


def read_scene(plan: ScenePlan, normalisation: Normalisation) -> Iterator[WindowBatch | StripEnd]:
    """Yield each strip's batches and then its end, top to bottom.

    Windows without any valid pixel are left out: nothing of them reaches the map. Beyond the scene's edges its mirror
    image stands.

    Raises:
        DataError: The file cannot be read, or not to its end.
    """
    size = plan.rows.size
    with RasterFile(plan.scene) as scene:
        strip: _Strip | None = None
        for number, start in enumerate(plan.rows.starts):
            strip = _advance(strip, scene, plan, start)
            inside = strip.valid[start - strip.top : start - strip.top + size]
            wanted = [
                column for column, x in enumerate(plan.columns.starts) if inside[:, x : x + plan.columns.size].any()
            ]
            for first in range(0, len(wanted), plan.batch_size):
                yield _batch(strip, plan, normalisation, number, wanted[first : first + plan.batch_size])
            # A copy, because the strip goes on without these rows while the map still needs them.
            yield StripEnd(number, inside.copy(), len(plan.columns) - len(wanted))


def _advance(before: _Strip | None, scene: RasterFile, plan: ScenePlan, start: int) -> _Strip:
    """Return the strip at `start`, reading only the rows that the one before it did not hold."""
    top = max(start - plan.margin, 0)
    bottom = min(start + plan.rows.size + plan.margin, plan.grid.height)
    first = top if before is None else before.bottom
    if before is not None and first >= bottom:
        return _Strip(top, before.values[:, top - before.top :], before.valid[top - before.top :])
    fresh = scene.read(Window(first, 0, bottom - first, plan.grid.width), plan.bands)
    if before is None:
        return _Strip(top, fresh.values, fresh.valid)
    kept = top - before.top
    values = np.concatenate([before.values[:, kept:], fresh.values], axis=1)
    return _Strip(top, values, np.concatenate([before.valid[kept:], fresh.valid]))


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
