"""An image and its label made small while they stream by: mean brightness, validity, and where classes meet."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

__all__ = ["LONGEST_SIDE", "Reduced", "Reduction"]

LONGEST_SIDE = 512
"""Cells that the longer side of an image is reduced to at most."""


@dataclass(frozen=True)
class Reduced:
    """A small view of an image and its label, on cells of `factor` x `factor` pixels.

    Attributes:
        factor: Pixels of a cell's side; cells at the lower and right border may hold fewer.
        brightness: Mean of the valid pixels over the first three bands, raw units; 0 where no pixel is valid.
        valid: Share of each cell's pixels that are valid, 0..1.
        borders: Share of each cell's pixels whose right or lower neighbour belongs to another class, 0..2; None for an
            image without label.
    """

    factor: int
    brightness: Float32[np.ndarray, "y x"]
    valid: Float32[np.ndarray, "y x"]
    borders: Float32[np.ndarray, "y x"] | None


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
        seen = values[:3]
        whole = seen.dtype.kind == "u" and seen.dtype.itemsize <= 2
        summed = seen[0] if len(seen) == 1 else seen.sum(axis=0, dtype=np.uint32 if whole else np.float32)
        if valid.all():
            rows, cells = self._rows(y, len(valid))
            heights = np.diff(np.append(rows, len(valid)))
            self._valid[cells : cells + len(rows)] += np.multiply.outer(heights, self._widths)
        else:
            summed = np.where(valid, summed, 0)
            self._gather(self._valid, y, valid.view(np.uint8))
        self._gather(self._sums, y, summed)
        self._bands = len(seen)

    def add_label(self, y: int, target: Shaped[np.ndarray, "y x"], ignore: int) -> None:
        """Add a strip of a label whose first row is `y`; strips come from top to bottom."""
        self._labelled = True
        first = 0
        if self._last is not None:
            # The row above was met already, but not what lies between it and this strip.
            target = np.concatenate([self._last[None], target])
            first = 1
        known = target != ignore
        borders = np.zeros(target.shape, dtype=np.uint8)
        beside = (target[first:, 1:] != target[first:, :-1]) & known[first:, 1:] & known[first:, :-1]
        borders[first:, :-1] = beside
        borders[:-1] += (target[1:] != target[:-1]) & known[1:] & known[:-1]
        self._last = target[-1].copy()
        self._gather(self._borders, y - first, borders)

    def result(self) -> Reduced:
        """Return the view of everything added."""
        measured = np.maximum(self._valid, 1) * self._bands
        pixels = np.multiply.outer(self._heights, self._widths).astype(np.float32)
        return Reduced(
            factor=self.factor,
            brightness=self._sums / measured,
            valid=self._valid / pixels,
            borders=self._borders / pixels if self._labelled else None,
        )

    def _gather(self, into: Float32[np.ndarray, "y x"], y: int, strip: Shaped[np.ndarray, "rows x"]) -> None:
        """Sum a strip's pixels into the cells that they lie in."""
        rows, cells = self._rows(y, len(strip))
        if self.factor == 1:
            into[cells : cells + len(strip)] += strip
            return
        wide = np.uint32 if strip.dtype.kind in "ub" and strip.dtype.itemsize <= 2 else np.float32
        tall = np.add.reduceat(strip, rows, axis=0, dtype=wide).astype(np.float32)
        into[cells : cells + len(tall)] += np.add.reduceat(tall, self._columns, axis=1)

    def _rows(self, y: int, height: int) -> tuple[Int64[np.ndarray, " cell"], int]:
        """Return where cells begin among the rows of a strip, and the first cell."""
        first = y // self.factor
        edges = np.arange(first * self.factor, y + height, self.factor) - y
        return np.maximum(edges, 0), first
