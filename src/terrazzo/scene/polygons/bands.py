"""Bands: rows of the map that are worked on together, wherever the rows that come in are cut."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

__all__ = ["BandLimits", "BandRows"]


@dataclass(frozen=True)
class BandLimits:
    """What bounds memory.

    Attributes:
        pixels: Pixels of a band at most, one row at least.
        simplified_pixels: The same where borders are simplified: a band's upper and lower border hold corners fast.
        borders: Edges between pixels of different classes of a band, about; one row at least.
        rows: Rows of a band at most.
        memory_points: Points of open rings in memory; more go to the disk.
        parts: Parts that open rings consist of, above which long ones are written again in one part.
    """

    pixels: int = 2**21
    simplified_pixels: int = 2**23
    borders: int = 2**19
    rows: int = 1024
    memory_points: int = 2**20
    parts: int = 2**18


class BandRows:
    """Cuts a map into bands, by what it holds alone.

    Args:
        width: Pixels of a row.
        pixels: Pixels of a band at most, one row at least.
        limits: What else bounds a band.
    """

    def __init__(self, width: int, *, pixels: int, limits: BandLimits) -> None:
        self._most_rows = min(max(pixels // width, 1), limits.rows)
        self._borders = limits.borders
        self._waiting: list[Shaped[np.ndarray, "_ x"]] = []
        self._rows = 0

    def feed(self, rows: Shaped[np.ndarray, "y x"]) -> list[Shaped[np.ndarray, "_ x"]]:
        """Take rows and return the bands that are complete."""
        self._waiting.append(rows)
        self._rows += len(rows)
        return self._cut(least=self._most_rows)

    def finish(self) -> list[Shaped[np.ndarray, "_ x"]]:
        """Return the remaining rows as bands."""
        return self._cut(least=1)

    def _cut(self, *, least: int) -> list[Shaped[np.ndarray, "_ x"]]:
        """Cut off bands while there are so many rows: a band's end depends on no more than it could hold."""
        bands: list[Shaped[np.ndarray, "_ x"]] = []
        if self._rows < least:
            return bands
        rows = np.concatenate(self._waiting)
        while len(rows) >= least:
            end = self._end(rows[: self._most_rows])
            bands.append(rows[:end])
            rows = rows[end:]
        self._waiting, self._rows = [rows], len(rows)
        return bands

    def _end(self, rows: Shaped[np.ndarray, "y x"]) -> int:
        """Return how many rows make a band."""
        borders = np.count_nonzero(rows[:, 1:] != rows[:, :-1], axis=1)
        borders[1:] += np.count_nonzero(rows[1:] != rows[:-1], axis=1)
        fitting = int(np.searchsorted(np.cumsum(borders), self._borders, side="right"))
        return max(fitting, 1)
