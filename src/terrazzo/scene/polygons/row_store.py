"""Rows of a map on the disk for the while between two rounds of the sieve."""

import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from terrazzo.errors import StorageError

__all__ = ["RowStore"]


class RowStore:
    """Rows, compressed, in a file without a name: nothing is left of it however the process ends.

    Args:
        folder: Where the file is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()
        self._blocks: list[tuple[int, tuple[int, ...], str]] = []

    def append(self, rows: Shaped[np.ndarray, "y x"]) -> None:
        """Add rows."""
        # Classes of neighbours are mostly the same: the fastest level suffices.
        data = zlib.compress(np.ascontiguousarray(rows).tobytes(), 1)
        self._file.write(data)
        self._blocks.append((len(data), rows.shape, rows.dtype.str))

    def read(self) -> Iterator[Shaped[np.ndarray, "y x"]]:
        """Yield all rows as they were added.

        Raises:
            StorageError: The file does not hold what was written to it.
        """
        self._file.seek(0)
        for size, shape, dtype in self._blocks:
            try:
                data = zlib.decompress(self._file.read(size))
            except zlib.error as error:
                raise StorageError(
                    f"A temporary file in {self._folder} does not hold what was written to it: {error}."
                ) from error
            yield np.frombuffer(data, dtype=dtype).reshape(shape)

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()
