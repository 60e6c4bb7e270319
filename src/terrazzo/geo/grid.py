"""Where pixels lie: a grid of a coordinate reference system, an affine transform and a size, and windows on it.

Order is always (y, x). Windows may reach outside their grid; whoever reads decides what stands there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from terrazzo.errors import ConfigError

__all__ = ["Grid", "Window", "starts"]


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
        along_y, along_x = self.resolution
        if self.crs.is_geographic:
            _, bottom, _, top = self.bounds
            metre = float(np.deg2rad(1) * 6_371_000)
            return metre * (along_y + along_x * float(np.cos(np.deg2rad((bottom + top) / 2)))) / 2
        if not self.crs.is_projected:
            return None
        _, factor = self.crs.linear_units_factor
        return float(factor) * (along_y + along_x) / 2

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
