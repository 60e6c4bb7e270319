"""Vector files: the shapes that lie on a grid, in its coordinate reference system, with their attributes as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyproj
import shapely
from jaxtyping import Float64, Int64, Shaped
from pyproj.exceptions import CRSError, ProjError

from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid
from terrazzo.geo.layers import Bounds, open_layer, read_layer
from terrazzo.geo.shapes import Geometries, area_m2, clean, crs_of, reproject, same_crs, tolerance_of
from terrazzo.record import nearest

__all__ = ["EMPTY_TEXT", "Shapes", "Survey", "VectorFile", "text_of"]

EMPTY_TEXT = "(empty)"
"""Text of an attribute that holds nothing."""

BORDER = 2
"""Pixels around a grid within which shapes are read: one that touches the border pixel is never missed by rounding."""

STRETCH = 4.0
"""How many times shorter a metre may be on the ground than on the grid: Web Mercator's at 75 degrees."""


def text_of(value: object) -> str:
    """Return an attribute as text: whole numbers without decimals, `(empty)` for nothing.

    >>> [text_of(value) for value in (3, 3.0, "3", 2.5, None, float("nan"), "", True)]
    ['3', '3', '3', '2.5', '(empty)', '(empty)', '(empty)', 'true']
    """
    if isinstance(value, np.generic):
        value = value.item()
    # NaN and its kin are the values that differ from themselves.
    if value is None or value != value or value == "":
        return EMPTY_TEXT
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@dataclass(frozen=True)
class Shapes:
    """Shapes that may touch a grid, in its coordinate reference system, in the order of their file.

    Attributes:
        geometries: Valid, none empty, of two dimensions.
        texts: For each field that was asked for, the attribute of each shape as text.
        areas_m2: Area of each whole shape in square metres, as it was before anything was cut off.
    """

    geometries: Geometries
    texts: Mapping[str, Shaped[np.ndarray, " shape"]]
    areas_m2: Float64[np.ndarray, " shape"]

    def __len__(self) -> int:
        return len(self.geometries)


@dataclass(frozen=True)
class Survey:
    """What a whole layer holds.

    Attributes:
        shapes: Features.
        skipped: Features without geometry, or with an empty one.
        repaired: Features whose geometry is invalid and is repaired as it is read.
    """

    shapes: int
    skipped: int
    repaired: int


