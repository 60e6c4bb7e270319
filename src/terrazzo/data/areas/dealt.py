"""Which part each block near an image was dealt to, where its place alone does not say so."""

from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from typing import Annotated

from pydantic import Field

from terrazzo.record import Record

__all__ = ["Block", "DealtBlocks"]

Block = tuple[int, int]
"""Row and column of a block: its least coordinates (y, x) in sides of a block."""

NOBODY = ""
"""Part of a block that was dealt to none."""


class DealtBlocks(Record):
    """A rectangle of blocks and the part of each; every block outside of it is nobody's."""

    row: int
    """Row of the first blocks."""
    column: int
    """Column of the first block of each row."""
    parts: Annotated[str, Field(min_length=1)]
    """For each row of blocks the numbers of their parts, from 0 in the order of the shares, `-` for nobody's;
    blocks are separated by spaces, rows by semicolons."""

    @classmethod
    def around(cls, blocks: Mapping[Block, int], near: set[Block], reach: int) -> "DealtBlocks":
        """Keep what an image needs to know.

        Args:
            blocks: Number of the part of each block.
            near: Blocks of the image, at least one.
            reach: Blocks further away that matter.
        """
        rows, columns = zip(*near, strict=True)
        top, left = min(rows) - reach, min(columns) - reach
        lines = [
            " ".join(str(blocks.get((row, column), "-")) for column in range(left, max(columns) + reach + 1))
            for row in range(top, max(rows) + reach + 1)
        ]
        return cls(row=top, column=left, parts=";".join(lines))

    def part(self, block: Block, names: tuple[str, ...]) -> str:
        """Return the part that a block was dealt to, of the given names; empty for nobody."""
        number = _table(self.parts).get((block[0] - self.row, block[1] - self.column))
        return NOBODY if number is None else names[number]


@lru_cache(maxsize=64)
def _table(parts: str) -> dict[Block, int]:
    """Return the number of each dealt block, by row and column from the first one."""
    lines = [line.split(" ") for line in parts.split(";")]
    places = ((row, column) for row, column in product(range(len(lines)), range(len(lines[0]))))
    return {(row, column): int(lines[row][column]) for row, column in places if lines[row][column] != "-"}
