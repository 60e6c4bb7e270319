"""The sieve, round after round, until no small area is left that a neighbour could take."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from terrazzo.scene.polygons.row_store import RowStore
from terrazzo.scene.polygons.sieve import Sieve

__all__ = ["SieveRounds"]


class SieveRounds:
    """Takes a map row by row; the first round runs meanwhile, further ones over what it has left on the disk.

    Args:
        width: Pixels of a row.
        smallest: Pixels that an area needs to be left alone.
        ignore: Value of missing pixels.
        band_rows: Rows that are looked at together at least.
        folder: Where rows are kept between rounds.
    """

    def __init__(self, width: int, *, smallest: int, ignore: int, band_rows: int, folder: Path) -> None:
        self._width = width
        self._smallest = smallest
        self._ignore = ignore
        self._band_rows = band_rows
        self._folder = folder
        self._sieve = self._new_sieve()
        self._store = RowStore(folder)
        self.rounds = 1
        """Rounds that were begun."""

    def write(self, rows: Shaped[np.ndarray, "y x"]) -> None:
        """Append rows of the map."""
        for decided in self._sieve.feed(rows):
            self._store.append(decided)

    def finish(self) -> Iterator[Shaped[np.ndarray, "y x"]]:
        """Go on until a round leaves nothing to do, and yield all rows."""
        self._end_round()
        while self._sieve.restless:
            self.rounds += 1
            before, self._store, self._sieve = self._store, RowStore(self._folder), self._new_sieve()
            try:
                for rows in before.read():
                    self.write(rows)
            finally:
                before.close()
            self._end_round()
        yield from self._store.read()

    def close(self) -> None:
        """Give the disk back."""
        self._store.close()

    def _end_round(self) -> None:
        for decided in self._sieve.finish():
            self._store.append(decided)

    def _new_sieve(self) -> Sieve:
        return Sieve(self._width, smallest=self._smallest, ignore=self._ignore, band_rows=self._band_rows)
