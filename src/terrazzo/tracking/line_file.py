"""A file that grows by whole lines, and is cut back to what a checkpoint knows of it."""

import os
from pathlib import Path

__all__ = ["LineFile"]


class LineFile:
    """Lines of a run.

    Args:
        path: The file; its folder is made.
        known: Bytes that belong to the checkpoint that the run goes on from: what lies beyond is cut off. None begins
            anew.
    """

    def __init__(self, path: Path, known: int | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if known is not None and path.is_file() and path.stat().st_size > known:
            os.truncate(path, known)
        self._file = path.open("w" if known is None else "a", encoding="utf-8", newline="")

    def add(self, line: str) -> None:
        """Add a line; a process that is killed afterwards leaves it there."""
        self._file.write(line + "\n")
        self._file.flush()

    def size(self) -> int:
        """Put everything on the disk and return its bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
