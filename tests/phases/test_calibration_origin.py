"""What a calibration was made on is told by names and pixels, wherever and however these are stored."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio

from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.geo.bands import Band, Bands
from terrazzo.phases.calibration_origin import day, entry_hash, joined_hash, scene_hash

BANDS = Bands(items=(Band(name="red", dtype="uint8"), Band(name="nir", dtype="uint8")))
CLASSES = Classes(items=(Class(name="a"), Class(name="b")))


def write(folder: Path, values: np.ndarray, target: np.ndarray, **profile: object) -> ImageEntry:
    folder.mkdir(parents=True)
    for name, data in (("image", values), ("label", target[None])):
        with rasterio.open(
            folder / f"{name} ü.tif", "w", driver="GTiff", count=len(data), height=data.shape[1], width=data.shape[2],
            dtype="uint8", **profile,
        ) as file:  # fmt: skip
            file.write(data)
    label = RasterLabel(rasters=(folder / "label ü.tif",))
    stack = tuple(BandPlace(band.name, 0, number) for number, band in enumerate(BANDS))
    return ImageEntry("one", folder / "image ü.tif", label, (), "calibrate", None, *target.shape, stack=stack)


def images() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    return generator.integers(1, 256, (2, 300, 7)).astype(np.uint8), generator.integers(0, 2, (300, 7)).astype(np.uint8)


def test_the_hash_follows_pixels_and_names_not_files(tmp_path: Path):
    values, target = images()
    plain = write(tmp_path / "a", values, target)
    packed = write(tmp_path / "elsewhere", values, target, compress="deflate", tiled=True, blockxsize=16, blockysize=16)
    first = entry_hash(plain, BANDS, CLASSES)
    assert first == entry_hash(packed, BANDS, CLASSES)
    assert first != entry_hash(replace(plain, image_id="two"), BANDS, CLASSES)
    assert scene_hash(plain, BANDS) == scene_hash(packed, BANDS) != first


def test_one_pixel_or_label_changes_the_hash(tmp_path: Path):
    values, target = images()
    first = entry_hash(write(tmp_path / "a", values, target), BANDS, CLASSES)
    other_pixel, other_label = values.copy(), target.copy()
    other_pixel[1, 299, 6] ^= 1
    other_label[0, 0] ^= 1
    assert entry_hash(write(tmp_path / "b", other_pixel, target), BANDS, CLASSES) != first
    changed = write(tmp_path / "c", values, other_label)
    assert entry_hash(changed, BANDS, CLASSES) != first
    assert scene_hash(changed, BANDS) == scene_hash(write(tmp_path / "d", values, target), BANDS)


def test_the_order_of_images_changes_nothing():
    assert joined_hash(["a", "b"]) == joined_hash(["b", "a"]) != joined_hash(["a"])


def test_the_day_is_todays_unless_it_is_said():
    before = datetime.now(UTC).date().isoformat()
    assert before <= day(None) <= datetime.now(UTC).date().isoformat()
    assert day("2020-02-29") == "2020-02-29"
