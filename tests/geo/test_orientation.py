"""All eight orientations in every format that notes them, against Pillow; and files whose note does not count."""

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image, ImageOps

from terrazzo.geo.grid import Window
from terrazzo.geo.orientation import UPRIGHT, Orientation, read_orientation
from terrazzo.geo.raster import RasterFile

DRAW = np.random.default_rng(8)
TAG = 0x0112


def photograph(path: Path, number: int | None) -> Path:
    """Write smooth colours, which lossy formats keep apart, with a camera's note."""
    y, x = np.mgrid[:24, :40]
    picture = Image.fromarray(np.stack([y * 9, x * 6, 255 - 5 * y - 3 * x], axis=-1).astype(np.uint8))
    notes = Image.Exif()
    if number is not None:
        notes[TAG] = number
    # Something before it, as cameras write.
    notes[0x010F] = "Kamera für Öde"
    picture.save(path, exif=notes, subsampling=0, lossless=True)
    return path


def seen(path: Path) -> np.ndarray:
    """The picture as Pillow shows it, band first."""
    with Image.open(path) as opened:
        return np.moveaxis(np.asarray(ImageOps.exif_transpose(opened)), -1, 0)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_pixels_stand_as_pillow_shows_them(tmp_path: Path, suffix: str, number: int) -> None:
    expected = seen(photograph(tmp_path / f"Straße {number}.{suffix}", number))
    with RasterFile(tmp_path / f"Straße {number}.{suffix}") as file:
        assert (file.grid.height, file.grid.width) == expected.shape[1:] == ((24, 40) if number < 5 else (40, 24))
        whole = file.read()
    # Two decoders of JPEG round in their own ways.
    np.testing.assert_allclose(whole.values.astype(int), expected, atol=3 if suffix == "jpg" else 0)
    assert whole.valid.all()
    assert whole.values.flags.c_contiguous


@pytest.mark.parametrize("number", range(1, 9))
def test_windows_are_parts_of_the_turned_picture(tmp_path: Path, number: int) -> None:
    expected = seen(photograph(tmp_path / "a.png", number))
    with RasterFile(tmp_path / "a.png") as file:
        height, width = expected.shape[1:]
        for window in (Window(0, 0, 1, 1), Window(height - 3, width - 7, 3, 7), Window(5, 2, 11, 13)):
            part = file.read(window, file.bands.select(["blue", "red"]))
            np.testing.assert_array_equal(part.values, expected[[2, 0]][:, *window.slices])
            assert part.valid.shape == (window.height, window.width)


@pytest.mark.parametrize("number", range(1, 9))
def test_transparency_is_turned_with_the_pixels(tmp_path: Path, number: int) -> None:
    values = DRAW.integers(0, 255, (7, 12, 4), dtype=np.uint8)
    values[..., 3] = np.where(DRAW.random((7, 12)) < 0.5, 255, 0)
    notes = Image.Exif()
    notes[TAG] = number
    Image.fromarray(values).save(tmp_path / "a.png", exif=notes)
    with RasterFile(tmp_path / "a.png") as file:
        np.testing.assert_array_equal(file.read().valid, seen(tmp_path / "a.png")[3] == 255)


def test_a_tiled_tiff_is_turned_tile_by_tile(tmp_path: Path) -> None:
    values = DRAW.integers(0, 255, (3, 70, 100), dtype=np.uint8)
    options = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 70, "width": 100}
    path = tmp_path / "tiles.tif"
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(path, "w", tiled=True, blockxsize=32, blockysize=16, **options) as file,
    ):
        file.write(values)
    add_tiff_orientation(path, 6)
    with RasterFile(path) as file:
        assert file.block_shape == (32, 16)
        np.testing.assert_array_equal(file.read().values, np.rot90(values, -1, axes=(1, 2)))
        part = file.read(Window(40, 30, 33, 35)).values
        np.testing.assert_array_equal(part, np.rot90(values, -1, axes=(1, 2))[:, 40:73, 30:65])


