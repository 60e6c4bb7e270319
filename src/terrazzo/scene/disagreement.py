"""Where windows contradict each other in what they have in common: a map of it, and the worst places."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np

from terrazzo.record import Record
from terrazzo.scene.assemble import Seam
from terrazzo.scene.coarse import CoarseRaster
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.strip_file import StripRecord

__all__ = ["Disagreement", "WorstPlace", "measure_disagreement"]

MOST_CELLS = 64
"""Cells of the map along its longer side."""
WORST_PLACES = 10
LEAST_SHARE = 0.25
"""Of the usual pixels of a fade: with fewer that were measured, a share of them says little."""


class WorstPlace(Record):
    """A fade between two windows that choose different classes."""

    side: Literal["left", "above"]
    """Where the earlier of the two windows lies."""
    y: int
    """Row of pixels at the fade's middle."""
    x: int
    """Column of pixels at the fade's middle."""
    place: tuple[float, float] | None
    """The same in the scene's coordinate reference system; None without one."""
    share: float
    """Share of pixels for which the classes differ, 0..1."""
    compared: int
    """Pixels in common."""


class Disagreement(Record):
    """How far windows agree where one fades into the other."""

    differing: int
    """Pixels for which the classes of two windows differ."""
    compared: int
    """Pixels that two windows have in common; a pixel of two fades counts twice."""
    map: CoarseRaster | None
    """Share of differing pixels in the fades of each window, or of each square of windows; None without fades."""
    windows_a_cell: int
    """Windows along a side of such a square."""
    worst: tuple[WorstPlace, ...]
    """The fades with the largest shares, the worst first; none of those that lie between two strips unless told apart
    by window."""

    @property
    def share(self) -> float | None:
        """Share of differing pixels, 0..1; None where windows have nothing in common."""
        return self.differing / self.compared if self.compared else None


class _Fade(NamedTuple):
    """What two windows have in common."""

    row: int
    column: int | None
    side: Literal["left", "above"]
    differing: int
    compared: int


def measure_disagreement(plan: ScenePlan, records: Mapping[int, StripRecord], seams: Iterable[Seam]) -> Disagreement:
    """Return how far windows agree, inside strips and between them.

    Args:
        plan: How the scene was cut.
        records: Every strip's.
        seams: How the two sides of each border between strips agree.
    """
    fades = [*_inside(records), *(_Fade(one.row, one.column, "above", one.differing, one.compared) for one in seams)]
    factor = max(1, -(-max(len(plan.rows), len(plan.columns)) // MOST_CELLS))
    shape = (-(-len(plan.rows) // factor), -(-len(plan.columns) // factor))
    counts = np.zeros((2, *shape))
    for fade in fades:
        columns = range(len(plan.columns)) if fade.column is None else (fade.column,)
        both = np.array([fade.differing, fade.compared]) / len(columns)
        for column in columns:
            counts[:, fade.row // factor, column // factor] += both
            other = (fade.row - 1, column) if fade.side == "above" else (fade.row, column - 1)
            counts[:, other[0] // factor, other[1] // factor] += both
    compared = sum(fade.compared for fade in fades)
    with np.errstate(invalid="ignore"):
        shares = counts[0] / np.where(counts[1] > 0, counts[1], np.nan)
    return Disagreement(
        differing=sum(fade.differing for fade in fades),
        compared=compared,
        map=CoarseRaster.of(shares) if compared else None,
        windows_a_cell=factor,
        worst=tuple(_worst(plan, fades)),
    )


def _inside(records: Mapping[int, StripRecord]) -> Iterator[_Fade]:
    """Yield the fades that lie within strips."""
    for _, record in sorted(records.items()):
        for row, column, side, differing, compared in record.figures.agreements:
            yield _Fade(row, column, "left" if side == "left" else "above", differing, compared)


def _worst(plan: ScenePlan, fades: list[_Fade]) -> Iterator[WorstPlace]:
    single = [fade for fade in fades if fade.column is not None and fade.compared]
    if not single:
        return
    least = LEAST_SHARE * float(np.median([fade.compared for fade in single]))
    telling = [fade for fade in single if fade.differing and fade.compared >= least]
    found = heapq.nlargest(WORST_PLACES, telling, key=lambda fade: (fade.differing / fade.compared, fade.compared))
    for fade in found:
        column = fade.column or 0
        if fade.side == "left":
            down, across = plan.rows.used(fade.row), plan.columns.fades[column - 1]
        else:
            down, across = plan.rows.fades[fade.row - 1], plan.columns.used(column)
        y, x = (down.start + down.stop) // 2, (across.start + across.stop) // 2
        place = plan.grid.transform @ (x + 0.5, y + 0.5) if plan.grid.crs is not None else None
        yield WorstPlace(
            side=fade.side, y=y, x=x, place=place, share=fade.differing / fade.compared, compared=fade.compared
        )
