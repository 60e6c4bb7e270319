"""What one file of the store takes, and what is kept out of it."""

import errno

import numpy as np
import pytest
import rasterio

from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.store import writing as store_writing
from terrazzo.data.store.writing import TileJob, write_tiles
from terrazzo.errors import SpaceError, StorageError
from terrazzo.geo.bands import Band, Bands

CLASSES = Classes(items=["a", "b"], ignore_values=[7])
BANDS = Bands(items=(Band(name="one"), Band(name="two"), Band(name="three")))
STACK = tuple(BandPlace(band.name, 0, number) for number, band in enumerate(BANDS))


@pytest.fixture
def entry(write_photo):
    draw = np.random.default_rng(0)
    image = write_photo("ein Bild ö.png", draw.integers(0, 256, (30, 300, 3), dtype=np.uint8))
    label = write_photo("l.png", draw.choice([0, 1, 7], (30, 300)).astype(np.uint8))
    return ImageEntry("i", image, RasterLabel(rasters=(label,)), (), "train", None, 30, 300, stack=STACK)


def bands_of(path):
    with rasterio.open(path) as file:
        return file.count


def test_a_band_of_validity_only_where_it_says_something(entry, tmp_path):
    write_tiles(TileJob(entry, tmp_path / "a.tif", BANDS, CLASSES))
    assert bands_of(tmp_path / "a.tif") == 4
    missing = Bands(items=tuple(band.model_copy(update={"nodata": 3.0}) for band in BANDS))
    write_tiles(TileJob(entry, tmp_path / "b.tif", missing, CLASSES))
    assert bands_of(tmp_path / "b.tif") == 5
    write_tiles(TileJob(entry, tmp_path / "c.tif", None, CLASSES))
    assert bands_of(tmp_path / "c.tif") == 1


def test_a_label_is_class_numbers_and_the_ignore_value(entry, tmp_path):
    write_tiles(TileJob(entry, tmp_path / "a.tif", None, CLASSES))
    with rasterio.open(tmp_path / "a.tif") as file, rasterio.open(entry.label.file) as label:
        raw = label.read(1)
        assert np.array_equal(file.read(1), np.where(raw == 7, 255, raw))


def test_a_file_takes_no_more_than_said(entry, tmp_path):
    job = TileJob(entry, tmp_path / "a.tif", BANDS, CLASSES)
    write_tiles(job)
    assert job.path.stat().st_size <= job.largest_bytes == 256 * 512 * 5 + 2**16


@pytest.mark.parametrize(
    ("error", "kind"),
    [(OSError(errno.ENOSPC, "No space left"), SpaceError), (OSError(errno.EACCES, "Permission denied"), StorageError)],
)
def test_errors_of_the_disk(entry, tmp_path, monkeypatch, error, kind):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(store_writing, "_create", fail)
    with pytest.raises(kind, match=r"a\.tif cannot be written: .*prepare\.store: original") as caught:
        write_tiles(TileJob(entry, tmp_path / "a.tif", BANDS, CLASSES))
    assert type(caught.value) is kind
    assert list(tmp_path.glob("*a*.tif")) == []


def test_an_error_of_the_image_stays_what_it_is(entry, tmp_path):
    entry.image.write_bytes(entry.image.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"ein Bild ö\.png"):
        write_tiles(TileJob(entry, tmp_path / "a.tif", BANDS, CLASSES))
