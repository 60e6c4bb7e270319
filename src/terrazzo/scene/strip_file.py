"""The file of one finished strip: arrays one after the other, and beside it a record that says where and what.

The file itself says nothing: without its record in the journal it is not read, and the record's checksums tell whether
it is what was written.
"""

import contextlib
import os
import uuid
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Shaped

from terrazzo.errors import StorageError
from terrazzo.record import Record
from terrazzo.scene.products import ProductRows

__all__ = ["Block", "StripFigures", "StripRecord", "StripWriter", "read_block"]

ABOVE, BELOW = "above", "below"
"""Names of the blocks that hold a strip's share of what it has in common with its neighbours."""


class Block(Record):
    """One array in a strip's file.

    Whole rows of products are called by the product's name; `above` and `below` are the weighted scores of the rows
    shared with the strips before and after, `above_valid` and `below_valid` where the scene was measured there.
    """

    name: str
    """What it holds."""
    y: int
    """Its first row in the scene."""
    offset: int
    """Its first byte in the file."""
    dtype: str
    """numpy type, such as "<f4"."""
    shape: tuple[int, ...]
    """Channels, rows and columns; rows and columns of a validity mask."""
    crc: int
    """CRC-32 of its bytes."""

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


class StripFigures(Record):
    """What is told of a strip beside its pixels."""

    windows: int = 0
    """Windows that the network answered."""
    skipped: int = 0
    """Windows of which no pixel counted."""
    seconds: float = 0.0
    """Wall time from its first pixel read to its file on the disk."""
    busy_seconds: float = 0.0
    """Time in which the network worked."""
    steps: float = 0.0
    """Sum over its windows of the steps that the network took; 0 for a network without steps."""
    agreements: tuple[tuple[int, int, str, int, int], ...] = ()
    """Row, column, side, differing and compared pixels of each fade between two windows."""
    unreadable: tuple[tuple[int, int, int, int, str], ...] = ()
    """y, x, height, width of what could not be read, and why."""


class StripRecord(Record):
    """One line of the journal: a strip that is finished and on the disk."""

    strip: int
    """Its number."""
    key: str
    """SHA-256 of the header, the number, and the strip's own input pixels."""
    file: str
    """Name of its file."""
    size: int
    """Bytes of its file."""
    blocks: tuple[Block, ...]
    """What the file holds, in order."""
    figures: StripFigures
    """What is told of it."""


class StripWriter:
    """Writes the file of one strip, block by block.

    Args:
        folder: Where strips lie.
        strip: Number of the strip.
    """

    def __init__(self, folder: Path, strip: int) -> None:
        # A name of its own: what an earlier start has written is replaced by nobody.
        self.path = folder / f"{strip:06d}-{uuid.uuid4().hex[:8]}.strip"
        self._strip = strip
        self._blocks: list[Block] = []
        self._offset = 0
        self._file: BinaryIO = self.path.open("xb")

    @property
    def closed(self) -> bool:
        """Whether the file is finished or abandoned."""
        return self._file.closed

    def rows(self, y: int, rows: ProductRows) -> None:
        """Append finished rows of every product."""
        for name, values in rows.items():
            self.block(name, y, values)

    def block(self, name: str, y: int, values: Shaped[np.ndarray, "..."]) -> None:
        """Append an array."""
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        self._file.write(data)
        self._blocks.append(
            Block(name=name, y=y, offset=self._offset, dtype=values.dtype.str, shape=values.shape, crc=zlib.crc32(data))
        )
        self._offset += len(data)

    def finish(self, key: str, figures: StripFigures) -> StripRecord:
        """Bring the file to the disk and return its record."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return StripRecord(
            strip=self._strip,
            key=key,
            file=self.path.name,
            size=self._offset,
            blocks=tuple(self._blocks),
            figures=figures,
        )

    def abandon(self) -> None:
        """Close and remove what was begun; nothing happens to a file that is finished."""
        if not self._file.closed:
            # On a full disk closing fails like the writing before it; what it would have written is not wanted.
            with contextlib.suppress(OSError):
                self._file.close()
            self.path.unlink(missing_ok=True)


def read_block(folder: Path, record: StripRecord, block: Block) -> Shaped[np.ndarray, "..."]:
    """Read one array and check it.

    Raises:
        StorageError: The file is missing, shorter, or holds other bytes.
    """
    path = folder / record.file
    values: np.ndarray[Any, Any] = np.empty(block.shape, dtype=block.dtype)
    data = values.reshape(-1).view(np.uint8).data
    try:
        with path.open("rb") as file:
            file.seek(block.offset)
            read = file.readinto(data)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    if read != block.size or zlib.crc32(data) != block.crc:
        raise StorageError(f"{path} does not hold what was written to it; is the disk failing?")
    return values
