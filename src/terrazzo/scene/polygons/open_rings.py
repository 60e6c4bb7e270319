"""Rings of areas that may still grow: pieces of borders, joined as bands of the map come in.

A piece begins and ends at a join, a number that the piece before it ends with and the one after it begins with. There
are two kinds. Where an edge leaves a band, the next piece lies in a band below. Where four pixels meet crosswise and
two opposite ones have one value, a ring either turns there or goes straight across; it must cross where both pixels
belong to one area, or it would touch itself. As long as both areas are open this is not known.
"""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from terrazzo.errors import StorageError
from terrazzo.scene.polygons.chains import chains_of, ranges
from terrazzo.scene.polygons.point_store import PointStore
from terrazzo.scene.polygons.rings import NO_JOIN, Pieces, Rings, selected

__all__ = ["OpenRings"]

_CROSSING = 2
"""Bit of joins at which a ring may cross; the lowest bit tells the two that meet there apart."""


@dataclass(frozen=True)
class _Rows:
    """Pieces, each a list of parts in the store."""

    start: Int64[np.ndarray, " row"]
    end: Int64[np.ndarray, " row"]
    area: Int64[np.ndarray, " row"]
    signed: Int64[np.ndarray, " row"]
    first: Int64[np.ndarray, " row"]
    last: Int64[np.ndarray, " row"]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class _Parts:
    """Stretches of the store, and the part that follows each in its piece."""

    position: Int64[np.ndarray, " part"]
    count: Int64[np.ndarray, " part"]
    following: Int64[np.ndarray, " part"]
    area: Int64[np.ndarray, " part"]

    def __len__(self) -> int:
        return len(self.position)


_Columns = TypeVar("_Columns", _Rows, _Parts)

_NO_ROWS = _Rows(*(np.zeros(0, np.int64) for _ in fields(_Rows)))
_NO_PARTS = _Parts(*(np.zeros(0, np.int64) for _ in fields(_Parts)))


