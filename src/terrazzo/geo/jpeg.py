"""Whether a JPEG file is whole: GDAL fills the rest of a cut-off file with grey and only warns."""

import mmap
import re
from pathlib import Path

from terrazzo.errors import DataError

__all__ = ["check_jpeg"]

_START, _END, _SCAN = b"\xff\xd8", 0xD9, 0xDA
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""A marker inside coded data; 0xFF00 stands for a data byte, and 0xFFD0 to 0xFFD7 are restarts."""
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment."""


def check_jpeg(path: Path) -> None:
    """Follow a file's segments to its end marker, which takes far less time than decoding.

    Where the file ends with that marker, the coded data is not searched for it. What stands after it, such as a
    camera's own data, does not matter. Damage inside the coded data cannot be seen so, since JPEG has no checksums.

    Source: ITU-T T.81 (1992), annex B.1.1: markers, segments and their order.

    Raises:
        DataError: The file is cut off, or it is no JPEG.
    """
    size = path.stat().st_size
    if size < 4:
        raise DataError(f"{path} is no JPEG file: it has {size} bytes.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:2] != _START:
            raise DataError(f"{path} is no JPEG file.")
        position = 2
        while found := _MARKER.search(content, position):
            kind = found[1][0]
            if kind == _END or (kind == _SCAN and content[-2:] == b"\xff\xd9"):
                return
            position = found.end()
            if kind not in _BARE:
                position += int.from_bytes(content[position : position + 2])
    raise DataError(f"{path} is cut off after {size} bytes: it has no end marker; copy or download it again.")
