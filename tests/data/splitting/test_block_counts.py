"""Pixels of each class in each block: against a count pixel by pixel, whatever the strips."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from terrazzo.data import measuring
from terrazzo.data.areas.blocks import NUDGE, BlockArea
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel, RasterLabelReader
from terrazzo.data.splitting.block_counts import count_blocks
from terrazzo.errors import DataError

WKT = CRS.from_epsg(32632).to_wkt()
CLASSES = Classes(items=["a", "b", "c"], ignore_values=[9])
SIZE = (61, 53)


def entry_of(folder: Path, name: str, *, turn: float = 0.0, seed: int = 0) -> ImageEntry:
    """An image that does not exist, with a label that does: no image may be opened."""
    transform = Affine.translation(500_003, 5_000_001) @ Affine.rotation(turn) @ Affine.scale(10, -10)
    label = np.random.default_rng(seed).choice([0, 1, 2, 9, 77], SIZE).astype(np.uint8)
    path = folder / f"{name} ö.tif"
    frame = {"driver": "GTiff", "count": 1, "height": SIZE[0], "width": SIZE[1], "dtype": "uint8", "crs": "EPSG:32632"}
    with rasterio.open(path, "w", transform=transform, blockysize=4, **frame) as file:
        file.write(label[None])
    coefficients = tuple(transform)[:6]
    reference = RasterLabel(rasters=(path,))
    return ImageEntry(name, folder / "none.tif", reference, (), None, None, *SIZE, crs=WKT, transform=coefficients)


def blocks(size: float = 130.0) -> BlockArea:
    return BlockArea(part="a", shares=(("a", 1.0),), size=size, crs=WKT)


def expected(entry: ImageEntry, size: float) -> dict[tuple[int, int], list[int]]:
    with rasterio.open(entry.label.file) as file:
        label = file.read(1)
    found: Counter[tuple[tuple[int, int], int]] = Counter()
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            x, y = entry.grid.transform @ (column + 0.5, row + 0.5)
            kind = int(label[row, column]) if label[row, column] < 3 else 3
            found[(int((y / size + NUDGE) // 1), int((x / size + NUDGE) // 1)), kind] += 1
    places = {place for place, _ in found}
    return {place: [found[place, kind] for kind in range(4)] for place in places}


def plain(counts):
    return {block: pixels.tolist() for block, pixels in counts.items()}


@pytest.mark.parametrize("turn", [0.0, 33.0])
@pytest.mark.parametrize("strip_bytes", [1, 2**25])
def test_blocks_hold_what_their_pixels_say(tmp_path, monkeypatch, turn, strip_bytes):
    monkeypatch.setattr(measuring, "STRIP_BYTES", strip_bytes)
    entry = entry_of(tmp_path, "a", turn=turn)
    (found,) = count_blocks([entry], [blocks()], CLASSES)
    assert plain(found) == expected(entry, 130.0)


def test_no_strip_is_larger_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "STRIP_BYTES", 4 * SIZE[1] * 8)
    read = []
    entry = entry_of(tmp_path, "a")
    decode = RasterLabelReader.decode

    def spied(self, window, *arguments):
        read.append(window.height)
        return decode(self, window, *arguments)

    monkeypatch.setattr(RasterLabelReader, "decode", spied)
    count_blocks([entry], [blocks()], CLASSES)
    assert sum(read) == SIZE[0]
    assert max(read) == 8


def test_the_number_of_threads_changes_nothing(tmp_path, monkeypatch):
    entries = [entry_of(tmp_path, f"{number}", turn=number, seed=number) for number in range(5)]
    found = []
    for cores in (1, 3):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        found.append([plain(one) for one in count_blocks(entries, [blocks()] * 5, CLASSES)])
    assert found[0] == found[1] == [expected(entry, 130.0) for entry in entries]


def test_an_image_without_label_has_blocks_without_class(tmp_path):
    bare = ImageEntry("a", tmp_path / "none.tif", None, (), None, None, 4, 6)
    area = BlockArea(part="a", shares=(("a", 1.0),), size=4, image="a")
    (found,) = count_blocks([bare], [area], CLASSES)
    assert plain(found) == {(0, 0): [0, 0, 0, 16], (0, 1): [0, 0, 0, 8]}


def test_what_is_kept_is_the_same_and_a_damaged_file_is_counted_again(tmp_path):
    entry, file = entry_of(tmp_path, "a", turn=10), tmp_path / "blocks.parquet"
    first = count_blocks([entry], [blocks()], CLASSES, file=file)
    other = count_blocks([entry], [blocks(90)], CLASSES, file=file)
    assert plain(other[0]) == expected(entry, 90.0)
    again = count_blocks([entry], [blocks(90)], CLASSES, file=file)
    assert plain(again[0]) == plain(other[0])
    file.write_bytes(b"PAR1")
    assert plain(count_blocks([entry], [blocks()], CLASSES, file=file)[0]) == plain(first[0])


def test_a_damaged_label_is_named(tmp_path):
    entry = entry_of(tmp_path, "a")
    whole = entry.label.file.read_bytes()
    entry.label.file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a ö\.tif"):
        count_blocks([entry], [blocks()], CLASSES)
