"""From raw label values and colours to codes, by tables: one array access a pixel, whatever the classes."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, Shaped, UInt8, UInt32

from terrazzo.errors import LabelError

__all__ = ["Colormap", "ColourLookup", "LabelLookup", "Match", "ValueLookup", "pack_colours", "through_palette"]

Colormap = Mapping[int, tuple[int, int, int, int]]
"""Palette of a label file: index -> red, green, blue, alpha."""

Match = Literal["exact", "binarise", "nearest"]

PIECE = 1 << 16
"""Pixels that are looked up at once: what lies between two steps stays in the processor's cache."""


@runtime_checkable
class LabelLookup(Protocol):
    """Turns raw labels into codes; what it does not know gets the open code and is counted."""

    def __call__(self, labels: Shaped[np.ndarray, "band y x"]) -> tuple[Shaped[np.ndarray, "y x"], dict[str, int]]:
        """Return the code of each pixel, and the pixels of each value or colour that has the open code."""
        ...


def pack_colours(labels: UInt8[np.ndarray, "band *space"]) -> UInt32[np.ndarray, "*space"]:
    """Return red, green and blue as one number each: 0xRRGGBB; a fourth band is left out.

    >>> [hex(number) for number in pack_colours(np.array([[60], [16], [152]], dtype=np.uint8))]
    ['0x3c1098']
    """
    packed: UInt32[np.ndarray, "*space"] = labels[0].astype(np.uint32)
    for channel in (1, 2):
        packed <<= 8
        # One type on both sides: numpy converts piece by piece otherwise, which takes twice as long.
        packed |= labels[channel].astype(np.uint32)
    return packed


def through_palette(labels: Shaped[np.ndarray, "1 y x"], colormap: Colormap) -> UInt8[np.ndarray, "3 y x"]:
    """Replace palette indices by their colours; an index outside the palette is black."""
    palette = np.zeros((max(int(labels.max(initial=0)), *colormap) + 1, 3), dtype=np.uint8)
    for index, colour in colormap.items():
        palette[index] = colour[:3]
    return np.moveaxis(palette[labels[0]], -1, 0)


class ColourLookup:
    """Codes of colours, through one table of all 2^24 colours.

    Args:
        colours: Listed colours (red, green, blue).
        codes: The code of each.
        open_code: Code of every colour that is not listed; no listed colour has it.
        dtype: Type of the codes.
        match: `binarise` first sets each channel to 0 or 255 (from 128 on); `nearest` takes the listed colour of the
            smallest Euclidean distance, the first listed where two are equally far.
        tolerance: Largest distance of `nearest`, in levels of 0..255 (441.7 from black to white).
    """

    def __init__(
        self,
        colours: Sequence[tuple[int, int, int]],
        codes: Sequence[int],
        *,
        open_code: int,
        dtype: type[np.generic],
        match: Match,
        tolerance: float,
    ) -> None:
        self._listed: Int64[np.ndarray, "listed 3"] = np.array(colours, dtype=np.int64).reshape(-1, 3)
        self._codes = np.array(codes, dtype=dtype)
        self._open = open_code
        self._match = match
        self._tolerance = tolerance
        self._table = np.full(1 << 24, open_code, dtype=dtype)
        if match != "binarise":
            self._table[pack_colours(self._listed.T.astype(np.uint8))] = self._codes

    def __call__(self, labels: Shaped[np.ndarray, "band y x"]) -> tuple[Shaped[np.ndarray, "y x"], dict[str, int]]:
        """Return codes, and the pixels of each unlisted colour, named as `#RRGGBB`.

        Raises:
            LabelError: The labels are not 8-bit.
        """
        if labels.dtype != np.uint8:
            raise LabelError(f"colours are 8-bit, but the label holds {labels.dtype}; list its raw `values` instead.")
        if len(labels) < 3:
            labels = np.broadcast_to(labels[:1], (3, *labels.shape[1:]))
        codes = np.empty(labels.shape[1:], dtype=self._table.dtype)
        planes, flat = labels[:3].reshape(3, -1), codes.reshape(-1)
        known = True
        for begin in range(0, len(flat), PIECE):
            piece = flat[begin : begin + PIECE]
            _take(self._table, pack_colours(planes[:, begin : begin + PIECE]), piece)
            known = known and not (piece == self._open).any()
        unlisted: dict[str, int] = {}
        if not known:
            unknown = codes == self._open
            packed = pack_colours(labels[:3, unknown])
            found, counts = np.unique(packed, return_counts=True)
            answers = self._resolve(found)
            # Remembered, so that a colour costs its search once: the table converges to the colours that occur.
            self._table[found] = answers
            codes[unknown] = self._table[packed]
            missing = answers == self._open
            unlisted = {
                f"#{int(colour):06X}": int(count) for colour, count in zip(found[missing], counts[missing], strict=True)
            }
        return codes, unlisted

    def _resolve(self, packed: UInt32[np.ndarray, " colour"]) -> Shaped[np.ndarray, " colour"]:
        """Search colours that the table does not hold yet."""
        answers = np.full(len(packed), self._open, dtype=self._codes.dtype)
        if self._match == "exact" or not len(self._listed):
            return answers
        channels = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=1).astype(np.int64)
        limit = self._tolerance
        if self._match == "binarise":
            channels = np.where(channels >= 128, 255, 0)
            limit = 0.0
        for begin in range(0, len(packed), 4096):
            part = channels[begin : begin + 4096]
            squares = np.square(part[:, None] - self._listed[None]).sum(axis=2)
            near = squares.argmin(axis=1)
            close = squares[np.arange(len(part)), near] <= limit**2
            answers[begin : begin + 4096][close] = self._codes[near[close]]
        return answers


