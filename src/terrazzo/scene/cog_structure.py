"""Whether a file is laid out as a cloud-optimised GeoTIFF: what says where the pixels are comes first, in order.

Sources: OGC Cloud Optimized GeoTIFF Standard 1.0 (OGC 21-026), requirements on the order of directories and tiles;
GDAL, "COG -- Cloud Optimized GeoTIFF generator", header ghost area; TIFF 6.0 and BigTIFF for the bytes.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from terrazzo.errors import StorageError

__all__ = ["Directory", "check_cog", "read_directories"]

_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_OFFSETS, _NEW_SUBFILE_TYPE = 256, 257, 322, 324, 254
_TYPES = {3: "H", 4: "I", 16: "Q"}
_GHOST_MARK = b"GDAL_STRUCTURAL_METADATA_SIZE="
_MOST_DIRECTORIES = 64


@dataclass(frozen=True)
class Directory:
    """One image in a TIFF.

    Attributes:
        position: Its first byte in the file.
        height: Rows.
        width: Columns.
        tiled: Whether its pixels lie in tiles.
        reduced: Whether it is an overview of another image.
        first_pixels: First byte of its pixels; None where no tile was written.
    """

    position: int
    height: int
    width: int
    tiled: bool
    reduced: bool
    first_pixels: int | None


def read_directories(path: Path) -> list[Directory]:
    """Return the images of a TIFF in the order of the file's chain.

    Raises:
        StorageError: The file is no TIFF, or it is torn.
    """
    with path.open("rb") as file:
        try:
            return _chain(file)
        except (struct.error, KeyError, ValueError) as error:
            raise StorageError(f"{path} is no whole TIFF: {error}; write it again.") from error


def check_cog(path: Path) -> None:
    """Check that the file can be read by parts: ghost area, directories before pixels, overviews before the image.

    Raises:
        StorageError: It is laid out otherwise.
    """
    directories = read_directories(path)
    with path.open("rb") as file:
        head = file.read(2**12)
    if _GHOST_MARK not in head or b"LAYOUT=IFDS_BEFORE_DATA\n" not in head:
        raise StorageError(f"{path} does not say that it is cloud-optimised.")
    positions = [directory.position for directory in directories]
    pixels = [found.first_pixels for found in directories if found.first_pixels is not None]
    sizes = [directory.height * directory.width for directory in directories]
    wrong = [
        what
        for what, holds in (
            ("its directories are not in order", positions == sorted(positions)),
            ("pixels lie before a directory", not pixels or max(positions) < min(pixels)),
            ("the pixels of small overviews do not come first", pixels == sorted(pixels, reverse=True)),
            ("overviews do not get smaller", sizes == sorted(set(sizes), reverse=True)),
            ("an image is not tiled", all(directory.tiled for directory in directories)),
            ("an image is no overview", all(directory.reduced for directory in directories[1:])),
        )
        if not holds
    ]
    if wrong:
        raise StorageError(f"{path} is not laid out as a cloud-optimised GeoTIFF: {', '.join(wrong)}.")


def _chain(file: BinaryIO) -> list[Directory]:
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}[head[:2]]
    (version,) = struct.unpack(order + "H", head[2:4])
    if version not in {42, 43}:
        raise ValueError(f"version {version}")
    big = version == 43
    position = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])[0]
    found = []
    while position:
        directory, position = _directory(file, position, order, big=big)
        found.append(directory)
        if len(found) > _MOST_DIRECTORIES:
            raise ValueError("its directories do not end")
    return found


def _directory(file: BinaryIO, position: int, order: str, *, big: bool) -> tuple[Directory, int]:
    """Read one directory and the position of the next."""
    counted, entry, place = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    place_size = struct.calcsize(order + place)
    file.seek(position)
    (count,) = _unpack(file, order + counted)
    tags: dict[int, tuple[int, int, bytes]] = {}
    for _ in range(count):
        tag, kind, length = _unpack(file, order + entry)
        tags[tag] = (kind, length, file.read(place_size))
    (following,) = _unpack(file, order + place)

    def first(tag: int) -> int:
        kind, length, inline = tags[tag]
        letter = order + _TYPES[kind]
        if length * struct.calcsize(letter) <= place_size:
            return int(struct.unpack_from(letter, inline)[0])
        file.seek(struct.unpack(order + place, inline)[0])
        return int(_unpack(file, letter)[0])

    return Directory(
        position=position,
        height=first(_HEIGHT),
        width=first(_WIDTH),
        tiled=_TILE_WIDTH in tags,
        reduced=_NEW_SUBFILE_TYPE in tags and bool(first(_NEW_SUBFILE_TYPE) & 1),
        # 0 stands for a tile that was not written.
        first_pixels=(first(_TILE_OFFSETS) or None) if _TILE_OFFSETS in tags else None,
    ), following


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))
