"""The part of an image that lies inside polygons of a vector file."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import shapely
from jaxtyping import Bool
from pydantic import Field, model_validator

from terrazzo.data.areas.area import Area, AreaReader
from terrazzo.geo.burning import Burner
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.side_files import files_of
from terrazzo.geo.vector import VectorFile

__all__ = ["PolygonArea"]


class PolygonArea(Area):
    """Pixels whose centre lies inside a polygon; lines and points enclose nothing."""

    name: Literal["polygons"] = "polygons"
    """Name of this kind."""
    vectors: Annotated[tuple[Path, ...], Field(min_length=1)]
    """Vector files, in any coordinate reference system."""
    layer: str | None = None
    """Layer of the files; needed where a file has several."""
    field: str | None = None
    """Field that says which polygons count; all if not given."""
    values: tuple[str, ...] = ()
    """What the field says of the polygons that count, as text; whole numbers without decimals."""

    @model_validator(mode="after")
    def _field_and_values(self) -> "PolygonArea":
        if (self.field is None) != (not self.values):
            raise ValueError("give both `field` and `values`, or neither")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """The vector files, with what lies beside a shapefile."""
        return tuple(file for path in self.vectors for file in files_of(path))

    def open(self, grid: Grid) -> AreaReader:
        """Read the polygons around an image's grid.

        Raises:
            DataError: A file is missing or damaged; a layer or the field is missing; the file or the image has no
                coordinate reference system.
        """
        fields = () if self.field is None else (self.field,)
        found = []
        for path in self.vectors:
            shapes = VectorFile(path, self.layer).read(grid, fields)
            chosen = shapely.get_dimensions(shapes.geometries) == 2
            if self.field is not None:
                chosen &= np.isin(shapes.texts[self.field].astype(str), self.values)
            found.append(shapes.geometries[chosen])
        geometries = np.concatenate(found)
        return _PolygonReader(Burner(grid, geometries, np.ones(len(geometries), dtype=np.int64)))


class _PolygonReader(AreaReader):
    """Polygons on the grid of an image."""

    def __init__(self, burner: Burner) -> None:
        self._burner = burner

    def inside(self, window: Window) -> Bool[np.ndarray, "y x"]:
        """Return which pixels of a window that lies inside the grid have their centre in a polygon."""
        found: Bool[np.ndarray, "y x"] = self._burner.read(window) > 0
        return found

    def touches(self, window: Window) -> bool:
        """Return whether a pixel of the window has its centre in a polygon."""
        return self._burner.touches(window)
