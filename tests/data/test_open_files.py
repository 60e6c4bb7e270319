"""What a process keeps open: bounded, and its own."""

import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from terrazzo.data import open_files
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.reading import read_image, read_target
from terrazzo.data.store.manifest import with_tiles
from terrazzo.data.store.store import TileStore
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Window

RGB = Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue")))
STACK = tuple(BandPlace(band.name, 0, number) for number, band in enumerate(RGB))
WHOLE = Window(0, 0, 7, 11)


@pytest.fixture
def entries(write_photo, monkeypatch):
    """Twelve photographs, each of its number, for a process that keeps nothing yet."""
    monkeypatch.setattr(open_files, "_OPEN", {})
    return [
        ImageEntry(
            str(number), write_photo(f"ö {number}.png", np.full((7, 11, 3), number, dtype=np.uint8)), None, (), "train",
            None, 7, 11, stack=STACK,
        )
        for number in range(12)
    ]  # fmt: skip


def test_open_files_and_decoded_bytes_stay_bounded(entries, monkeypatch):
    monkeypatch.setattr(open_files, "OPEN_FILES", 4)
    monkeypatch.setattr(open_files, "KEPT_BYTES", 1000)
    for number, entry in enumerate(entries):
        assert (read_image(entry, WHOLE, RGB).values == number).all()
    kept = open_files.open_files()
    assert len(kept._files) == 4
    assert kept._bytes <= 1000
    assert kept._bytes == sum(array.nbytes for arrays in kept._arrays.values() for array in arrays)


def test_a_label_that_is_kept_decoded_is_not_opened_again(entries, monkeypatch):
    """More labels than stay open: to open shapes is to read their file."""
    classes = Classes(items=[str(number) for number in range(12)])
    entries = [replace(entry, label=RasterLabel(rasters=(entry.image,))) for entry in entries]
    for entry in entries:
        gray = np.full((7, 11), int(entry.image_id), dtype=np.uint8)
        Image.fromarray(gray).save(entry.image)
    monkeypatch.setattr(open_files, "OPEN_FILES", 4)
    opened = []
    open_label = RasterLabel.open

    def spied(self, grid):
        opened.append(self.file)
        return open_label(self, grid)

    monkeypatch.setattr(RasterLabel, "open", spied)
    for _ in range(3):
        for number, entry in enumerate(entries):
            assert (read_target(entry, WHOLE, classes) == number).all()
    assert len(opened) == len(set(opened)) == 12


def test_open_files_of_the_patch_store_stay_bounded(entries, monkeypatch, tmp_path):
    classes = Classes(items=["a", "b"])
    settings = {"store": "tiles", "inputs": "one", "bands": RGB, "classes": classes, "patch_size": 2}
    TileStore(folder=tmp_path / "p", entries=entries, **settings).write()
    monkeypatch.setattr(open_files, "TILE_FILES", 3)
    stored = with_tiles(tmp_path / "p", entries, RGB, classes, inputs="one")
    for _ in range(2):
        for number, entry in enumerate(stored):
            assert (read_image(entry, WHOLE, RGB).values == number).all()
    assert len(open_files.open_files()._tiles) == 3
    assert len(open_files.open_files()._files) == 0


def test_a_forked_child_begins_with_files_of_its_own(monkeypatch):
    monkeypatch.setattr(open_files, "_OPEN", {})
    parent = open_files.open_files()
    assert open_files.open_files() is parent
    monkeypatch.setattr(open_files.os, "getpid", lambda: -1)
    assert open_files.open_files() is not parent


def test_the_state_of_a_file_follows_its_size_and_time(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    os.utime(path, ns=(5, 7))
    assert open_files.file_state(path) == (str(path), 1, 7)
    with pytest.raises(DataError, match="missing cannot be read: No such file"):
        open_files.file_state(tmp_path / "missing")
