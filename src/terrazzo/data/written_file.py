"""Whether a file still holds what was written to it: its size first, then its hash."""

from pathlib import Path
from typing import Literal

from terrazzo.storage import hash_file

__all__ = ["Fault", "fault_of"]

Fault = tuple[str, Literal["missing", "damaged"]]
"""What is wrong, in words and by its kind."""


def fault_of(path: Path, *, size: int, sha256: str) -> Fault | None:
    """Return what is wrong with a file; None where nothing is.

    Args:
        path: The file.
        size: Bytes that were written.
        sha256: Hash of these bytes.
    """
    try:
        found = path.stat().st_size
        if found != size:
            return f"it has {found} bytes, but {size} were written", "damaged"
        if hash_file(path) != sha256:
            return "its bytes are not those that were written", "damaged"
    except FileNotFoundError:
        return "it is missing", "missing"
    except OSError as error:
        return f"it cannot be read: {error}", "damaged"
    return None
