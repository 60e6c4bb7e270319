"""Whole JPEG files pass whatever their make; cut-off ones are refused by name."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.errors import DataError
from terrazzo.geo.jpeg import check_jpeg
from terrazzo.geo.raster import RasterFile


def jpeg(**settings: object) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (61, 47, 3)).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(values).save(content, format="JPEG", **settings)
    return content.getvalue()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"progressive": True},
        {"quality": 100, "subsampling": 0},
        {"restart_marker_rows": 1},
        {"comment": b"\xff\xd9"},
    ],
)
def test_whole_files_pass(tmp_path: Path, settings: dict[str, object]) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(**settings))
    check_jpeg(path)


def test_what_follows_the_end_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg() + b"\x00\x01 a camera's own data")
    check_jpeg(path)


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"exif": b"Exif\x00\x00" + jpeg()}])
def test_every_cut_is_seen(tmp_path: Path, settings: dict[str, object]) -> None:
    whole = jpeg(**settings)
    path = tmp_path / "a.jpg"
    # An embedded thumbnail has an end marker of its own, which must not count.
    for length in (3, 5, 200, len(whole) // 2, len(whole) - 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a\.jpg is (cut off|no JPEG)"):
            check_jpeg(path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"GIF89a....")
    with pytest.raises(DataError, match="is no JPEG file"):
        check_jpeg(path)


def test_opening_a_cut_off_jpeg_fails(tmp_path: Path) -> None:
    path = tmp_path / "photo of a field.JPG"
    path.write_bytes(jpeg()[:-500])
    with pytest.raises(DataError, match=r"field\.JPG is cut off after \d+ bytes"):
        RasterFile(path)
