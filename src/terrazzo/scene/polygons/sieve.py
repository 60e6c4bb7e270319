"""Small areas join a neighbour, while the map streams by.

One round decides for all small areas at once, by the map as it is before the round:

- An area of fewer pixels than asked for looks at its neighbours that are larger, or as large and of a smaller class.
  Areas that are large enough count together by class, smaller ones each for itself.
- It joins the one with which it shares the longest border; of several the smallest class, then the larger area, then
  the one that begins first in raster order.
- What it joins may itself join another one: it goes along. Sizes and classes rise along such a path, so that it ends.
- Missing pixels neither take nor give.

Rounds are repeated until no small area has a neighbour left to join. All of this follows from the map alone: rows leave
as soon as nothing that is still to come can change them, so that strips leave no trace.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from terrazzo.scene.polygons.runs import runs_of, united

__all__ = ["Sieve"]

_CLASSES = 2**16
"""Codes of neighbours: classes below, single areas above."""

Rows = Shaped[np.ndarray, "y x"]


@dataclass(frozen=True)
class _Above:
    """What is known of the areas of the last row that has left.

    Attributes:
        size: Pixels of each column's area, at least the smallest size where it is large enough.
        first: Place of its first pixel in the map.
        final: Class that it takes; -1 where it is large enough or missing.
    """

    size: Int64[np.ndarray, " x"]
    first: Int64[np.ndarray, " x"]
    final: Int64[np.ndarray, " x"]


@dataclass(frozen=True)
class _Areas:
    """Areas of the rows in hand, in the order of their first pixels.

    Attributes:
        of_pixel: The area of each pixel.
        value: Class.
        size: Pixels.
        first: Place of the first pixel in the map.
        final: Class that each takes; -1 where that is not decided, or where it keeps its own.
        small: Those for which it is to be decided.
        growing: Those of them that the rows to come may still enlarge.
    """

    of_pixel: Int64[np.ndarray, "y x"]
    value: Int64[np.ndarray, " area"]
    size: Int64[np.ndarray, " area"]
    first: Int64[np.ndarray, " area"]
    final: Int64[np.ndarray, " area"]
    small: Bool[np.ndarray, " area"]
    growing: Bool[np.ndarray, " area"]


class Sieve:
    """One round over a map.

    Args:
        width: Pixels of a row.
        smallest: Pixels that an area needs to be left alone.
        ignore: Value of missing pixels.
        band_rows: Rows that are looked at together at least.
    """

    def __init__(self, width: int, *, smallest: int, ignore: int, band_rows: int) -> None:
        self._smallest = smallest
        self._ignore = ignore
        self._band_rows = band_rows
        self._waiting: list[Rows] = []
        self._waiting_rows = 0
        self._kept: Rows | None = None
        self._width = width
        self._top = 0
        self._above: _Above | None = None
        self.restless = False
        """Whether a further round may find something to join."""

    def feed(self, rows: Rows) -> list[Shaped[np.ndarray, "_ x"]]:
        """Take rows and return those that are decided."""
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        kept = 0 if self._kept is None else len(self._kept)
        # As many new rows as old ones at least, so that none is looked at too often.
        return self._advance(last=False) if self._waiting_rows >= max(self._band_rows, kept) else []

    def finish(self) -> list[Shaped[np.ndarray, "_ x"]]:
        """Return the remaining rows."""
        return self._advance(last=True) if self._waiting_rows or self._kept is not None else []

    def _advance(self, *, last: bool) -> list[Rows]:
        rows = np.concatenate([*([] if self._kept is None else [self._kept]), *self._waiting])
        self._waiting, self._waiting_rows = [], 0
        areas = self._areas(rows, last=last)
        unknown = self._decide(areas)
        bottom = self._top + len(rows)
        undecided = areas.first[unknown]
        upto = int(undecided.min()) // self._width if len(undecided) else bottom
        begin = 0 if self._above is None else 1
        ready = upto - self._top
        left = areas.of_pixel[begin:ready]
        final = np.where(areas.final >= 0, areas.final, areas.value).astype(rows.dtype)
        finished = final[left]
        if ready > begin:
            border = areas.of_pixel[ready - 1]
            self._above = _Above(areas.size[border], areas.first[border], areas.final[border])
            self._top += ready - 1
            rows = rows[ready - 1 :]
        self._kept = None if last else rows.copy()
        return [finished] if len(finished) else []

    def _areas(self, rows: Rows, *, last: bool) -> _Areas:
        runs = runs_of(rows)
        parts, part = united(len(runs), runs.upper, runs.lower)
        size = np.bincount(part, weights=runs.lengths, minlength=parts).astype(np.int64)
        first = np.empty(parts, dtype=np.int64)
        # Of several values for one part numpy keeps the last: the first run.
        first[part[::-1]] = runs.begins[::-1] + self._top * self._width
        final = np.full(parts, -1, dtype=np.int64)
        if self._above is not None:
            of_top = part[runs.numbers[0]]
            size[of_top] = self._above.size
            first[of_top] = self._above.first
            final[of_top] = self._above.final
        # Parts of one area that hang together further up have its first pixel in common.
        firsts, one, area = np.unique(first, return_index=True, return_inverse=True)
        size, final = size[one], final[one]
        value = np.empty(len(firsts), dtype=np.int64)
        value[area[part]] = rows.ravel()[runs.begins]
        small = (size < self._smallest) & (value != self._ignore) & (final < 0)
        growing = np.zeros(len(firsts), dtype=bool)
        if not last:
            growing[area[part[runs.numbers[-1]]]] = True
        of_pixel = area[part][runs.numbers]
        return _Areas(of_pixel, value, size, firsts, final, small, growing & small)

    def _decide(self, areas: _Areas) -> Bool[np.ndarray, " area"]:
        """Write down what small areas become, and return those for which it is not known yet."""
        one, other = _borders(areas)
        missing = areas.value[other] == self._ignore
        one, other = one[~missing], other[~missing]
        unknown = areas.growing.copy()
        # A neighbour that grows may become the larger one.
        unknown[one[areas.growing[other]]] = True
        target = self._targets(areas, one, other)
        onto = np.arange(len(target))
        along = (target >= _CLASSES) & ~unknown
        onto[along] = target[along] - _CLASSES
        while (further := onto[onto] != onto).any():
            onto[further] = onto[onto[further]]
        unknown |= unknown[onto]
        ends = np.where((target >= 0) & (target < _CLASSES), target, areas.value)
        ends = np.where(areas.final >= 0, areas.final, ends)
        decided = areas.small & ~unknown
        areas.final[decided] = ends[onto[decided]]
        neighboured = np.zeros(len(target), dtype=bool)
        neighboured[one] = True
        self.restless |= bool((decided & neighboured & (target < 0)).any())
        return unknown

    def _targets(
        self, areas: _Areas, one: Int64[np.ndarray, " border"], other: Int64[np.ndarray, " border"]
    ) -> Int64[np.ndarray, " area"]:
        """Return what each small area would join: a class, an area (above the classes), or -1 for nothing."""
        large = areas.size[other] >= self._smallest
        greater = (areas.size[other] > areas.size[one]) | (
            (areas.size[other] == areas.size[one]) & (areas.value[other] < areas.value[one])
        )
        chosen = large | greater
        one, other, large = one[chosen], other[chosen], large[chosen]
        code = np.where(large, areas.value[other], _CLASSES + other)
        span = _CLASSES + len(areas.value)
        pairs, lengths = np.unique(one * span + code, return_counts=True)
        one, code = np.divmod(pairs, span)
        single = np.maximum(code - _CLASSES, 0)
        value = np.where(code < _CLASSES, code, areas.value[single])
        size = np.where(code < _CLASSES, self._smallest, areas.size[single])
        # Areas are numbered by their first pixels, so that the code settles the last tie.
        order = np.lexsort((code, -size, value, -lengths, one))
        found, best = np.unique(one[order], return_index=True)
        target = np.full(len(areas.value), -1, dtype=np.int64)
        target[found] = code[order][best]
        return target


def _borders(areas: _Areas) -> tuple[Int64[np.ndarray, " border"], Int64[np.ndarray, " border"]]:
    """Return a small area and its neighbour for every edge between two pixels."""
    pixels, small = areas.of_pixel, areas.small[areas.of_pixel]
    found = []
    for here, there, small_here, small_there in (
        (pixels[:, :-1], pixels[:, 1:], small[:, :-1], small[:, 1:]),
        (pixels[:-1], pixels[1:], small[:-1], small[1:]),
    ):
        where = (here != there) & (small_here | small_there)
        found.append((here[where], there[where]))
    one, other = (np.concatenate(sides) for sides in zip(*found, strict=True))
    both = np.concatenate([one, other]), np.concatenate([other, one])
    asked = areas.small[both[0]]
    return both[0][asked], both[1][asked]
