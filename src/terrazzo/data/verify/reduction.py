"""An image and its label made small while they stream by: mean brightness, validity, and where classes meet."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

__all__ = ["LONGEST_SIDE", "Reduced", "Reduction"]

LONGEST_SIDE = 384
"""Cells that the longer side of an image is reduced to at most."""


@dataclass(frozen=True)
class Reduced:
    """A small view of an image and its label, on cells of `factor` x `factor` pixels.

    Attributes:
        factor: Pixels of a cell's side; cells at the lower and right border may hold fewer.
        height: Rows of the image.
        width: Columns of the image.
        brightness: Mean of the valid pixels over the first three bands, raw units; 0 where no pixel is valid.
        valid: Share of each cell's pixels that are valid, 0..1.
        borders: Share of each cell's pixels whose right or lower neighbour belongs to another class, 0..2; None for an
            image without label.
    """

    factor: int
    height: int
    width: int
    brightness: Float32[np.ndarray, "y x"]
    valid: Float32[np.ndarray, "y x"]
    borders: Float32[np.ndarray, "y x"] | None


NARROW = {1: 256, 2: 85}
"""How many values may be summed in 16 bits, by their bytes: of 8 bits, or each the sum of three such."""


class Reduction:
    """Gathers a small view strip by strip, so that memory follows the width of an image, never its height.

    Args:
        height: Rows of the image.
        width: Columns of the image.
    """

    def __init__(self, height: int, width: int) -> None:
        self.factor = max(1, math.ceil(max(height, width) / LONGEST_SIDE))
        self._columns = np.arange(0, width, self.factor)
        self._heights = np.diff(np.append(np.arange(0, height, self.factor), height))
        self._widths = np.diff(np.append(self._columns, width))
        shape = (len(self._heights), len(self._widths))
        self._sums = np.zeros(shape, dtype=np.float32)
        self._valid = np.zeros(shape, dtype=np.float32)
        self._borders = np.zeros(shape, dtype=np.float32)
        self._bands = 1
        self._labelled = False
        self._last: Shaped[np.ndarray, " x"] | None = None

    def add(self, y: int, values: Shaped[np.ndarray, "band y x"], valid: Bool[np.ndarray, "y x"]) -> None:
        """Add a strip of an image whose first row is `y`."""
        everywhere = bool(valid.all())
        if everywhere:
            first, rows = self._cells(y, len(valid))
            self._valid[first : first + len(rows)] += np.multiply.outer(rows, self._widths)
        else:
            self._gather(self._valid, y, valid.view(np.uint8))
        self._bands = min(len(values), 3)
        light = _light(values[:3])
        self._gather(self._sums, y, light if everywhere else np.where(valid, light, light.dtype.type(0)))

    def add_label(self, y: int, target: Shaped[np.ndarray, "y x"], ignore: int) -> None:
        """Add a strip of a label whose first row is `y`; strips come from top to bottom."""
        self._labelled = True
        first = 0
        if self._last is not None:
            # The row above was met already, but not what lies between it and this strip.
            target = np.concatenate([self._last[None], target])
            first = 1
        known = target != ignore
        beside, below = target[first:, 1:] != target[first:, :-1], target[1:] != target[:-1]
        if not known.all():
            beside &= known[first:, 1:] & known[first:, :-1]
            below &= known[1:] & known[:-1]
        borders = np.zeros(target.shape, dtype=np.uint8)
        borders[first:, :-1] = beside
        borders[:-1] += below
        self._last = target[-1].copy()
        self._gather(self._borders, y - first, borders)

    def result(self) -> Reduced:
        """Return the view of everything added."""
        measured = np.maximum(self._valid, 1) * self._bands
        pixels = np.multiply.outer(self._heights, self._widths).astype(np.float32)
        return Reduced(
            factor=self.factor,
            height=int(self._heights.sum()),
            width=int(self._widths.sum()),
            brightness=self._sums / measured,
            valid=self._valid / pixels,
            borders=self._borders / pixels if self._labelled else None,
        )

    def _gather(self, into: Float32[np.ndarray, "cell_y cell_x"], y: int, strip: Shaped[np.ndarray, "rows x"]) -> None:
        """Sum a strip's pixels into the cells that they lie in: row by row of the cells, then column by column."""
        factor = self.factor
        first, rows = self._cells(y, len(strip))
        # Sums of as many values fit 16 bits; adding slices is several times faster than numpy's own grouping.
        narrow = strip.dtype.kind == "u" and factor <= NARROW.get(strip.dtype.itemsize, 0)
        tall = np.zeros((len(rows), strip.shape[1]), dtype=np.uint16 if narrow else np.float32)
        for row in range(min(factor, len(strip))):
            part = strip[row::factor]
            cell = (y + row) // factor - first
            tall[cell : cell + len(part)] += part
        for column in range(min(factor, strip.shape[1])):
            part = tall[:, column::factor]
            into[first : first + len(rows), : part.shape[1]] += part

    def _cells(self, y: int, height: int) -> tuple[int, Int64[np.ndarray, " cell"]]:
        """Return the first cell that rows of a strip lie in, and how many rows lie in each."""
        first = y // self.factor
        edges = np.arange(first, -(-(y + height) // self.factor) + 1) * self.factor
        return first, np.diff(edges.clip(y, y + height))


def _light(bands: Shaped[np.ndarray, "band y x"]) -> Shaped[np.ndarray, "y x"]:
    """Return the sum of up to three bands: as it is, in 16 bits for several of 8, else in float32."""
    if bands.dtype == np.uint8 and len(bands) == 1:
        alone: Shaped[np.ndarray, "y x"] = bands[0]
        return alone
    kind = np.uint16 if bands.dtype == np.uint8 else np.float32
    light: Shaped[np.ndarray, "y x"] = bands[0].astype(kind)
    for band in bands[1:]:
        light += band
    return light
