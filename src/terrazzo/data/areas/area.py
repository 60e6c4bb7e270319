"""Which part of an image counts: outside it, labels are ignored."""

from abc import abstractmethod
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from terrazzo.geo.grid import Grid, Window
from terrazzo.record import Component, Table

__all__ = ["AREAS", "Area", "AreaReader"]

AREAS = Table(
    "areas",
    {
        "blocks": "terrazzo.data.areas.blocks:BlockArea",
        "intersection": "terrazzo.data.areas.intersection:IntersectionArea",
        "polygons": "terrazzo.data.areas.polygons:PolygonArea",
    },
)
"""Kinds of areas by name; the catalog names them."""


class AreaReader:
    """An area, opened for the grid of its image."""

    def inside(self, window: Window) -> Bool[np.ndarray, "y x"]:
        """Return which pixels of a window that lies inside the grid are in the area."""
        raise NotImplementedError

    def touches(self, window: Window) -> bool:
        """Return whether a pixel of the window is in the area; patches that do not touch it are not cut."""
        return bool(self.inside(window).any())


class Area(Component):
    """Settings of an area, complete: with the image's grid they are all that reading needs."""

    @property
    @abstractmethod
    def files(self) -> tuple[Path, ...]:
        """Files that it is read from."""

    @abstractmethod
    def open(self, grid: Grid) -> AreaReader:
        """Open it for an image's grid.

        Raises:
            DataError: A file is missing or damaged.
        """
