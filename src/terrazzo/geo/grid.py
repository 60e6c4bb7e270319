"""Where pixels lie: a grid of a coordinate reference system, an affine transform and a size, and windows on it.

Order is always (y, x). Windows may reach outside their grid; whoever reads decides what stands there.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from terrazzo.errors import ConfigError, DataError

__all__ = ["LARGEST_SHIFT", "Grid", "Window", "starts"]

LARGEST_SHIFT = 0.01
"""Pixels by which the corners of one grid may differ between files: rounding, far below half a pixel."""

_EARTH_RADIUS_M = 6_371_000


class Window(NamedTuple):
    """A rectangle of pixels: upper left corner and size.

    >>> Window(0, 0, 4, 4).intersection(Window(2, 3, 4, 4))
    Window(y=2, x=3, height=2, width=1)
    """

    y: int
    x: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices (y, x) for an array whose origin is the grid's."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def intersection(self, other: "Window") -> "Window":
        """Return the common part; its height and width are 0 where there is none."""
        y, x = max(self.y, other.y), max(self.x, other.x)
        bottom = min(self.y + self.height, other.y + other.height)
        right = min(self.x + self.width, other.x + other.width)
        return Window(y, x, max(bottom - y, 0), max(right - x, 0))

    def inside(self, outer: "Window") -> tuple[slice, slice]:
        """Slices of this window in an array that holds `outer`."""
        return Window(self.y - outer.y, self.x - outer.x, self.height, self.width).slices


@dataclass(frozen=True)
class Grid:
    """A raster's frame.

    Attributes:
        crs: Coordinate reference system; None where the raster has none.
        transform: Affine map from (column, row) to coordinates.
        height: Rows.
        width: Columns.
    """

    crs: CRS | None
    transform: Affine
    height: int
    width: int

    @property
    def whole(self) -> Window:
        """The window of all pixels."""
        return Window(0, 0, self.height, self.width)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in the units of the coordinate reference system."""
        corners = [self.transform @ (x, y) for x in (0, self.width) for y in (0, self.height)]
        xs, ys = [corner[0] for corner in corners], [corner[1] for corner in corners]
        return min(xs), min(ys), max(xs), max(ys)

    def describe_bounds(self) -> str:
        """Return one phrase for messages.

        >>> Grid(CRS.from_epsg(32633), Affine(2, 0, 500, 0, -2, 900), height=3, width=4).describe_bounds()
        'x 500 to 508, y 894 to 900 in EPSG:32633'
        """
        left, bottom, right, top = self.bounds
        where = f" in {self.crs.to_string()}" if self.crs else ""
        return f"x {left:.10g} to {right:.10g}, y {bottom:.10g} to {top:.10g}{where}"

    @property
    def resolution(self) -> tuple[float, float]:
        """Pixel size (y, x) in the units of the coordinate reference system."""
        return float(np.hypot(self.transform.b, self.transform.e)), float(np.hypot(self.transform.a, self.transform.d))

    @property
    def resolution_m(self) -> float | None:
        """Mean pixel size in metres; None without a coordinate reference system, or with one of no known unit.

        Where the system counts in degrees, the size at the grid's centre on a sphere of 6,371 km radius.
        """
        if self.crs is None:
            return None
        metres = self._metres_a_unit
        if metres is None:
            return None
        along_y, along_x = self.resolution
        return (metres[0] * along_y + metres[1] * along_x) / 2

    @property
    def _metres_a_unit(self) -> tuple[float, float] | None:
        """Metres of one unit of the coordinate reference system along y and x, at the grid's centre."""
        if self.crs is None:
            return None
        if self.crs.is_geographic:
            _, bottom, _, top = self.bounds
            degree = math.radians(1) * _EARTH_RADIUS_M
            return degree, degree * math.cos(math.radians((bottom + top) / 2))
        if not self.crs.is_projected:
            return None
        _, factor = self.crs.linear_units_factor
        return float(factor), float(factor)

    def shift(self, other: "Grid") -> float:
        """Return how many pixels of this grid the corners lie apart at most; infinite where size or system differ."""
        if (self.height, self.width) != (other.height, other.width) or self.crs != other.crs:
            return math.inf
        back = ~self.transform @ other.transform
        corners = [(x, y) for x in (0, self.width) for y in (0, self.height)]
        return max(math.dist(back @ corner, corner) for corner in corners)

    def same_pixels(self, other: "Grid") -> bool:
        """Return whether both have the same pixels but for rounding in their files."""
        return self.shift(other) <= LARGEST_SHIFT

    def at_resolution(self, metres: float) -> "Grid":
        """Return a grid over the same place, in the same directions, with square pixels of another size.

        The upper left corner stays; the lower right one moves by half a pixel at most.

        Args:
            metres: Side of a pixel; in a system of degrees that at the grid's centre.

        Raises:
            DataError: The grid has no coordinate reference system, or one of no known unit.
        """
        unit = self._metres_a_unit
        if unit is None:
            raise DataError(
                "pixels have no size in metres without a coordinate reference system of known unit; remove "
                "data.resolution_m, or give the raster its coordinate reference system."
            )
        # How far one pixel of this grid goes, in metres, along columns and along rows.
        down = math.hypot(self.transform.b * unit[1], self.transform.e * unit[0])
        right = math.hypot(self.transform.a * unit[1], self.transform.d * unit[0])
        factors = metres / down, metres / right
        if all(abs(factor - 1) * length <= LARGEST_SHIFT for factor, length in zip(factors, self.shape, strict=True)):
            return self
        height, width = (max(round(length / factor), 1) for length, factor in zip(self.shape, factors, strict=True))
        return Grid(self.crs, self.transform @ Affine.scale(factors[1], factors[0]), height, width)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    def window(self, window: Window) -> "Grid":
        """Return the grid of a window."""
        moved = self.transform @ Affine.translation(window.x, window.y)
        return replace(self, transform=moved, height=window.height, width=window.width)

    def tiles(self, size: int, *, stride: int | None = None) -> Iterator[Window]:
        """Yield windows in raster order that cover every pixel.

        Args:
            size: Side of a window; windows are smaller only where the grid is.
            stride: Step between windows, at most `size`; `size` if None. The last one moves inward to the border.

        Raises:
            ConfigError: The step is below 1 or leaves gaps.
        """
        step = size if stride is None else stride
        for y in starts(self.height, size, step):
            for x in starts(self.width, size, step):
                yield Window(y, x, min(size, self.height), min(size, self.width))


def starts(length: int, size: int, stride: int) -> list[int]:
    """Return the first pixels of windows along one axis; the last window is moved inward to the border.

    Args:
        length: Pixels of the axis.
        size: Pixels of a window; where it exceeds `length` there is one window, at 0.
        stride: Step between windows, from 1 to `size`, so that no pixel is left out.

    Raises:
        ConfigError: The step is below 1 or leaves gaps.

    >>> starts(10, 4, 4)
    [0, 4, 6]
    >>> starts(3, 4, 4)
    [0]
    """
    if not 1 <= stride <= size:
        raise ConfigError(f"A stride of {stride} does not cover an axis with windows of {size}; choose 1 to {size}.")
    if length <= size:
        return [0]
    regular = list(range(0, length - size, stride))
    return [*regular, length - size]