def _take(
    table: Shaped[np.ndarray, " entry"], positions: Shaped[np.ndarray, " pixel"], codes: Shaped[np.ndarray, " pixel"]
) -> None:
    """Write the table's entry for each position, none of which lies outside it."""
    # `take` on indices of the machine's own width checks nothing twice; "clip" spares it a buffer for its answers.
    np.take(table, positions.astype(np.intp), out=codes, mode="clip")


def _looked_up(
    table: Shaped[np.ndarray, " entry"], plane: Shaped[np.ndarray, "*space"]
) -> Shaped[np.ndarray, "*space"]:
    """Return the table's entry for each pixel of a plane whose type has as many values."""
    codes = np.empty(plane.shape, dtype=table.dtype)
    values, flat = plane.reshape(-1), codes.reshape(-1)
    for begin in range(0, len(flat), PIECE):
        _take(table, values[begin : begin + PIECE], flat[begin : begin + PIECE])
    return codes


class ValueLookup:
    """Codes of raw values: a table for unsigned 8 and 16 bit, a sorted search for anything else.

    Args:
        values: Listed values.
        codes: The code of each.
        open_code: Code of every value that is not listed.
        dtype: Type of the codes.
        match: As for colours, with the absolute difference as distance; `binarise` is for 8-bit labels.
        tolerance: Largest difference of `nearest`.
    """

    def __init__(
        self,
        values: Sequence[int],
        codes: Sequence[int],
        *,
        open_code: int,
        dtype: type[np.generic],
        match: Match,
        tolerance: float,
    ) -> None:
        order = sorted(range(len(values)), key=lambda position: values[position])
        self._values = np.array([values[position] for position in order], dtype=np.int64)
        self._codes = np.array([codes[position] for position in order], dtype=dtype)
        self._open = open_code
        self._match = match
        self._tolerance = tolerance
        self._tables = {
            np.dtype(kind): self._search(np.arange(np.iinfo(kind).max + 1, dtype=kind))
            for kind in (np.uint8, np.uint16)
        }
        same = self._tables[np.dtype(dtype)] == np.arange(len(self._tables[np.dtype(dtype)]))
        # Values below this are their own codes: labels that number the classes in their order need no look at a table.
        self._own = min(int(np.append(same, False).argmin()), open_code)

    def __call__(self, labels: Shaped[np.ndarray, "band y x"]) -> tuple[Shaped[np.ndarray, "y x"], dict[str, int]]:
        """Return codes, and the pixels of each unlisted value, named as the number.

        Raises:
            LabelError: The label has several bands, or `binarise` meets another type than 8 bit.
        """
        if len(labels) != 1:
            raise LabelError(f"the label has {len(labels)} bands, but the classes are listed by value; list colours.")
        if self._match == "binarise" and labels.dtype != np.uint8:
            raise LabelError(f"match: binarise needs 8-bit labels, but the label holds {labels.dtype}.")
        plane = labels[0]
        if plane.dtype == self._codes.dtype and plane.size and plane.max() < self._own:
            return plane.copy(), {}
        table = self._tables.get(plane.dtype)
        codes = self._search(plane) if table is None else _looked_up(table, plane)
        unlisted: dict[str, int] = {}
        unknown = codes == self._open
        if unknown.any():
            found, counts = np.unique(plane[unknown], return_counts=True)
            unlisted = {f"{value:.10g}": int(count) for value, count in zip(found.tolist(), counts, strict=True)}
        return codes, unlisted

    def _search(self, plane: Shaped[np.ndarray, "*space"]) -> Shaped[np.ndarray, "*space"]:
        """Find each pixel among the sorted values."""
        codes = np.full(plane.shape, self._open, dtype=self._codes.dtype)
        if not len(self._values):
            return codes
        if self._match == "binarise":
            plane = np.where(plane >= 128, 255, 0)
        if plane.dtype == np.uint64:
            plane = plane.astype(np.float64)
        right = np.searchsorted(self._values, plane).clip(max=len(self._values) - 1)
        if self._match == "nearest":
            left = (right - 1).clip(min=0)
            closer = np.abs(plane - self._values[left].astype(np.float64)) <= np.abs(
                plane - self._values[right].astype(np.float64)
            )
            right = np.where(closer, left, right)
            known = np.abs(plane - self._values[right].astype(np.float64)) <= self._tolerance
        else:
            known = self._values[right] == plane
        codes[known] = self._codes[right[known]]
        return codes
