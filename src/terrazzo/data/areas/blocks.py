"""Squares of the ground, each drawn for one part of the data: images that overlap agree about every place.

Blocks are anchored to coordinate 0 of one coordinate reference system; what a block is drawn for depends on its place
and the seed alone, unless blocks were counted and dealt. A pixel belongs to the block that its centre lies in.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from affine import Affine
from jaxtyping import Bool, Float64, Int64, Shaped
from pydantic import Field
from pyproj import Transformer
from rasterio.crs import CRS

from terrazzo.data.areas.area import Area, AreaReader
from terrazzo.data.areas.dealt import Block, DealtBlocks
from terrazzo.data.splitting.draw import drawn
from terrazzo.geo.grid import Grid, Window

__all__ = ["Block", "BlockArea", "BlockReader"]

NUDGE = 1e-6
"""Blocks are moved by this share of their side: a pixel centre that lies on a border, as far as rounding can tell, lies
on the same side of it in every image."""
LATTICE = 16
"""Pixels between the points whose coordinates are transformed; those between them are interpolated."""
MARGIN = 1e-9
"""Least distance from a border, in sides of a block, below which an interpolated pixel is transformed itself."""
CHUNK_PIXELS = 2**18
"""Pixels that are decided at once."""


class BlockArea(Area):
    """The blocks that were drawn for one part of the data."""

    name: Literal["blocks"] = "blocks"
    part: str
    """Part that the area stands for, a role or a fold."""
    shares: tuple[tuple[str, float], ...]
    """Each part and its share of the blocks."""
    size: float = Field(gt=0)
    """Side of a block in units of the coordinate reference system, or in pixels without one."""
    crs: str | None = None
    """Coordinate reference system of the blocks as WKT; None for blocks of pixels of one image."""
    image: str = ""
    """Name of the image that has blocks of pixels of its own; empty for blocks of the ground."""
    guard: float = Field(default=0.0, ge=0)
    """Distance that pixels keep from blocks of the parts in `clear_of`, in the unit of `size`."""
    clear_of: tuple[str, ...] = ()
    """Parts to keep the distance from."""
    seed: int = 0
    """Draws another division."""
    dealt: DealtBlocks | None = None
    """Blocks around the image that were dealt to parts, instead of drawn by their place."""

    @property
    def files(self) -> tuple[Path, ...]:
        """None: blocks follow from settings alone."""
        return ()

    def open(self, grid: Grid) -> "BlockReader":
        """Open it for an image's grid."""
        return BlockReader(self, grid)

    def drawn(self, block: Block) -> str:
        """Return the part that a block was drawn for or dealt to; empty where it was dealt to none."""
        if self.dealt is not None:
            return self.dealt.part(block, tuple(part for part, _ in self.shares))
        return _drawn(self.seed, self.image, block, self.shares)


@lru_cache(maxsize=2**16)
def _drawn(seed: int, image: str, block: Block, shares: tuple[tuple[str, float], ...]) -> str:
    return drawn(f"{seed}:{image}:{block[0]}:{block[1]}", dict(shares))


