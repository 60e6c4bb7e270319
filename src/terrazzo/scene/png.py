"""Writing a PNG row by row, so that a mask of any size needs the memory of a few rows.

Source: Portable Network Graphics (PNG) Specification, Third Edition, W3C 2025, sections 5, 7, 9 and 11.
"""

import contextlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8

from terrazzo.errors import StorageError

__all__ = ["PngForm", "PngWriter"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE, _COLOUR_ALPHA = 0, 3, 6
_CHUNK = 2**16
"""Compressed bytes of a chunk: the file is the same in whatever pieces its rows come."""


@dataclass(frozen=True)
class PngForm:
    """What the pixels of a PNG are.

    Attributes:
        height: Rows in all.
        width: Columns.
        dtype: uint8 or uint16; colours are uint8.
        channels: 1 (grey or palette) or 4 (red, green, blue, alpha).
        palette: Red, green, blue, alpha of each of 256 values; grey levels if None.
    """

    height: int
    width: int
    dtype: np.dtype[np.generic]
    channels: int = 1
    palette: UInt8[np.ndarray, "256 4"] | None = None

    @property
    def colour_type(self) -> int:
        """The number that the file's header gives to this kind of pixels."""
        if self.channels == 4:
            return _COLOUR_ALPHA
        return _GREY if self.palette is None else _PALETTE


class PngWriter:
    """An open PNG that takes its rows from top to bottom.

    Args:
        path: File to write.
        form: What its pixels are.
        texts: Notes kept in the file, by keyword.
    """

    def __init__(self, path: Path, form: PngForm, *, texts: Mapping[str, str] | None = None) -> None:
        self._missing = form.height
        self._path = path
        # Classes lie in runs: looking for nothing else takes a quarter of the time, for a file as large within 6 %.
        self._deflate = zlib.compressobj(6, strategy=zlib.Z_RLE)
        self._compressed = bytearray()
        self._handle = path.open("wb")
        self._handle.write(_SIGNATURE)
        bits = 8 * form.dtype.itemsize
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", form.width, form.height, bits, form.colour_type, 0, 0, 0))
        for keyword, text in (texts or {}).items():
            # An empty language and translated keyword between the markers: the text is UTF-8, uncompressed.
            self._chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode())
        if form.palette is not None:
            self._chunk(b"PLTE", form.palette[:, :3].tobytes())
            self._chunk(b"tRNS", form.palette[:, 3].tobytes())

    def write(self, rows: Shaped[np.ndarray, "channel y x"]) -> None:
        """Append rows."""
        ordered = np.ascontiguousarray(np.moveaxis(rows, 0, -1)).astype(rows.dtype.newbyteorder(">"), copy=False)
        values = ordered.reshape(len(ordered), -1).view(np.uint8)
        # Each row begins with its filter; class numbers gain nothing from any.
        filtered = np.zeros((len(values), 1 + values.shape[1]), dtype=np.uint8)
        filtered[:, 1:] = values
        self._data(self._deflate.compress(filtered.data))
        self._missing -= rows.shape[1]

    def complete(self) -> None:
        """Close the file after its last row.

        Raises:
            StorageError: Rows are missing.
        """
        try:
            if self._missing:
                raise StorageError(f"{self._path}: {self._missing} rows were not written.")
            self._data(self._deflate.flush())
            if self._compressed:
                self._chunk(b"IDAT", bytes(self._compressed))
            self._chunk(b"IEND", b"")
        finally:
            self._handle.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        with contextlib.suppress(OSError):
            self._handle.close()

    def _data(self, compressed: bytes) -> None:
        self._compressed += compressed
        while len(self._compressed) >= _CHUNK:
            self._chunk(b"IDAT", bytes(self._compressed[:_CHUNK]))
            del self._compressed[:_CHUNK]

    def _chunk(self, name: bytes, content: bytes) -> None:
        checksum = zlib.crc32(content, zlib.crc32(name))
        self._handle.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum))
