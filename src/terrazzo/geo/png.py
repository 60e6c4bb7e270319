"""Whether a PNG file is whole: GDAL's fast way of reading one returns garbage, and no error, for a damaged file."""

import zlib
from pathlib import Path
from typing import BinaryIO

from terrazzo.errors import DataError

__all__ = ["check_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK = 1 << 20


def check_png(path: Path) -> None:
    """Compare the checksum of every chunk, which takes a fraction of the time of decoding.

    Source: ISO/IEC 15948:2004 (PNG), section 5.3: a chunk is length, type, data and the CRC-32 of type and data.

    Raises:
        DataError: The file is cut off, a checksum is wrong, or it is no PNG.
    """
    with path.open("rb") as file:
        if file.read(8) != _SIGNATURE:
            raise DataError(f"{path} is no PNG file.")
        kind = b""
        while kind != b"IEND":
            position = file.tell()
            header = file.read(8)
            kind = header[4:]
            checksum = _checksum(file, int.from_bytes(header[:4]), kind)
            stored = file.read(4)
            if len(header) < 8 or len(stored) < 4:
                raise DataError(f"{path} is cut off after {file.tell()} bytes; copy or download it again.")
            if checksum != int.from_bytes(stored):
                raise DataError(
                    f"{path} is damaged: the checksum of chunk {kind.decode('latin-1')} at byte {position} is wrong; "
                    "copy or download it again."
                )


def _checksum(file: BinaryIO, length: int, kind: bytes) -> int:
    """Return the CRC-32 of a chunk's type and of its next `length` bytes in the file."""
    checksum = zlib.crc32(kind)
    while length > 0 and (block := file.read(min(length, _BLOCK))):
        checksum = zlib.crc32(block, checksum)
        length -= len(block)
    return checksum
