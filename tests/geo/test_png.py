"""Whole and damaged PNG files."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrazzo.errors import DataError
from terrazzo.geo import png
from terrazzo.geo.png import check_png


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


HEADER = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
WHOLE = b"\x89PNG\r\n\x1a\n" + HEADER + chunk(b"IDAT", zlib.compress(b"\0ab\0cd")) + chunk(b"IEND")


def check(folder: Path, content: bytes) -> None:
    path = folder / "mask 1.png"
    path.write_bytes(content)
    check_png(path)


def test_a_whole_file_passes(tmp_path: Path) -> None:
    check(tmp_path, WHOLE)


def test_what_follows_the_end_is_nobodys_business(tmp_path: Path) -> None:
    check(tmp_path, WHOLE + b"trailer")


def test_chunks_longer_than_a_block_are_summed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "_BLOCK", 3)
    check(tmp_path, WHOLE)


@given(st.integers(0, len(WHOLE) - 1))
def test_every_truncation_is_found(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    with pytest.raises(DataError, match=r"mask 1\.png is (cut off after|no PNG)"):
        check(tmp_path_factory.getbasetemp(), WHOLE[:length])


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_every_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, place: int, change: int) -> None:
    content = bytearray(WHOLE)
    content[place] ^= change
    with pytest.raises(DataError, match=r"mask 1\.png is"):
        check(tmp_path_factory.getbasetemp(), bytes(content))


def test_the_damaged_chunk_is_named(tmp_path: Path) -> None:
    content = bytearray(WHOLE)
    content[8 + len(HEADER) + 10] ^= 1
    with pytest.raises(DataError, match=f"chunk IDAT at byte {8 + len(HEADER)} is wrong; copy or download it again"):
        check(tmp_path, bytes(content))


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n"])
def test_another_format_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no PNG file"):
        check(tmp_path, content)


def test_real_files_pass(real_data: Path) -> None:
    for path in sorted((real_data / "dubai" / "Tile 1" / "masks").glob("*.png")):
        check_png(path)
