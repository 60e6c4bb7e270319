"""One scene to map, as plain data that travels to workers on other machines as JSON, and how it is opened."""

import math
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from affine import Affine
from pydantic import Field
from rasterio.crs import CRS

from terrazzo.errors import DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.record import Record
from terrazzo.scene.inputs.area import SceneInArea
from terrazzo.scene.inputs.mosaic import OpenMosaic, Order
from terrazzo.scene.inputs.opened import OpenScene
from terrazzo.scene.inputs.part import OpenPart, ScenePart
from terrazzo.storage import fingerprint

__all__ = ["SceneEntry", "SceneGrid"]


class SceneGrid(Record):
    """A grid as plain data."""

    crs: str | None
    """Coordinate reference system: an authority's code or WKT; None where there is none."""
    transform: tuple[float, float, float, float, float, float]
    """The numbers a, b, c, d, e, f of the affine map from (column, row) to coordinates."""
    height: Annotated[int, Field(ge=1)]
    """Rows."""
    width: Annotated[int, Field(ge=1)]
    """Columns."""

    @classmethod
    def of(cls, grid: Grid) -> "SceneGrid":
        """Return a grid as plain data."""
        a, b, c, d, e, f = tuple(grid.transform)[:6]
        return cls(crs=_text(grid.crs), transform=(a, b, c, d, e, f), height=grid.height, width=grid.width)

    def grid(self) -> Grid:
        """Return the grid itself."""
        return _grid(self)


@lru_cache(maxsize=64)
def _grid(frame: SceneGrid) -> Grid:
    """Keep grids beside their records: to parse a reference system takes long, and a copy of a record may change it."""
    crs = CRS.from_user_input(frame.crs) if frame.crs else None
    return Grid(crs, Affine(*frame.transform), frame.height, frame.width)


class SceneEntry(Record):
    """One scene: what its map is called, where its pixels lie, and what they are read from."""

    name: Annotated[str, Field(min_length=1)]
    """Name of its map, without suffix."""
    path: Annotated[str, Field(min_length=1)]
    """What it was found as: a file, a SAFE folder, an address or a pattern; messages call it so."""
    frame: SceneGrid
    """Where its pixels, and so the map's, lie."""
    bands: Bands
    """All bands that it offers."""
    parts: Annotated[tuple[ScenePart, ...], Field(min_length=1)]
    """The pictures that it consists of, in the order in which they were given."""
    order: Order = "first"
    """Which of the pictures that cover a pixel is seen."""
    area: Path | None = None
    """Vector file outside of whose polygons nothing is mapped."""
    own_grid: bool = True
    """Whether its grid is that of its one file, so that all that the file says of its place holds for the map."""
    notes: tuple[str, ...] = ()
    """Sentences that a user should read, such as files that are resampled."""

    @property
    def grid(self) -> Grid:
        """Where its pixels lie."""
        return self.frame.grid()

    @property
    def files(self) -> tuple[str, ...]:
        """All files and addresses that it is read from."""
        parts = [file for part in self.parts for file in part.files]
        masks = [str(part.mask.file) for part in self.parts if part.mask is not None]
        return (*parts, *masks, *(() if self.area is None else (str(self.area),)))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that is said here; not of any pixel."""
        return fingerprint(self.model_dump(mode="json"))

    def open(self) -> OpenScene:
        """Open the scene for one thread.

        Raises:
            DataError: A file is missing or damaged.
        """
        only = self.parts[0]
        if len(self.parts) == 1 and only.window == self.grid.whole:
            opened: OpenScene = OpenPart(only, self.grid, path=self.path)
        else:
            opened = OpenMosaic(self.parts, self.bands, self.grid, order=self.order, path=self.path)
        return opened if self.area is None else SceneInArea(opened, self.area)

    def at_resolution(self, metres: float) -> "SceneEntry":
        """Return the scene with square pixels of another size over the same place.

        Args:
            metres: Side of a pixel; in a system of degrees that at the scene's centre.

        Raises:
            DataError: The scene has no coordinate reference system, or one of no known unit.
        """
        before = self.grid
        if before.resolution_m is None:
            raise DataError(
                f"{self.path} does not say how large its pixels are: it has no coordinate reference system of known "
                "unit; give it one, or set predict.resolution to warn."
            )
        after = before.at_resolution(metres)
        if after == before:
            return self
        scale = ~after.transform @ before.transform
        parts = [part.model_copy(update={"window": _scaled(part.window, scale, after)}) for part in self.parts]
        return self.model_copy(update={"frame": SceneGrid.of(after), "parts": tuple(parts), "own_grid": False})


def _scaled(window: Window, scale: Affine, grid: Grid) -> Window:
    """Return the pixels of another grid over the same place that a window touches."""
    # A millionth of a pixel is rounding.
    left, top = (math.floor(place + 1e-6) for place in scale @ (window.x, window.y))
    right, bottom = (math.ceil(place - 1e-6) for place in scale @ (window.x + window.width, window.y + window.height))
    return Window(top, left, max(bottom - top, 1), max(right - left, 1)).intersection(grid.whole)


def _text(crs: CRS | None) -> str | None:
    """Return a code that stands for all of a reference system, or its WKT."""
    if crs is None:
        return None
    code: str = crs.to_string()
    return code if code.startswith("EPSG:") and CRS.from_user_input(code) == crs else str(crs.to_wkt())