def add_tiff_orientation(path: Path, number: int) -> None:
    """Write a copy of a TIFF's directory, the orientation included, at its end and point the header at it."""
    content = bytearray(path.read_bytes())
    assert content[:4] == b"II*\0"
    first = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[first : first + 2])[0]
    entries = [bytes(content[first + 2 + 12 * n : first + 14 + 12 * n]) for n in range(count)]
    entries = sorted([*entries, struct.pack("<HHIHxx", TAG, 3, 1, number)], key=lambda entry: entry[:2][::-1])
    content += b"\0" * (len(content) % 2)
    content[4:8] = struct.pack("<I", len(content))
    path.write_bytes(bytes(content) + struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0")


def test_big_tiffs_and_motorola_order_are_read(tmp_path: Path) -> None:
    big = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + struct.pack("<QHHQHHI", 1, TAG, 3, 1, 8, 0, 0)
    (tmp_path / "big.tif").write_bytes(big)
    motorola = struct.pack(">2sHI", b"MM", 42, 8) + struct.pack(">HHHIHH", 1, TAG, 3, 1, 5, 0)
    (tmp_path / "motorola.tif").write_bytes(motorola)
    assert read_orientation(tmp_path / "big.tif", "GTiff") == Orientation(exchanged=True, mirrored_y=True)
    assert read_orientation(tmp_path / "motorola.tif", "GTiff") == Orientation(exchanged=True)


@pytest.mark.parametrize("how", ["world file", "coordinates"])
def test_where_pixels_have_a_place_a_note_does_not_count(tmp_path: Path, how: str) -> None:
    path = photograph(tmp_path / "a.png", 6)
    if how == "world file":
        path.with_suffix(".pgw").write_text("0.5\n0\n0\n-0.5\n100\n200\n")
    else:
        description = "<SRS>EPSG:32633</SRS><GeoTransform>100, 0.5, 0, 200, 0, -0.5</GeoTransform>"
        path.with_suffix(".png.aux.xml").write_text(f"<PAMDataset>{description}</PAMDataset>")
    with RasterFile(path) as file, Image.open(path) as stored:
        assert file.orientation == UPRIGHT
        assert (file.grid.height, file.grid.width) == (24, 40)
        np.testing.assert_array_equal(file.read().values, np.moveaxis(np.asarray(stored), -1, 0))


@pytest.mark.parametrize("number", [None, 0, 1, 9, 65535])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_a_file_that_says_nothing_of_use_stays_as_it_is(tmp_path: Path, suffix: str, number: int | None) -> None:
    path = photograph(tmp_path / f"a.{suffix}", number)
    with RasterFile(path) as file:
        assert file.orientation == UPRIGHT


@pytest.mark.parametrize(
    "notes",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0MM\0*\0\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12",
        b"Exif\0\0XX\0*\0\0\0\x08\0\0",
        # The right tag, but four bytes long: its value would be read from the wrong half.
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x06",
        b"http://ns.adobe.com/xap/1.0/\0<x/>",
    ],
)
def test_damaged_notes_say_nothing(tmp_path: Path, notes: bytes) -> None:
    path = photograph(tmp_path / "a.jpg", None)
    plain = path.read_bytes()
    assert plain[2:4] == b"\xff\xe0"
    start = 4 + int.from_bytes(plain[4:6])
    end = start + 2 + int.from_bytes(plain[start + 2 : start + 4])
    assert plain[start : start + 2] == b"\xff\xe1"
    path.write_bytes(plain[:start] + b"\xff\xe1" + struct.pack(">H", len(notes) + 2) + notes + plain[end:])
    assert read_orientation(path, "JPEG") == UPRIGHT


def test_the_exif_segment_is_found_behind_another_of_its_kind(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.jpg", 3)
    plain = path.read_bytes()
    other = b"http://ns.adobe.com/xap/1.0/\0<x/>"
    # Any number of 0xFF may stand before a marker.
    path.write_bytes(plain[:2] + b"\xff\xff\xe1" + struct.pack(">H", len(other) + 2) + other + plain[2:])
    assert read_orientation(path, "JPEG") == Orientation(mirrored_y=True, mirrored_x=True)


def test_a_note_after_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.png", 8)
    plain = path.read_bytes()
    start = plain.index(b"eXIf") - 4
    length = int.from_bytes(plain[start : start + 4]) + 12
    end = plain.index(b"IEND") - 4
    path.write_bytes(plain[:start] + plain[start + length : end] + plain[start : start + length] + plain[end:])
    with RasterFile(path) as file:
        assert file.grid.shape == (40, 24)


def test_a_turned_photograph_is_decoded_whole(tmp_path: Path) -> None:
    # In rows of the turned picture every stored row has its part.
    with RasterFile(photograph(tmp_path / "a.jpg", 6)) as file:
        assert file.block_shape == (40, 24)
    with RasterFile(photograph(tmp_path / "b.jpg", 1)) as file:
        assert file.block_shape == (1, 40)


def test_other_formats_note_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"MM\0*\0\0\0\x08")
    assert read_orientation(tmp_path / "a.bin", "BMP") == UPRIGHT
