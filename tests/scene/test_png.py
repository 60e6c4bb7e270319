"""The row-wise PNG: read back by an independent decoder, pixel for pixel."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from terrazzo.errors import StorageError
from terrazzo.scene.png import PngForm, PngWriter


def write(
    path: Path,
    pixels: np.ndarray,
    *,
    step: int = 7,
    palette: np.ndarray | None = None,
    texts: dict[str, str] | None = None,
) -> None:
    channels, height, width = pixels.shape
    writer = PngWriter(path, PngForm(height, width, pixels.dtype, channels, palette), texts=texts)
    for top in range(0, height, step):
        writer.write(pixels[:, top : top + step])
    writer.complete()


def read(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return file.read()


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    dtype=st.sampled_from(["uint8", "uint16"]),
    step=st.integers(1, 50),
)
def test_grey_comes_back(
    height: int, width: int, dtype: str, step: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("png") / "a b é.png"
    pixels = np.random.default_rng(height * 41 + width).integers(0, np.iinfo(dtype).max + 1, (1, height, width))
    write(path, pixels.astype(dtype), step=step)
    found = read(path)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, pixels)


def test_colours_with_alpha_come_back(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 13, 9)).astype(np.uint8)
    write(tmp_path / "c.png", pixels)
    np.testing.assert_array_equal(read(tmp_path / "c.png"), pixels)


def test_palette_and_notes_come_back(tmp_path: Path) -> None:
    palette = np.zeros((256, 4), dtype=np.uint8)
    palette[:2] = [[10, 20, 30, 255], [1, 2, 3, 255]]
    pixels = np.array([[[0, 1, 255]]], dtype=np.uint8)
    write(tmp_path / "p.png", pixels, palette=palette, texts={"CLASS_NAMES": "wälder"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "p.png") as file:
            assert file.colormap(1)[0] == (10, 20, 30, 255)
            assert file.colormap(1)[255] == (0, 0, 0, 0)
            np.testing.assert_array_equal(file.read(), pixels)
    assert "wälder".encode() in (tmp_path / "p.png").read_bytes()


def test_a_file_is_the_same_in_whatever_pieces_its_rows_come(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**16, (1, 300, 400), dtype=np.uint16)
    files = []
    for step in (1, 7, 300):
        write(tmp_path / f"{step}.png", pixels, step=step)
        files.append((tmp_path / f"{step}.png").read_bytes())
    assert files[0].count(b"IDAT") > 1
    assert files[0] == files[1] == files[2]


def test_missing_rows_are_an_error(tmp_path: Path) -> None:
    writer = PngWriter(tmp_path / "m.png", PngForm(3, 2, np.dtype(np.uint8)))
    writer.write(np.zeros((1, 2, 2), dtype=np.uint8))
    with pytest.raises(StorageError, match="1 rows were not written"):
        writer.complete()


def test_abandoning_closes_the_file(tmp_path: Path) -> None:
    writer = PngWriter(tmp_path / "m.png", PngForm(3, 200_000, np.dtype(np.uint8)))
    writer.abandon()
    noise = np.random.default_rng(0).integers(0, 256, (1, 3, 200_000)).astype(np.uint8)
    with pytest.raises(ValueError, match="closed"):
        writer.write(noise)