class VectorFile:
    """One layer of a vector file.

    Args:
        path: File.
        layer: Name of the layer; None where the file has one.

    Raises:
        DataError: The file is missing, damaged or no vector file; there is no such layer, or several and none is named;
            it has no coordinate reference system.
    """

    def __init__(self, path: str | Path, layer: str | None = None) -> None:
        self.path = Path(path)
        self._layer = open_layer(self.path, layer)
        if self._layer.crs is None:
            raise DataError(
                f"{self.path} has no coordinate reference system, so that its shapes have no place; write it again "
                "with one (a shapefile has it in a .prj beside it)."
            )

    @cached_property
    def crs(self) -> pyproj.CRS:
        """Coordinate reference system.

        Raises:
            DataError: It cannot be understood.
        """
        try:
            return pyproj.CRS.from_user_input(self._layer.crs)
        except CRSError as error:
            raise DataError(f"{self.path} has a coordinate reference system that cannot be read: {error}.") from error

    @property
    def layer(self) -> str | None:
        """Name of the layer; None in GeoParquet, which has none."""
        return self._layer.name

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the attributes."""
        return self._layer.fields

    @property
    def place(self) -> str:
        """Where its shapes lie, for messages."""
        bounds = self._layer.bounds
        if bounds is None:
            return f"{self.path} holds {self._layer.count} shapes"
        return f"{self.path} reaches over {', '.join(f'{number:.10g}' for number in bounds)} in {self.crs.name}"

    def require_field(self, name: str) -> None:
        """Refuse a field that is not there.

        Raises:
            DataError: It is not; with the ones that are.
        """
        if name not in self.fields:
            known = ", ".join(self.fields) or "none"
            raise DataError(f'{self.path} has no field "{name}"; it has {known}.{nearest(name, list(self.fields))}')

    def read(self, grid: Grid, fields: Sequence[str] = (), *, reach_m: float = 0.0) -> Shapes:
        """Read the shapes that may touch a grid.

        Args:
            grid: Of an image.
            fields: Attributes to read.
            reach_m: Metres by which lines and points will be widened on each side.

        Raises:
            DataError: The file is damaged, a field is missing, or nothing leads from its coordinate reference system to
                the grid's.
        """
        for name in fields:
            self.require_field(name)
        there = crs_of(grid)
        around = _around(grid, reach_m)
        wanted = _moved(around, there, self.crs)
        table = read_layer(self._layer, fields, wanted)
        rows = np.arange(len(table.geometries)) if wanted is None else _near(table.geometries, wanted)
        found = clean(table.geometries[rows])
        rows, geometries = rows[found.rows], found.geometries
        areas = area_m2(geometries, self.crs)
        if wanted is not None:
            geometries = _trimmed(geometries, wanted)
        geometries = reproject(geometries, self.crs, there, tolerance=tolerance_of(grid))
        near = shapely.intersects(geometries, shapely.box(*around))
        texts = {name: _texts(table.columns[name][rows[near]]) for name in fields}
        return Shapes(geometries[near], texts, areas[near])

    def distinct(self, field: str) -> tuple[str, ...]:
        """Return what a field says anywhere in the layer, as text, sorted.

        Raises:
            DataError: The file is damaged, or the field is missing.
        """
        self.require_field(field)
        return tuple(sorted(set(_texts(read_layer(self._layer, (field,), None).columns[field]))))

    def may_touch(self, grid: Grid) -> bool:
        """Return whether a shape may lie on a grid, by the bounds of the whole layer.

        Bounds in the header of a GeoPackage may be rounded or stale, so that its index has the last word.

        Raises:
            DataError: The grid has no coordinate reference system.
        """
        bounds = self._layer.bounds
        if bounds is None:
            return self._layer.count > 0
        wanted = _moved(_around(grid, 0.0), crs_of(grid), self.crs)
        if wanted is None or shapely.box(*bounds).intersects(shapely.box(*wanted)):
            return True
        return self._layer.indexed and len(read_layer(self._layer, (), wanted).geometries) > 0

    def survey(self) -> Survey:
        """Look at every shape once, a part of the file at a time.

        Raises:
            DataError: The file is damaged.
        """
        shapes = skipped = repaired = 0
        for geometries in self._layer.parts():
            found = clean(geometries)
            shapes += len(geometries)
            skipped += found.skipped
            repaired += found.repaired
        return Survey(shapes, skipped, repaired)


def _texts(values: Shaped[np.ndarray, " shape"]) -> Shaped[np.ndarray, " shape"]:
    return np.array([text_of(value) for value in values], dtype=object)


def _around(grid: Grid, reach_m: float) -> Bounds:
    """Return the bounds of a grid with a border, in its own coordinates."""
    pixel = max(grid.resolution)
    metres = grid.resolution_m
    border = pixel * BORDER
    if metres is not None:
        # A unit is shorter than the mean pixel says along one axis, or in the north: too wide a border only reads more.
        border += STRETCH * reach_m * pixel / metres
    left, bottom, right, top = grid.bounds
    return left - border, bottom - border, right + border, top + border


def _moved(bounds: Bounds, here: pyproj.CRS, there: pyproj.CRS) -> Bounds | None:
    """Return the rectangle around bounds in another system; None where that would be no single rectangle."""
    if same_crs(here, there):
        return bounds
    try:
        transformer = pyproj.Transformer.from_crs(here, there, always_xy=True)
        left, bottom, right, top = transformer.transform_bounds(*bounds)
    except ProjError as error:
        raise DataError(f"nothing leads from {here.name} to {there.name}: {error}.") from error
    # Across the antimeridian the left bound is the larger one.
    if not np.isfinite((left, bottom, right, top)).all() or left > right:
        return None
    wider, taller = 0.02 * (right - left), 0.02 * (top - bottom)
    return left - wider, bottom - taller, right + wider, top + taller


def _near(geometries: Geometries, wanted: Bounds) -> Int64[np.ndarray, " near"]:
    """Return the rows whose bounds meet what is wanted: a file without index holds every shape of a country."""
    bounds = shapely.bounds(geometries).reshape(-1, 4)
    left, bottom, right, top = wanted
    # Comparisons with the bounds of nothing, NaN, are false.
    across = (bounds[:, 0] <= right) & (bounds[:, 2] >= left)
    along = (bounds[:, 1] <= top) & (bounds[:, 3] >= bottom)
    return np.flatnonzero(across & along)


def _trimmed(geometries: Geometries, wanted: Bounds) -> Geometries:
    """Cut off what lies far outside: a country around a village has no place in the village's projection.

    The cut runs one width and height outside of what is wanted, so that no edge there is moved.
    """
    left, bottom, right, top = wanted
    wide, tall = right - left, top - bottom
    frame = np.array([left - wide, bottom - tall, right + wide, top + tall])
    bounds = shapely.bounds(geometries).reshape(-1, 4)
    out = (bounds[:, :2] < frame[:2]).any(axis=1) | (bounds[:, 2:] > frame[2:]).any(axis=1)
    trimmed = geometries.copy()
    trimmed[out] = shapely.intersection(geometries[out], shapely.box(*frame))
    return trimmed
