"""What several areas have in common."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool
from pydantic import Field

from terrazzo.data.areas.area import AREAS, Area, AreaReader
from terrazzo.geo.grid import Grid, Window
from terrazzo.record import family

__all__ = ["IntersectionArea"]


class IntersectionArea(Area):
    """Pixels that lie in every one of several areas."""

    name: Literal["intersection"] = "intersection"
    areas: Annotated[tuple[Annotated[Area, family(AREAS)], ...], Field(min_length=1)]
    """The areas."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of all of them."""
        return tuple(path for area in self.areas for path in area.files)

    def open(self, grid: Grid) -> AreaReader:
        """Open all of them for an image's grid.

        Raises:
            DataError: A file is missing or damaged.
        """
        return _Intersection(tuple(area.open(grid) for area in self.areas))


class _Intersection(AreaReader):
    """Several areas, opened."""

    def __init__(self, readers: tuple[AreaReader, ...]) -> None:
        self._readers = readers

    def inside(self, window: Window) -> Bool[np.ndarray, "y x"]:
        """Return which pixels of a window lie in all of the areas."""
        found = self._readers[0].inside(window)
        for reader in self._readers[1:]:
            if not found.any():
                break
            found = found & reader.inside(window)
        return found