class BlockReader(AreaReader):
    """Blocks on the grid of an image.

    Args:
        area: Settings.
        grid: The image's grid; with the coordinate reference system of the blocks or another.
    """

    def __init__(self, area: BlockArea, grid: Grid) -> None:
        self._area, self._grid = area, grid
        self._affine = Affine.identity() if area.crs is None else grid.transform
        self._transformer = None
        if area.crs is not None and grid.crs is not None and CRS.from_wkt(area.crs) != grid.crs:
            self._transformer = Transformer.from_crs(grid.crs.to_wkt(), area.crs, always_xy=True)

    def inside(self, window: Window) -> Bool[np.ndarray, "y x"]:
        """Return which pixels of a window that lies inside the grid are in the area."""
        found = np.empty((window.height, window.width), dtype=bool)
        for part in _chunks(window):
            found[part.inside(window)] = self._inside(part)
        return found

    def blocks(self) -> set[Block]:
        """Return the blocks that hold a pixel of the grid."""
        return set(self.sizes())

    def sizes(self) -> dict[Block, int]:
        """Return the pixels of the grid that each block holds, of those that hold any."""
        whole = self._grid.whole
        if not self._is_upright:
            return {block: int(counts[0]) for block, counts in self.count(whole, None, 1).items()}
        places = (np.unique(np.floor(axis).astype(np.int64), return_counts=True) for axis in self._places(whole))
        rows, columns = (list(zip(*(part.tolist() for part in axis), strict=True)) for axis in places)
        return {(row, column): high * wide for row, high in rows for column, wide in columns}

    def count(
        self, window: Window, kinds: Shaped[np.ndarray, "y x"] | None, number: int
    ) -> dict[Block, Int64[np.ndarray, " kind"]]:
        """Count the pixels of each kind in each block that holds a pixel of the window.

        Args:
            window: Pixels, inside the grid.
            kinds: Kind of each pixel, from 0; all are of kind 0 if None.
            number: How many kinds there are.
        """
        found: dict[Block, Int64[np.ndarray, " kind"]] = defaultdict(lambda: np.zeros(number, dtype=np.int64))
        for part in _chunks(window):
            y, x = self._places(part)
            rows, columns = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
            top, left = int(rows.min()), int(columns.min())
            high, wide = int(rows.max()) - top + 1, int(columns.max()) - left + 1
            codes = ((rows - top) * wide + (columns - left)) * number
            if kinds is not None:
                codes = codes + kinds[part.inside(window)]
            for code, pixels in _tally(np.broadcast_to(codes, (part.height, part.width)), high * wide * number):
                block, kind = divmod(code, number)
                found[top + block // wide, left + block % wide][kind] += pixels
        return dict(found)

    @property
    def _is_upright(self) -> bool:
        """Whether y follows from the row alone and x from the column alone."""
        return self._transformer is None and self._affine.b == 0 and self._affine.d == 0

    def _inside(self, window: Window) -> Bool[np.ndarray, "y x"]:
        y, x = self._places(window)
        rows, columns = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
        area = self._area
        ratio = area.guard / area.size
        reach = math.ceil(ratio) if area.clear_of else 0
        top, left = int(rows.min()) - reach, int(columns.min()) - reach
        bottom, right = int(rows.max()) + reach, int(columns.max()) + reach
        parts = [[area.drawn((row, column)) for column in range(left, right + 1)] for row in range(top, bottom + 1)]
        own = np.array([[part == area.part for part in line] for line in parts])
        found: np.ndarray = own[rows - top, columns - left]
        if reach:
            others = np.array([[part in area.clear_of for part in line] for line in parts])
            for down in range(-reach, reach + 1):
                for across in range(-reach, reach + 1):
                    gap_y, gap_x = _gap(y - rows, down), _gap(x - columns, across)
                    # Few pixels lie near a border; the others need no distance.
                    near = (gap_y < ratio) & (gap_x < ratio) & found
                    if near.any():
                        here = [np.broadcast_to(part, near.shape)[near] for part in (rows, columns, gap_y, gap_x)]
                        there = others[here[0] + down - top, here[1] + across - left]
                        found[near] = ~(there & (np.hypot(here[2], here[3]) < ratio))
        return found

    def _places(self, window: Window) -> tuple[Float64[np.ndarray, "y ..."], Float64[np.ndarray, "... x"]]:
        """Return y and x of the pixel centres in sides of a block, as arrays that broadcast to the window."""
        rows = np.arange(window.y, window.y + window.height)[:, None] + 0.5
        columns = np.arange(window.x, window.x + window.width)[None, :] + 0.5
        if self._transformer is None:
            affine = self._affine
            y = affine.e * rows + affine.f
            x = affine.a * columns + affine.c
            if not self._is_upright:
                y, x = y + affine.d * columns, x + affine.b * rows
        else:
            y, x = self._interpolated(window, rows, columns)
        return y / self._area.size + NUDGE, x / self._area.size + NUDGE

    def _interpolated(
        self, window: Window, rows: Float64[np.ndarray, "y 1"], columns: Float64[np.ndarray, "1 x"]
    ) -> tuple[Float64[np.ndarray, "y x"], Float64[np.ndarray, "y x"]]:
        """Return transformed coordinates: interpolated, but exact wherever that could change a pixel's block."""
        down, across = _lattice(window.y, window.height), _lattice(window.x, window.width)
        node_y, node_x = self._exact(*np.meshgrid(down, across, indexing="ij"))
        y, x = (_between(node, down, across, rows[:, 0], columns[0]) for node in (node_y, node_x))
        size = self._area.size
        near = np.zeros(y.shape, dtype=bool)
        for values, nodes in ((y, node_y), (x, node_x)):
            # Twice the error of linear interpolation along each axis, by second differences.
            bends = [np.abs(np.diff(nodes, n=2, axis=axis)).max(initial=0.0) for axis in (0, 1)]
            margin = max(sum(bends) / 4 / size, MARGIN)
            place = values / size + NUDGE
            near |= np.abs(place - np.rint(place)) < margin
        if near.any():
            at_y, at_x = np.nonzero(near)
            y[near], x[near] = self._exact(rows[at_y, 0], columns[0, at_x])
        return y, x

    def _exact(
        self, rows: Float64[np.ndarray, "*shape"], columns: Float64[np.ndarray, "*shape"]
    ) -> tuple[Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*shape"]]:
        """Return y and x of places given in pixels, in the unit of the blocks."""
        affine = self._affine
        x, y = affine.a * columns + affine.b * rows + affine.c, affine.d * columns + affine.e * rows + affine.f
        if self._transformer is not None:
            x, y = self._transformer.transform(x, y)
        return y, x


def _chunks(window: Window) -> Iterator[Window]:
    """Cut a window into rows that are decided at once."""
    step = max(CHUNK_PIXELS // window.width, 1)
    for top in range(0, window.height, step):
        yield Window(window.y + top, window.x, min(step, window.height - top), window.width)


def _tally(codes: Int64[np.ndarray, "y x"], size: int) -> list[tuple[int, int]]:
    """Return every code below `size` that occurs, and how often."""
    if size > 4 * codes.size:
        # Blocks smaller than pixels: a table of all of them would be mostly empty, and large.
        values, counts = np.unique(codes, return_counts=True)
    else:
        table = np.bincount(codes.ravel(), minlength=1)
        values = np.flatnonzero(table)
        counts = table[values]
    return list(zip(values.tolist(), counts.tolist(), strict=True))


def _gap(place: Float64[np.ndarray, "..."], steps: int) -> Float64[np.ndarray, "..."]:
    """Return the distance along an axis to the block so many steps away, from a place of 0..1 in one's own."""
    if steps == 0:
        return np.zeros_like(place)
    return steps - place if steps > 0 else place - (steps + 1)


def _lattice(first: int, length: int) -> Float64[np.ndarray, " node"]:
    """Return every LATTICE-th place of an axis, at least three, which hold the pixels between them."""
    begin, end = first // LATTICE, -(-(first + length) // LATTICE) + 1
    return LATTICE * np.arange(begin, max(end, begin + 3), dtype=np.float64)


def _between(
    node: Float64[np.ndarray, "node_y node_x"],
    down: Float64[np.ndarray, " node_y"],
    across: Float64[np.ndarray, " node_x"],
    rows: Float64[np.ndarray, " y"],
    columns: Float64[np.ndarray, " x"],
) -> Float64[np.ndarray, "y x"]:
    """Interpolate bilinearly between the points of a lattice."""
    row = ((rows - down[0]) // LATTICE).astype(np.int64)
    column = ((columns - across[0]) // LATTICE).astype(np.int64)
    along_y = ((rows - down[row]) / LATTICE)[:, None]
    along_x = ((columns - across[column]) / LATTICE)[None, :]
    lines = node[:, column] * (1 - along_x) + node[:, column + 1] * along_x
    found: np.ndarray = lines[row] * (1 - along_y) + lines[row + 1] * along_y
    return found
