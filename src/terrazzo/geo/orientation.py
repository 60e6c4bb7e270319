"""How a photograph must be turned to stand upright: cameras store pixels as the sensor lay and note how it was held.

Viewers and annotation tools show the turned picture, so that labels are drawn on it; GDAL reads the stored one.
"""

import io
import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Shaped

from terrazzo.geo.grid import Window

__all__ = ["ORIENTED_FORMATS", "UPRIGHT", "Orientation", "read_orientation"]


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to store a picture; the rows and columns are exchanged first, and then mirrored.

    Attributes:
        exchanged: Whether stored rows are the picture's columns.
        mirrored_y: Whether the picture then stands head down.
        mirrored_x: Whether left and right are then exchanged.
    """

    exchanged: bool = False
    mirrored_y: bool = False
    mirrored_x: bool = False

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of the upright picture for those of the stored one, or the other way round."""
        return (width, height) if self.exchanged else (height, width)

    def stored(self, window: Window, height: int, width: int) -> Window:
        """Return the stored pixels that a window of the upright picture shows.

        Args:
            window: Pixels of the upright picture.
            height: Rows of the upright picture.
            width: Its columns.
        """
        y = height - window.y - window.height if self.mirrored_y else window.y
        x = width - window.x - window.width if self.mirrored_x else window.x
        if self.exchanged:
            return Window(x, y, window.width, window.height)
        return Window(y, x, window.height, window.width)

    def upright(self, pixels: Shaped[np.ndarray, "*band y x"]) -> Shaped[np.ndarray, "*band a b"]:
        """Turn stored pixels upright; in one piece of memory."""
        if self.exchanged:
            pixels = pixels.swapaxes(-1, -2)
        if self.mirrored_y:
            pixels = pixels[..., ::-1, :]
        if self.mirrored_x:
            pixels = pixels[..., ::-1]
        return np.ascontiguousarray(pixels)


UPRIGHT = Orientation()
"""A picture that is stored as it is seen."""

_BY_NUMBER = {
    2: Orientation(mirrored_x=True),
    3: Orientation(mirrored_y=True, mirrored_x=True),
    4: Orientation(mirrored_y=True),
    5: Orientation(exchanged=True),
    6: Orientation(exchanged=True, mirrored_x=True),
    7: Orientation(exchanged=True, mirrored_y=True, mirrored_x=True),
    8: Orientation(exchanged=True, mirrored_y=True),
}
_TAG = 0x0112
_SHORT = 3
# More entries than any camera writes: beyond, the directory is damaged.
_LARGEST_DIRECTORY = 4096


def read_orientation(path: Path, driver: str) -> Orientation:
    """Return how a file's pixels are to be turned; upright where it does not say, or says it in a damaged way.

    Source: CIPA DC-008 (Exif 2.32), tag 0x0112; TIFF 6.0, section 8, "Orientation".

    Args:
        path: A whole file.
        driver: GDAL's name of its format; of others than `ORIENTED_FORMATS` none is known to note it.
    """
    find = ORIENTED_FORMATS.get(driver)
    if find is None:
        return UPRIGHT
    with path.open("rb") as file:
        try:
            notes = find(file)
            return UPRIGHT if notes is None else _BY_NUMBER.get(_number(notes), UPRIGHT)
        except (struct.error, ValueError):
            # Notes that break off or point nowhere say nothing; viewers show such a picture as it is stored.
            return UPRIGHT


def _number(notes: BufferedIOBase) -> int:
    """Return the orientation that a TIFF directory gives, 1 where it gives none."""
    start = notes.read(8)
    order = {b"II": "<", b"MM": ">"}[start[:2]] if start[:2] in {b"II", b"MM"} else ""
    if not order:
        return 1
    (magic,) = struct.unpack(f"{order}H", start[2:4])
    wide = magic == 43
    if wide:
        notes.seek(8)
    (first,) = struct.unpack(f"{order}Q", notes.read(8)) if wide else struct.unpack(f"{order}I", start[4:])
    notes.seek(first)
    (count,) = struct.unpack(f"{order}{'Q' if wide else 'H'}", notes.read(8 if wide else 2))
    # Tag, type, number of values, and the value itself where it fits.
    entry = struct.Struct(f"{order}HHQH6x" if wide else f"{order}HHIH2x")
    for _ in range(min(count, _LARGEST_DIRECTORY)):
        tag, kind, _values, value = entry.unpack(notes.read(entry.size))
        if tag == _TAG:
            return int(value) if kind == _SHORT else 1
    return 1


def _in_jpeg(file: BufferedIOBase) -> BufferedIOBase | None:
    """Find the Exif segment, which stands before the first scan."""
    file.seek(2)
    while len(marker := file.read(2)) == 2 and marker[0] == 0xFF and marker[1] not in {0xD9, 0xDA}:
        if marker[1] == 0xFF:
            file.seek(-1, io.SEEK_CUR)
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker[1] == 0xE1 and file.read(6) == b"Exif\0\0":
            return io.BytesIO(file.read(length - 8))
        if marker[1] == 0xE1:
            file.seek(-6, io.SEEK_CUR)
        file.seek(length - 2, io.SEEK_CUR)
    return None


def _in_png(file: BufferedIOBase) -> BufferedIOBase | None:
    """Find the chunk eXIf, which may stand after the pixels too."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = 8
        while len(head := content[position : position + 8]) == 8:
            length = int.from_bytes(head[:4])
            if head[4:] == b"eXIf":
                return io.BytesIO(content[position + 8 : position + 8 + length])
            position += length + 12
    return None


def _in_webp(file: BufferedIOBase) -> BufferedIOBase | None:
    """Find the chunk EXIF, which stands after the pixels."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            return io.BytesIO(file.read(length).removeprefix(b"Exif\0\0"))
        file.seek(length + length % 2, io.SEEK_CUR)
    return None


def _in_tiff(file: BufferedIOBase) -> BufferedIOBase:
    """A TIFF is such a directory itself."""
    return file


ORIENTED_FORMATS: Mapping[str, Callable[[BufferedIOBase], BufferedIOBase | None]] = MappingProxyType(
    {"JPEG": _in_jpeg, "PNG": _in_png, "WEBP": _in_webp, "GTiff": _in_tiff}
)
"""Formats that note it, by GDAL's names, and what finds the note."""
