"""Shapes burned into pixels, alike however windows are cut.

Pixels are burned in blocks whose place depends on the grid alone, and a window is put together from them: what stands
in a pixel can then not depend on which window asked for it. A block burns only the shapes that touch it.
"""

import itertools
import threading
from collections import OrderedDict

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Bool, Float64, Int32, Int64
from rasterio.features import rasterize

from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.shapes import Geometries

__all__ = ["BLOCK", "KEPT_BYTES", "Burner"]

BLOCK = 256
"""Side of a block in pixels."""
MARGIN = 2
"""Pixels burned around a block and cut off, so that its border is burned as its middle is."""
KEPT_BYTES = 16 * 2**20
"""Burned blocks that a burner keeps: strips of rows then burn no block twice."""
LONG = 2000
"""Vertices from which a shape is cut to a block before it is burned: burning looks at each vertex for each row."""


class Burner:
    """Shapes on the grid of an image.

    Args:
        grid: Of the image.
        geometries: Valid ones in its coordinate reference system; a later one lies on top of an earlier one.
        codes: Number of each, 1 and above; 0 stands where no shape is.
        all_touched: Burn every pixel that an area touches; else those whose centre lies inside. Lines and points always
            burn what they touch, since they hold no centre.
    """

    def __init__(
        self, grid: Grid, geometries: Geometries, codes: Int64[np.ndarray, " shape"], *, all_touched: bool = False
    ) -> None:
        self._grid = grid
        # In pixels of the grid, whatever its units: rotated and south-up grids are like any other.
        self._shapes: Geometries = shapely.transform(geometries, _ToPixels(grid.transform))
        self._codes = codes.astype(np.int32)
        self._thin = shapely.get_dimensions(geometries) < 2
        self._long = ~self._thin & (shapely.get_num_coordinates(geometries) > LONG)
        self._all_touched = all_touched
        self._tree = shapely.STRtree(self._shapes)
        self._kept: OrderedDict[tuple[int, int], Int32[np.ndarray, "y x"]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, window: Window) -> Int32[np.ndarray, "y x"]:
        """Return the codes of a window that lies inside the grid."""
        codes = np.empty((window.height, window.width), dtype=np.int32)
        rows = range(window.y // BLOCK, -(-(window.y + window.height) // BLOCK))
        columns = range(window.x // BLOCK, -(-(window.x + window.width) // BLOCK))
        for row, column in itertools.product(rows, columns):
            block = Window(row * BLOCK, column * BLOCK, BLOCK, BLOCK)
            shared = block.intersection(window)
            codes[shared.inside(window)] = self._block(row, column)[shared.inside(block)]
        return codes

    def touches(self, window: Window) -> bool:
        """Return whether a shape has a pixel in a window that lies inside the grid."""
        near = self._tree.query(shapely.box(*_corners(window, MARGIN)))
        return bool(len(near)) and bool(self.read(window).any())

    def _block(self, row: int, column: int) -> Int32[np.ndarray, "y x"]:
        with self._lock:
            if (row, column) not in self._kept:
                self._kept[row, column] = self._burn(Window(row * BLOCK, column * BLOCK, BLOCK, BLOCK))
                while len(self._kept) * BLOCK * BLOCK * 4 > KEPT_BYTES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end((row, column))
            return self._kept[row, column]

    def _burn(self, block: Window) -> Int32[np.ndarray, "y x"]:
        """Burn a block with a margin, and cut the margin off."""
        frame = shapely.box(*_corners(block, 2 * MARGIN))
        # The tree answers in no order; what lies on top is said by the order of the shapes.
        chosen = np.sort(self._tree.query(frame))
        codes = np.zeros((BLOCK + 2 * MARGIN, BLOCK + 2 * MARGIN), dtype=np.int32)
        shapes = self._shapes[chosen]
        long = self._long[chosen]
        shapes[long] = shapely.intersection(shapes[long], frame)
        touched = self._thin[chosen] | self._all_touched
        for alike in _runs(touched):
            listed = [
                (shape, int(code))
                for shape, code in zip(shapes[alike], self._codes[chosen[alike]], strict=True)
                if not shape.is_empty
            ]
            if listed:
                transform = Affine.translation(block.x - MARGIN, block.y - MARGIN)
                # rasterio silences this one itself, but not safely where several threads burn.
                rasterize(listed, out=codes, transform=transform, all_touched=bool(touched[alike.start]))
        return codes[MARGIN:-MARGIN, MARGIN:-MARGIN].copy()


class _ToPixels:
    """From coordinates to (column, row) of a grid."""

    def __init__(self, transform: Affine) -> None:
        inverse = ~transform
        self._matrix = np.array([[inverse.a, inverse.d], [inverse.b, inverse.e]])
        self._origin = np.array([transform.c, transform.f])

    def __call__(self, points: Float64[np.ndarray, "point 2"]) -> Float64[np.ndarray, "point 2"]:
        # The origin first: coordinates are large numbers, and their differences are exact.
        pixels: Float64[np.ndarray, "point 2"] = (points - self._origin) @ self._matrix
        return pixels


def _corners(window: Window, border: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a window with a border, in pixels."""
    bottom, right = window.y + window.height, window.x + window.width
    return window.x - border, window.y - border, right + border, bottom + border


def _runs(flags: Bool[np.ndarray, " shape"]) -> list[slice]:
    """Cut a row of flags where they change."""
    edges = [0, *(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(flags)]
    return [slice(begin, end) for begin, end in itertools.pairwise(edges) if end > begin]