class OpenRings:
    """Rings of open areas. Memory is that of their number and of the store, not of their length.

    Args:
        store: Takes their points.
        most_parts: Parts above which pieces are written again in one part each.
    """

    def __init__(self, store: PointStore, *, most_parts: int) -> None:
        self._store = store
        self._rows = _NO_ROWS
        self._parts = _NO_PARTS
        self._least_parts = most_parts
        self._most_parts = most_parts

    def advance(
        self, pieces: Pieces, moved: Int64[np.ndarray, " before"], still_open: Int64[np.ndarray, " area"]
    ) -> Rings:
        """Take the pieces of a band and give back the rings of areas that are complete.

        Args:
            pieces: Of the band.
            moved: The area that each formerly open one has become.
            still_open: Position of each area among those that stay open; -1 where it is complete.
        """
        self._rows = replace(self._rows, area=moved[self._rows.area])
        self._parts = replace(self._parts, area=moved[self._parts.area])
        ready = (pieces.start == NO_JOIN) & (still_open[pieces.area] < 0)
        self._add(selected(pieces, ~ready))
        self._join(still_open < 0)
        stored = self._take(still_open < 0)
        self._rows = replace(self._rows, area=still_open[self._rows.area])
        self._parts = replace(self._parts, area=still_open[self._parts.area])
        if len(self._parts) > self._most_parts:
            self._gather()
        whole = selected(pieces, ready)
        return Rings(
            np.concatenate([whole.area, stored.area]),
            np.concatenate([whole.signed, stored.signed]),
            np.concatenate([whole.counts, stored.counts]),
            np.concatenate([whole.points, stored.points]),
        )

    def _add(self, pieces: Pieces) -> None:
        position = self._store.append(pieces.points) + np.cumsum(pieces.counts) - pieces.counts
        numbers = len(self._parts) + np.arange(len(pieces.start))
        new = _Parts(position, pieces.counts, np.full(len(numbers), -1), pieces.area)
        self._parts = _joined(self._parts, new)
        self._rows = _joined(self._rows, _Rows(pieces.start, pieces.end, pieces.area, pieces.signed, numbers, numbers))

    def _join(self, complete: Bool[np.ndarray, " area"]) -> None:
        """Link rows at the joins that are decided."""
        ring = self._rows.start == NO_JOIN
        rings, rows = _chosen(self._rows, ring), _chosen(self._rows, ~ring)
        if not len(rows):
            return
        chains = chains_of(_followers(rows, complete))
        inner = np.ones(len(rows), dtype=bool)
        inner[chains.begins[1:] - 1] = False
        before, after = chains.order[:-1][inner[:-1]], chains.order[1:][inner[:-1]]
        self._parts.following[rows.last[before]] = rows.first[after]
        heads, tails = chains.heads, chains.tails
        joined = _Rows(
            np.where(chains.closed, NO_JOIN, rows.start[heads]),
            np.where(chains.closed, NO_JOIN, rows.end[tails]),
            rows.area[heads],
            np.add.reduceat(rows.signed[chains.order], chains.begins[:-1]),
            rows.first[heads],
            rows.last[tails],
        )
        self._rows = _joined(rings, joined)

    def _take(self, complete: Bool[np.ndarray, " area"]) -> Rings:
        """Remove the rings of complete areas."""
        done = complete[self._rows.area]
        rows = _chosen(self._rows, done)
        if (rows.start != NO_JOIN).any():
            raise StorageError("A complete area has an open border: this is an error in Terrazzo.")
        in_done = complete[self._parts.area]
        chosen = np.flatnonzero(in_done)
        order, sizes = self._in_order(rows, chosen)
        parts = _chosen(self._parts, order)
        counts = np.add.reduceat(np.append(parts.count, 0), np.cumsum(sizes) - sizes)[: len(sizes)]
        points = self._store.read(parts.position, parts.count)
        self._rows = _chosen(self._rows, ~done)
        self._forget(~in_done)
        return Rings(rows.area, rows.signed, counts, points)

    def _in_order(
        self, rows: _Rows, chosen: Int64[np.ndarray, " chosen"]
    ) -> tuple[Int64[np.ndarray, " chosen"], Int64[np.ndarray, " row"]]:
        """Return the parts of rows in the order of their borders, and how many each row has."""
        place = np.full(len(self._parts) + 1, -1, dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        chains = chains_of(place[self._parts.following[chosen]])
        # Chains come by their first element; rows by theirs.
        number = np.argsort(np.argsort(place[rows.first]))
        where = chains.begins[:-1][number]
        sizes = chains.lengths[number]
        order = chosen[chains.order[ranges(where, sizes)]]
        return order, sizes

    def _forget(self, kept: Bool[np.ndarray, " part"]) -> None:
        """Remove parts and number the others anew."""
        place = np.append(np.cumsum(kept) - 1, -1)
        parts = _chosen(self._parts, kept)
        self._parts = replace(parts, following=place[parts.following])
        self._rows = replace(self._rows, first=place[self._rows.first], last=place[self._rows.last])

    def _gather(self) -> None:
        """Write each row's points again, in one part: a long border is not known by more and more parts."""
        rows = self._rows
        order, sizes = self._in_order(rows, np.arange(len(self._parts)))
        parts = _chosen(self._parts, order)
        begins = np.cumsum(sizes) - sizes
        counts = np.add.reduceat(parts.count, begins)
        several = np.repeat(sizes > 1, sizes)
        moving = _chosen(parts, several)
        position = parts.position[begins]
        moved = sizes > 1
        position[moved] = len(self._store) + np.cumsum(counts[moved]) - counts[moved]
        done = 0
        while done < len(moving):
            # Some parts at a time, at least one.
            upto = done + max(1, int(np.searchsorted(np.cumsum(moving.count[done : done + 65536]), 2**20)))
            self._store.append(self._store.read(moving.position[done:upto], moving.count[done:upto]))
            done = upto
        self._parts = _Parts(position, counts, np.full(len(rows), -1), rows.area)
        numbers = np.arange(len(rows))
        self._rows = replace(rows, first=numbers, last=numbers)
        self._most_parts = max(self._least_parts, 2 * len(rows))


def _followers(rows: _Rows, complete: Bool[np.ndarray, " area"]) -> Int64[np.ndarray, " row"]:
    """Return the row that follows each; -1 where that is not known."""
    by_start = np.argsort(rows.start)
    straight = _starting_with(rows.end, rows.start, by_start)
    crossing = (rows.end & _CROSSING).astype(bool)
    # All four pieces of a crossing are there from the same band on, until it is decided.
    across = _starting_with(np.where(crossing, rows.end ^ 1, rows.end), rows.start, by_start)
    same = crossing & (rows.area[across] == rows.area)
    decided = ~crossing | same | complete[rows.area] | complete[rows.area[across]]
    return np.where(decided, np.where(same, across, straight), -1)


def _starting_with(
    joins: Int64[np.ndarray, " row"], starts: Int64[np.ndarray, " row"], by_start: Int64[np.ndarray, " row"]
) -> Int64[np.ndarray, " row"]:
    """Return the row that begins with each join; -1 where none does yet."""
    place = np.minimum(np.searchsorted(starts, joins, sorter=by_start), len(starts) - 1)
    row = by_start[place]
    return np.where(starts[row] == joins, row, -1)


def _chosen(columns: _Columns, chosen: Shaped[np.ndarray, " chosen"]) -> _Columns:
    """Return some rows."""
    return type(columns)(*(getattr(columns, field.name)[chosen] for field in fields(columns)))


def _joined(one: _Columns, other: _Columns) -> _Columns:
    """Return the rows of both."""
    return type(one)(*(np.concatenate([getattr(one, field.name), getattr(other, field.name)]) for field in fields(one)))
