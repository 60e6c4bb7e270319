"""The pyramid of square tiles over a raster's own pixels: no map projection, so that classes are never resampled.

Level 0 shows the whole raster in one tile; each further level has twice the resolution, and the last one shows pixels
as they are.
"""

import math
from dataclasses import dataclass

from terrazzo.geo.grid import Window

__all__ = ["TILE", "TileGrid", "TilePlace"]

TILE = 512
"""Side of a tile in pixels: the blocks of our own maps."""


@dataclass(frozen=True)
class TilePlace:
    """What a tile shows.

    Attributes:
        window: Pixels of the raster, none outside it.
        height: Rows of the tile that they fill, from its top.
        width: Columns of the tile that they fill, from its left side.
    """

    window: Window
    height: int
    width: int


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a raster.

    Attributes:
        height: Rows of the raster.
        width: Its columns.
    """

    height: int
    width: int

    @property
    def levels(self) -> int:
        """Number of the finest level.

        >>> [TileGrid(side, 10).levels for side in (1, 512, 513, 12_000)]
        [0, 0, 1, 5]
        """
        return max(0, math.ceil(math.log2(max(self.height, self.width) / TILE)))

    def factor(self, level: int) -> int:
        """Return the pixels of the raster along a side of a tile's pixel.

        >>> [TileGrid(12_000, 10).factor(level) for level in (0, 5)]
        [32, 1]
        """
        return 1 << (self.levels - level)

    def place(self, level: int, column: int, row: int) -> TilePlace | None:
        """Return what a tile shows; None where there is no such tile.

        >>> TileGrid(600, 1000).place(1, 1, 1)
        TilePlace(window=Window(y=512, x=512, height=88, width=488), height=88, width=488)
        >>> TileGrid(600, 1000).place(0, 0, 0)
        TilePlace(window=Window(y=0, x=0, height=600, width=1000), height=300, width=500)
        >>> TileGrid(600, 1000).place(1, 2, 0) is None
        True
        """
        if not 0 <= level <= self.levels or row < 0 or column < 0:
            return None
        factor = self.factor(level)
        side = TILE * factor
        y, x = row * side, column * side
        if y >= self.height or x >= self.width:
            return None
        window = Window(y, x, min(side, self.height - y), min(side, self.width - x))
        return TilePlace(window, math.ceil(window.height / factor), math.ceil(window.width / factor))
