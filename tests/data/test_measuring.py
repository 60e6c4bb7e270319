"""One pass over an image: counts and moments, whatever the strips."""

from collections import Counter

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from terrazzo.data import measuring
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.measuring import measure_image
from terrazzo.data.patches import cut
from terrazzo.errors import DataError, LabelError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.warped import Warp

CLASSES = Classes(items=["a", "b", "c"], ignore_values=[9])
BANDS = Bands(items=(Band(name="one"), Band(name="two")))


def scene(folder, size=(37, 23), seed=0):
    draw = np.random.default_rng(seed)
    image = draw.integers(0, 200, (2, *size)).astype(np.uint8)
    image[0][draw.random(size) < 0.1] = 255
    label = draw.choice([0, 1, 2, 9], size).astype(np.uint8)
    for name, values, nodata in (("image.tif", image, 255), ("label.tif", label[None], None)):
        with rasterio.open(
            folder / name,
            "w",
            driver="GTiff",
            count=len(values),
            height=size[0],
            width=size[1],
            dtype="uint8",
            crs="EPSG:32633",
            transform=Affine(2, 0, 9, 0, -2, 9),
            nodata=nodata,
            blockysize=1,
        ) as file:
            file.write(values)
    stack = (BandPlace("one", 0, 0), BandPlace("two", 0, 1))
    reference = RasterLabel(rasters=(folder / "label.tif",))
    entry = ImageEntry("i", folder / "image.tif", reference, (), "train", None, *size, stack=stack)
    return image, label, entry


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return scene(tmp_path_factory.mktemp("ein Bild ö"))


