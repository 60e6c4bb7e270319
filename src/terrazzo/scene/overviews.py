"""Overviews made while a map's rows go by: each level halves the one below it, without a look back at the file.

Four pixels become one: for classes the most frequent value, for shares their mean. A pixel is missing where three or
four of its pixels are, in every layer of a map alike. Levels are made from each other, as GDAL does it, so that the
price is a third of a pass; the most frequent of the most frequent may differ from that of all pixels.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Shaped

__all__ = ["Pyramid", "halved_by_mean", "halved_by_mode", "overview_shapes"]

Halving = Callable[[Shaped[np.ndarray, "channel y x"]], Shaped[np.ndarray, "channel y2 x2"]]

# Bytes of rows that are halved at once: what fits into a core's cache goes twice as fast.
_CHUNK_BYTES = 2**19


def overview_shapes(height: int, width: int, *, largest: int) -> list[tuple[int, int]]:
    """Return height and width of each overview, until neither is above `largest`.

    >>> overview_shapes(1200, 2049, largest=512)
    [(600, 1025), (300, 513), (150, 257)]
    """
    shapes = []
    while max(height, width) > largest:
        height, width = -(-height // 2), -(-width // 2)
        shapes.append((height, width))
    return shapes


class Pyramid:
    """Halves rows again and again as they come.

    A last row or column without a partner is its own.

    Args:
        shapes: Height and width of each overview, from the largest.
        halve: Turns an even number of rows and columns into half of each.
        sinks: Take the rows of each overview, from top to bottom.
    """

    def __init__(
        self,
        shapes: list[tuple[int, int]],
        halve: Halving,
        sinks: list[Callable[[Shaped[np.ndarray, "channel y x"]], None]],
    ) -> None:
        self._shapes = shapes
        self._halve = halve
        self._sinks = sinks
        self._waiting: list[Shaped[np.ndarray, "channel 1 x"] | None] = [None] * len(shapes)

    def write(self, rows: Shaped[np.ndarray, "channel y x"]) -> None:
        """Append rows of the full image."""
        self._append(0, rows)

    def close(self) -> None:
        """Finish each level after the last row."""
        for level, waiting in enumerate(self._waiting):
            if waiting is not None:
                self._waiting[level] = None
                self._emit(level, np.concatenate([waiting, waiting], axis=1))

    def _append(self, level: int, rows: Shaped[np.ndarray, "channel y x"]) -> None:
        """Append rows to what a level is made from."""
        if level == len(self._shapes):
            return
        waiting = self._waiting[level]
        if waiting is not None:
            rows = np.concatenate([waiting, rows], axis=1)
        even = rows.shape[1] // 2 * 2
        # A copy: the rows belong to the caller, who may use them again.
        self._waiting[level] = rows[:, even:].copy() if even < rows.shape[1] else None
        if even:
            self._emit(level, rows[:, :even])

    def _emit(self, level: int, rows: Shaped[np.ndarray, "channel y x"]) -> None:
        for chunk in _chunks(rows):
            whole = chunk if chunk.shape[2] % 2 == 0 else np.concatenate([chunk, chunk[:, :, -1:]], axis=2)
            halved = self._halve(whole)
            self._sinks[level](halved)
            self._append(level + 1, halved)


def halved_by_mode(
    pixels: Shaped[np.ndarray, "channel y x"], nodata: int | float | None = None
) -> Shaped[np.ndarray, "channel y2 x2"]:
    """Return the most frequent value of each two by two pixels.

    Among equally frequent values the smallest counts; where nodata lies between values, the first above it. Missing
    pixels count only where they are more than half.

    Args:
        pixels: Integers; an even number of rows and columns. Four channels of uint8 whose last is 0 where nothing was
            measured are one value, a colour, if `nodata` is None.
        nodata: Value of missing pixels.

    >>> halved_by_mode(np.array([[[3, 7, 2, 1, 255, 255], [7, 9, 1, 2, 255, 4]]], dtype=np.uint8), nodata=255)
    array([[[  7,   1, 255]]], dtype=uint8)
    """
    if nodata is None and len(pixels) == 4:
        packed = np.ascontiguousarray(np.moveaxis(pixels, 0, -1)).view("<u4")[..., 0]
        colour = np.ascontiguousarray(_mode(packed[None], 0)[0])
        return np.moveaxis(colour.view(np.uint8).reshape(*colour.shape, 4), -1, 0)
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
    missing = None if nodata is None else int(np.array(int(nodata), dtype=pixels.dtype).view(unsigned.dtype))
    found: Shaped[np.ndarray, "channel y2 x2"] = _mode(unsigned, missing).view(pixels.dtype)
    return found


def _mode(pixels: Shaped[np.ndarray, "channel y x"], missing: int | None) -> Shaped[np.ndarray, "channel y2 x2"]:
    """Sort four unsigned values; the most frequent stands beside its like."""
    largest = int(np.iinfo(pixels.dtype).max)
    # Turned so that the missing value is the largest and sorts last.
    turn = None if missing is None or missing == largest else pixels.dtype.type(missing + 1)
    if turn is not None:
        pixels = pixels - turn
    low, high = np.minimum(pixels[:, 0::2], pixels[:, 1::2]), np.maximum(pixels[:, 0::2], pixels[:, 1::2])
    # Copies, because vector instructions take neighbours, not every second value.
    low_left, low_right = np.ascontiguousarray(low[..., 0::2]), np.ascontiguousarray(low[..., 1::2])
    high_left, high_right = np.ascontiguousarray(high[..., 0::2]), np.ascontiguousarray(high[..., 1::2])
    first, one = np.minimum(low_left, low_right), np.maximum(low_left, low_right)
    other, fourth = np.minimum(high_left, high_right), np.maximum(high_left, high_right)
    second, third = np.minimum(one, other), np.maximum(one, other)
    last_pair = third == fourth
    if missing is not None:
        # Two missing pixels beside two different values are no majority.
        last_pair &= third != largest
    found = np.where(last_pair, third, first)
    found = np.where(second == third, second, found)
    found = np.where(first == second, first, found)
    turned: Shaped[np.ndarray, "channel y2 x2"] = found if turn is None else found + turn
    return turned


def halved_by_mean(
    pixels: Shaped[np.ndarray, "channel y x"], nodata: int | float | None = None
) -> Shaped[np.ndarray, "channel y2 x2"]:
    """Return the mean of what was measured of each two by two pixels, halves rounded to even.

    Args:
        pixels: uint8, or half or single precision; an even number of rows and columns.
        nodata: Value of missing pixels; NaN for numbers with fractions.

    >>> halved_by_mean(np.array([[[1, 2, 255, 255], [4, 3, 255, 8]]], dtype=np.uint8), nodata=255)
    array([[[  2, 255]]], dtype=uint8)
    """
    if pixels.dtype != np.uint8:
        return _mean_of_numbers(pixels)
    # Values above any that uint8 holds are never met.
    absent = 256 if nodata is None else int(nodata)
    missing = pixels == absent
    if not missing.any():
        wide = pixels.view("<u2")
        across = (wide & np.uint16(255)) + (wide >> np.uint16(8))
        total = across[:, 0::2] + across[:, 1::2]
        odd = (total >> np.uint16(2)) & np.uint16(1)
        return ((total + np.uint16(1) + odd) >> np.uint16(2)).astype(np.uint8)
    total = _sum_of_four(np.where(missing, 0, pixels).astype(np.float32))
    count = _sum_of_four((~missing).astype(np.float32))
    mean = np.rint(total / np.maximum(count, 1)).astype(np.uint8)
    return np.where(count >= 2, mean, np.uint8(absent))


def _mean_of_numbers(pixels: Shaped[np.ndarray, "channel y x"]) -> Shaped[np.ndarray, "channel y2 x2"]:
    missing = np.isnan(pixels)
    total = _sum_of_four(np.where(missing, 0, pixels).astype(np.float32))
    count = _sum_of_four((~missing).astype(np.float32))
    return np.where(count >= 2, total / np.maximum(count, 1), np.nan).astype(pixels.dtype)


def _sum_of_four(pixels: Shaped[np.ndarray, "channel y x"]) -> Shaped[np.ndarray, "channel y2 x2"]:
    down: Shaped[np.ndarray, "channel y2 x"] = pixels[:, 0::2] + pixels[:, 1::2]
    across: Shaped[np.ndarray, "channel y2 x2"] = down[..., 0::2] + down[..., 1::2]
    return across


def _chunks(rows: Shaped[np.ndarray, "channel y x"]) -> Iterator[Shaped[np.ndarray, "channel y x"]]:
    """Yield runs of an even number of rows, contiguous in memory."""
    row_bytes = max(rows.nbytes // rows.shape[1], 1)
    step = max(_CHUNK_BYTES // row_bytes // 2 * 2, 2)
    for top in range(0, rows.shape[1], step):
        yield np.ascontiguousarray(rows[:, top : top + step])
