"""An image that is passed again and again: its rows are read once, and which windows count is asked once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from terrazzo.geo.raster import Raster
from terrazzo.scene.reader import RowSource, Unreadable

__all__ = ["KeptRows", "Wanted"]


class KeptRows:
    """Rows of a scene that are read once and kept."""

    def __init__(self, source: RowSource) -> None:
        self._source = source
        self._parts: dict[tuple[int, int], list[Raster]] = {}

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        """Yield rows; every pass asks for the same."""
        key = (top, bottom)
        if key not in self._parts:
            self._parts[key] = list(self._source.rows(top, bottom))
        yield from self._parts[key]

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        """Return what could not be read."""
        return self._source.take_unreadable()


@dataclass
class Wanted:
    """Remembers which windows count."""

    ask: Callable[[slice, slice], bool]
    known: dict[tuple[int, int, int, int], bool] = field(default_factory=dict)

    def __call__(self, rows: slice, columns: slice) -> bool:
        """Return whether any pixel of these rows and columns counts."""
        key = (rows.start, rows.stop, columns.start, columns.stop)
        if key not in self.known:
            self.known[key] = self.ask(rows, columns)
        return self.known[key]
