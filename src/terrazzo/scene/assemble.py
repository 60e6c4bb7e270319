"""From finished strips to the rows of the map: seams are summed and decided here, once both sides are there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from terrazzo.scene.products import ProductRows, Products
from terrazzo.scene.strip_file import ABOVE, BELOW, Block, StripRecord, read_block
from terrazzo.scene.strips import Strip

__all__ = ["FinishedRows", "Seam", "finished_rows", "join_strips"]

# Rows of a seam that are decided at once: bounds the temporaries over a wide scene.
_SEAM_ROWS = 16


@dataclass(frozen=True)
class FinishedRows:
    """Rows of the map.

    Attributes:
        y: First row in the scene.
        products: Values of every product.
    """

    y: int
    products: ProductRows


@dataclass(frozen=True)
class Seam:
    """How far the windows on both sides of a strip's upper border agree.

    Attributes:
        row: Row of windows below the border.
        differing: Pixels for which their classes differ.
        compared: Pixels in common.
    """

    row: int
    differing: int
    compared: int


def finished_rows(
    strips: tuple[Strip, ...],
    records: Mapping[int, StripRecord],
    folder: Path,
    products: Products,
    *,
    seams: list[Seam] | None = None,
) -> Iterator[FinishedRows]:
    """Yield all rows of the map from top to bottom; memory is that of one row of windows.

    Args:
        strips: All strips of the scene.
        records: The record of every strip.
        folder: Where their files lie.
        products: What is decided.
        seams: Takes how the two sides of each strip's upper border agree.

    Raises:
        StorageError: A file is missing or does not hold what was written to it.
    """
    for strip in strips:
        yield from join_strips(
            strip, records.get(strip.number - 1), records[strip.number], folder, products, seams=seams
        )


def join_strips(
    strip: Strip,
    before: StripRecord | None,
    record: StripRecord,
    folder: Path,
    products: Products,
    *,
    seams: list[Seam] | None = None,
) -> Iterator[FinishedRows]:
    """Yield the rows that a strip shares with the one before it, and then its own.

    Args:
        strip: The strip.
        before: Record of the strip before; None for the first.
        record: The strip's own.
        folder: Where their files lie.
        products: What is decided.
        seams: As for `finished_rows`.

    Raises:
        StorageError: A file is missing or does not hold what was written to it.
    """
    if before is not None and strip.above.stop > strip.above.start:
        yield from _seam(strip, before, record, folder, products, seams)
    names = {product.name for product in products}
    together: dict[int, list[Block]] = {}
    for block in record.blocks:
        if block.name in names:
            together.setdefault(block.y, []).append(block)
    for y, blocks in sorted(together.items()):
        yield FinishedRows(y, {block.name: read_block(folder, record, block) for block in blocks})


def _seam(
    strip: Strip,
    before: StripRecord,
    record: StripRecord,
    folder: Path,
    products: Products,
    seams: list[Seam] | None,
) -> Iterator[FinishedRows]:
    """Sum both strips' shares of their common rows."""
    earlier = read_block(folder, before, _block(before, BELOW))
    later = read_block(folder, record, _block(record, ABOVE))
    valid = read_block(folder, record, _block(record, f"{ABOVE}_valid"))
    differing = 0
    for first in range(0, earlier.shape[1], _SEAM_ROWS):
        rows = slice(first, first + _SEAM_ROWS)
        above, below, measured = earlier[:, rows], later[:, rows], valid[rows]
        if seams is not None:
            changed = above[: products.classes].argmax(0) != below[: products.classes].argmax(0)
            differing += int((changed & measured).sum())
        decided = products.decide(torch.from_numpy(above + below), y=strip.above.start + first)
        values = {name: found.numpy() for name, found in decided.items()}
        for product in products:
            values[product.name][:, ~measured] = product.missing
        yield FinishedRows(strip.above.start + first, values)
    if seams is not None:
        seams.append(Seam(strip.rows[0], differing, int(valid.sum())))


def _block(record: StripRecord, name: str) -> Block:
    return next(block for block in record.blocks if block.name == name)
