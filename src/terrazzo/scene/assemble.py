"""From finished strips to the rows of the map: seams are summed and decided here, once both sides are there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from terrazzo.scene.products import ProductRows, Products
from terrazzo.scene.strip_file import ABOVE, BELOW, Block, StripRecord, read_block
from terrazzo.scene.strips import Strip
from terrazzo.scene.windows import Axis

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
    """How far two windows on both sides of a strip's upper border agree.

    Attributes:
        row: Row of windows below the border.
        column: Column of the windows; None for all of the row.
        differing: Pixels for which their classes differ.
        compared: Pixels in common.
    """

    row: int
    column: int | None
    differing: int
    compared: int


def finished_rows(
    strips: tuple[Strip, ...],
    record_of: Callable[[int], StripRecord],
    folder: Path,
    products: Products,
    *,
    seams: list[Seam] | None = None,
    columns: Axis | None = None,
) -> Iterator[FinishedRows]:
    """Yield all rows of the map from top to bottom; memory is that of one row of windows.

    Args:
        strips: All strips of the scene.
        record_of: Returns a strip's record by its number; asked from top to bottom, and may wait until it is there.
        folder: Where their files lie.
        products: What is decided.
        seams: Takes how the two sides of each strip's upper border agree.
        columns: Windows along x, to tell agreements apart by window; they count together if not given.

    Raises:
        StorageError: A file is missing or does not hold what was written to it.
    """
    before: StripRecord | None = None
    for strip in strips:
        record = record_of(strip.number)
        yield from join_strips(strip, before, record, folder, products, seams=seams, columns=columns)
        before = record


def join_strips(
    strip: Strip,
    before: StripRecord | None,
    record: StripRecord,
    folder: Path,
    products: Products,
    *,
    seams: list[Seam] | None = None,
    columns: Axis | None = None,
) -> Iterator[FinishedRows]:
    """Yield the rows that a strip shares with the one before it, and then its own.

    Args:
        strip: The strip.
        before: Record of the strip before; None for the first.
        record: The strip's own.
        folder: Where their files lie.
        products: What is decided.
        seams: As for `finished_rows`.
        columns: As for `finished_rows`.

    Raises:
        StorageError: A file is missing or does not hold what was written to it.
    """
    if before is not None and strip.above.stop > strip.above.start:
        agreement = _SeamAgreement(products.classes) if seams is not None else None
        yield from _seam(strip, before, record, folder, products, agreement)
        if seams is not None and agreement is not None:
            seams += agreement.seams(strip.rows[0], columns)
    names = {product.name for product in products}
    together: dict[int, list[Block]] = {}
    for block in record.blocks:
        if block.name in names:
            together.setdefault(block.y, []).append(block)
    for y, blocks in sorted(together.items()):
        yield FinishedRows(y, {block.name: read_block(folder, record, block) for block in blocks})


class _SeamAgreement:
    """Counts, column by column of pixels, where the two sides of a seam choose different classes."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._differing: Int64[np.ndarray, " x"] | None = None
        self._compared: Int64[np.ndarray, " x"] | None = None

    def add(
        self,
        above: Float32[np.ndarray, "channel y x"],
        below: Float32[np.ndarray, "channel y x"],
        measured: Bool[np.ndarray, "y x"],
    ) -> None:
        """Take some rows; a weight that all classes share changes no choice."""
        changed = (above[: self._classes].argmax(0) != below[: self._classes].argmax(0)) & measured
        differing, compared = changed.sum(0, dtype=np.int64), measured.sum(0, dtype=np.int64)
        self._differing = differing if self._differing is None else self._differing + differing
        self._compared = compared if self._compared is None else self._compared + compared

    def seams(self, row: int, columns: Axis | None) -> list[Seam]:
        """Return the counts of each column of windows, or of all together."""
        if self._differing is None or self._compared is None:
            return []
        cuts = [0] if columns is None else [columns.used(column).start for column in range(len(columns))]
        counts = zip(np.add.reduceat(self._differing, cuts), np.add.reduceat(self._compared, cuts), strict=True)
        return [
            Seam(row, None if columns is None else column, int(differing), int(compared))
            for column, (differing, compared) in enumerate(counts)
        ]


def _seam(
    strip: Strip,
    before: StripRecord,
    record: StripRecord,
    folder: Path,
    products: Products,
    agreement: _SeamAgreement | None,
) -> Iterator[FinishedRows]:
    """Sum both strips' shares of their common rows."""
    earlier = read_block(folder, before, _block(before, BELOW))
    later = read_block(folder, record, _block(record, ABOVE))
    # Two workers read these rows; what one of them could not read is missing from its share of the sum.
    valid = read_block(folder, record, _block(record, f"{ABOVE}_valid"))
    valid &= read_block(folder, before, _block(before, f"{BELOW}_valid"))
    for first in range(0, earlier.shape[1], _SEAM_ROWS):
        rows = slice(first, first + _SEAM_ROWS)
        above, below, measured = earlier[:, rows], later[:, rows], valid[rows]
        if agreement is not None:
            agreement.add(above, below, measured)
        decided = products.decide(torch.from_numpy(above + below), y=strip.above.start + first)
        values = {name: found.numpy() for name, found in decided.items()}
        for product in products:
            values[product.name][:, ~measured] = product.missing
        yield FinishedRows(strip.above.start + first, values)


def _block(record: StripRecord, name: str) -> Block:
    return next(block for block in record.blocks if block.name == name)
