"""A file that several readers open is opened once, and closed when the last has done."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from terrazzo.errors import DataError
from terrazzo.geo import kept_open
from terrazzo.geo.kept_open import keep_open, opened_header
from terrazzo.geo.raster import RasterFile


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a ü.png"
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(path)
    return path


def test_one_opening_serves_all_readers(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, str | None]] = []
    really = rasterio.open

    def count(path: str, *, driver: str | None) -> object:
        opened.append((path, driver))
        return really(path, driver=driver)

    monkeypatch.setattr(kept_open.rasterio, "open", count)
    with keep_open():
        with opened_header(str(picture), driver="PNG") as header:
            assert header.shape == (3, 4)
        for _ in range(3):
            with RasterFile(picture) as file:
                assert file.read().values[0, 2, 3] == 11
        source = file._source
        assert not source.closed
    assert source.closed
    assert opened == [(str(picture), "PNG")]


def test_elsewhere_each_reader_opens_and_closes(picture: Path) -> None:
    with RasterFile(picture) as first, RasterFile(picture) as second:
        assert first._source is not second._source
    assert first._source.closed


def test_a_header_alone_is_closed_at_once(picture: Path) -> None:
    with opened_header(str(picture)) as header:
        assert not header.closed
    assert header.closed


@pytest.mark.parametrize("header_first", [False, True])
def test_a_file_that_is_not_whole_is_refused_each_time(picture: Path, *, header_first: bool) -> None:
    picture.write_bytes(picture.read_bytes()[:-20])
    with keep_open():
        if header_first:
            with opened_header(str(picture)):
                pass
        for _ in range(2):
            with pytest.raises(DataError, match=r"a ü\.png"):
                RasterFile(picture)