@pytest.mark.parametrize("compared", [0, measuring.COMPARED_CLASSES])
@pytest.mark.parametrize("strip", [1, 200, measuring.STRIP_BYTES])
def test_agrees_with_numpy_however_it_is_cut_into_strips(shared, monkeypatch, strip, compared):
    monkeypatch.setattr(measuring, "STRIP_BYTES", strip)
    monkeypatch.setattr(measuring, "COUNTED_ROWS", min(max(strip // 50, 1), measuring.COUNTED_ROWS))
    monkeypatch.setattr(measuring, "COMPARED_CLASSES", compared)
    image, label, entry = shared
    patches = cut(37, 23, size=8, step=5)
    found = measure_image(entry, patches, BANDS, CLASSES)
    valid = (image != 255).all(axis=0)
    labelled = valid & (label != 9)
    assert found.moments.pixels == valid.sum()
    assert found.moments.mean == pytest.approx(image[:, valid].mean(axis=1))
    assert found.class_pixels == tuple(int((labelled & (label == number)).sum()) for number in range(3))
    assert found.ignored == (~labelled).sum()
    assert found.unlisted == {}
    for band, (values, counts) in enumerate(zip(found.sketch.values, found.sketch.counts, strict=True)):
        assert dict(zip(values, counts, strict=True)) == Counter(image[band][valid].tolist())
    for patch, pixels in zip(patches, found.patch_pixels, strict=True):
        part = np.where(labelled, label, 3)[patch.window.slices]
        assert pixels.tolist() == np.bincount(part.ravel(), minlength=4).tolist()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_counts_of_patches_sum_their_pixels(shared, size, step):
    patches = cut(37, 23, size=size, step=step)
    found = measure_image(shared[2], patches, BANDS, CLASSES)
    areas = [patch.window.height * patch.window.width for patch in patches]
    assert found.patch_pixels.sum(axis=1).tolist() == areas
    assert sum(found.class_pixels) + found.ignored == 37 * 23


def test_the_same_bits_whatever_the_strips_for_small_integers(shared, monkeypatch):
    patches = cut(37, 23, size=16, step=16)
    whole = measure_image(shared[2], patches, BANDS, CLASSES)
    monkeypatch.setattr(measuring, "STRIP_BYTES", 1)
    assert measure_image(shared[2], patches, BANDS, CLASSES).moments == whole.moments


def test_what_no_class_lists_is_counted_and_never_raised(shared):
    classes = Classes(items=["a", "b"], ignore_values=[9])
    found = measure_image(shared[2], cut(37, 23, size=16, step=16), BANDS, classes)
    assert found.unlisted == {"2": int((shared[1] == 2).sum())}
    assert sum(found.class_pixels) + found.ignored == 37 * 23


def test_background_takes_what_no_class_lists(shared):
    image, label, entry = shared
    classes = Classes(items=["a", "b"], ignore_values=[9], unlisted="background")
    found = measure_image(entry, cut(37, 23, size=16, step=16), BANDS, classes)
    assert found.class_pixels[0] == (np.isin(label, (0, 2)) & (image != 255).all(axis=0)).sum()


def test_countless_unlisted_values_are_summed_up(write_photo):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = write_photo("a.png", values)
    reference = RasterLabel(rasters=(path,))
    entry = ImageEntry("i", path, reference, (), "train", None, 16, 16, stack=(BandPlace("one", 0, 0),))
    found = measure_image(entry, cut(16, 16, size=16, step=16), BANDS.select(["one"]), Classes(items=["a", "b"]))
    assert len(found.unlisted) == measuring.LARGEST_LISTING + 1
    assert sum(found.unlisted.values()) == 254


def test_an_image_without_label_is_all_ignored(shared):
    entry = ImageEntry("i", shared[2].image, None, (), "train", None, 37, 23, stack=shared[2].stack)
    found = measure_image(entry, cut(37, 23, size=64, step=64), BANDS, CLASSES)
    assert found.class_pixels == (0, 0, 0)
    assert found.ignored == 37 * 23
    assert found.moments.pixels > 0


def test_one_pixel(write_photo):
    path = write_photo("a.png", np.array([[1]], dtype=np.uint8))
    reference = RasterLabel(rasters=(path,))
    entry = ImageEntry("i", path, reference, (), "train", None, 1, 1, stack=(BandPlace("one", 0, 0),))
    found = measure_image(entry, cut(1, 1, size=8, step=8), BANDS.select(["one"]), CLASSES)
    assert found.class_pixels == (0, 1, 0)
    assert found.moments.mean == (1.0,)


def test_truncated_files_are_named(tmp_path):
    _, _, entry = scene(tmp_path)
    content = entry.image.read_bytes()
    entry.image.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"image\.tif"):
        measure_image(entry, cut(37, 23, size=16, step=16), BANDS, CLASSES)


def test_colour_masks_where_values_are_listed(shared, write_photo):
    mask = write_photo("m.png", np.zeros((37, 23, 3), dtype=np.uint8))
    reference = RasterLabel(rasters=(mask,))
    entry = ImageEntry("i", shared[2].image, reference, (), "train", None, 37, 23, stack=shared[2].stack)
    with pytest.raises(LabelError, match=r"m\.png: the label has 3 bands"):
        measure_image(entry, cut(37, 23, size=16, step=16), BANDS, CLASSES)


def test_without_statistics_the_counts_are_the_same(shared):
    patches = cut(37, 23, size=8, step=5)
    full = measure_image(shared[2], patches, BANDS, CLASSES)
    counted = measure_image(shared[2], patches, BANDS, CLASSES, statistics=False)
    assert counted.patch_pixels.tolist() == full.patch_pixels.tolist()
    assert (counted.class_pixels, counted.ignored) == (full.class_pixels, full.ignored)
    assert counted.moments.pixels == 0


def test_without_statistics_an_image_of_which_nothing_can_be_missing_is_not_decoded(write_photo, monkeypatch):
    label = np.random.default_rng(0).integers(0, 3, (16, 20)).astype(np.uint8)
    image = write_photo("a.jpg", np.zeros((16, 20, 3), dtype=np.uint8))
    stack = tuple(BandPlace(name, 0, number) for number, name in enumerate(("red", "green", "blue")))
    reference = RasterLabel(rasters=(write_photo("l.png", label),))
    entry = ImageEntry("i", image, reference, (), "train", None, 16, 20, stack=stack)
    bands = Bands(items=tuple(Band(name=place.name) for place in stack))

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(measuring.ImageFiles, "read", refuse)
    found = measure_image(entry, cut(16, 20, size=16, step=16), bands, CLASSES, statistics=False)
    assert found.class_pixels == tuple(np.bincount(label.ravel(), minlength=3).tolist())
    nodata = Bands(items=(Band(name="red", nodata=0),))
    with pytest.raises(AssertionError):
        measure_image(entry, cut(16, 20, size=16, step=16), nodata, CLASSES, statistics=False)


def test_more_rows_than_eight_bits_can_count(write_photo):
    path = write_photo("l.png", np.ones((600, 3), dtype=np.uint8))
    entry = ImageEntry(
        "i", path, RasterLabel(rasters=(path,)), (), "train", None, 600, 3, stack=(BandPlace("one", 0, 0),)
    )
    found = measure_image(entry, cut(600, 3, size=600, step=600), BANDS.select(["one"]), CLASSES)
    assert found.class_pixels == (0, 1800, 0)


def test_a_label_on_another_grid_is_resampled_once(tmp_path, monkeypatch):
    """Rows of the image are read by whole blocks of the label, however few rows the image's own blocks have."""
    monkeypatch.setattr(measuring, "STRIP_BYTES", 1)
    image, label, _ = scene(tmp_path, (600, 300))
    values = label[::2, ::2]
    frame = {"driver": "GTiff", "count": 1, "height": 300, "width": 150, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "coarse.tif", "w", transform=Affine(4, 0, 9, 0, -4, 9), **frame) as file:
        file.write(values[None])
    stack = (BandPlace("one", 0, 0), BandPlace("two", 0, 1))
    entry = ImageEntry(
        "i", tmp_path / "image.tif", RasterLabel(rasters=(tmp_path / "coarse.tif",)), (), "train", None, 600, 300,
        crs=CRS.from_epsg(32633).to_wkt(), transform=(2.0, 0.0, 9.0, 0.0, -2.0, 9.0), stack=stack,
    )  # fmt: skip
    resampled = []
    real = Warp._resampled
    monkeypatch.setattr(
        Warp, "_resampled", lambda self, part, *given: resampled.append(part) or real(self, part, *given)
    )
    found = measure_image(entry, cut(600, 300, size=64, step=64), BANDS, CLASSES)
    assert len(resampled) == len(set(resampled)) == 6
    target = values.repeat(2, axis=0).repeat(2, axis=1)
    valid = (image != 255).all(axis=0)
    assert found.class_pixels == tuple(int((valid & (target == number)).sum()) for number in range(3))
