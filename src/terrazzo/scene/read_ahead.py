"""How the rows of a scene are dealt to the threads that decode them."""

import itertools
import math
from dataclasses import dataclass

from terrazzo.geo.grid import Grid

__all__ = ["ReadAhead"]

# Rows that are decoded together where blocks are lower, and bytes where they are very large.
_LEAST_ROWS = 128
_MOST_BYTES = 128 * 2**20
# Decoded bytes below which a segment is not worth a thread of its own.
_LEAST_BYTES = 2**20


@dataclass(frozen=True)
class ReadAhead:
    """How a scene is cut for its readers.

    Attributes:
        rows: Rows of a chunk: whole rows of blocks, or an even part of one where that would be too large to hold.
        segments: Columns of pixels that threads decode side by side, cut between blocks.
        ahead: Chunks that are decoded beyond the one in use.
        readers: Threads.
        chunk_bytes: Decoded bytes of a chunk, validity included.
    """

    rows: int
    segments: tuple[slice, ...]
    ahead: int
    readers: int
    chunk_bytes: int

    @property
    def memory_bytes(self) -> int:
        """Most bytes that are held: the chunk in use, the next one, those ahead, and one as its segments."""
        return (self.ahead + 2 + (len(self.segments) > 1)) * self.chunk_bytes

    @classmethod
    def of(cls, grid: Grid, block_shape: tuple[int, int], *, pixel_bytes: int, readers: int) -> "ReadAhead":
        """Decide how to read a scene.

        Args:
            grid: Of the scene.
            block_shape: Height and width of what it decodes together.
            pixel_bytes: Bytes of a pixel over all its bands.
            readers: Threads; 1 for a scene that can only be decoded from its top.

        >>> from affine import Affine
        >>> ahead = ReadAhead.of(Grid(None, Affine.identity(), 9000, 9000), (512, 512), pixel_bytes=3, readers=2)
        >>> ahead.rows, ahead.segments, ahead.ahead
        (512, (slice(0, 4608, None), slice(4608, 9000, None)), 1)
        """
        block_height, block_width = block_shape
        row_bytes = grid.width * (pixel_bytes + 1)
        if block_height <= _LEAST_ROWS:
            rows = _LEAST_ROWS // block_height * block_height
        else:
            # GDAL's cache keeps the rest of a block of which only a part is held.
            rows = block_height
            while rows > _LEAST_ROWS and rows * row_bytes > _MOST_BYTES:
                rows = -(-rows // 2)
        rows = min(rows, grid.height)
        columns = -(-grid.width // block_width)
        count = min(readers, columns, max(rows * row_bytes // _LEAST_BYTES, 1))
        edges = [min(columns * number // count * block_width, grid.width) for number in range(count + 1)]
        segments = tuple(slice(begin, end) for begin, end in itertools.pairwise(edges))
        return cls(rows, segments, math.ceil(readers / count), readers, rows * row_bytes)
