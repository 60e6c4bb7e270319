"""Windows of images and labels, alike whether decoded whole or by window."""

import multiprocessing
import os
import threading

import numpy as np
import pytest
import rasterio
from affine import Affine

from terrazzo.data import open_files, reading
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.reading import read_image, read_target
from terrazzo.errors import ContractError, DataError, LabelError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Window

CLASSES = Classes(items=["a", "b", "c"], ignore_values=[9])
RGB = Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue")))


def tiff(path, values, **profile):
    height, width = values.shape[1:]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(values),
        height=height,
        width=width,
        dtype=values.dtype,
        transform=Affine(2, 0, 9, 0, -2, 9),
        crs="EPSG:32633",
        **profile,
    ) as file:
        file.write(values)
    return path


def entry_of(image, label=None, extra=(), size=(7, 11), names=("red", "green", "blue")):
    stack = tuple(BandPlace(name, 0, number) for number, name in enumerate(names))
    stack += tuple(BandPlace(f"extra_{number}", number, 0) for number in range(1, len(extra) + 1))
    label = RasterLabel(rasters=(label,)) if label else None
    return ImageEntry("i", image, label, tuple(extra), "train", None, *size, stack=stack)


@pytest.fixture
def photo(write_photo):
    values = np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)
    label = np.random.default_rng(1).choice([0, 1, 2, 9], (7, 11)).astype(np.uint8)
    return values, label, entry_of(write_photo("ein Bild/ö.png", values), write_photo("ein Bild/ö_l.png", label))


@pytest.mark.parametrize("limit", [0, reading.WHOLE_BYTES])
def test_windows_are_those_of_the_file_whole_or_not(photo, monkeypatch, limit):
    monkeypatch.setattr(reading, "WHOLE_BYTES", limit)
    values, label, entry = photo
    for window in (Window(0, 0, 7, 11), Window(2, 3, 4, 5), Window(6, 10, 1, 1)):
        raster = read_image(entry, window, RGB)
        assert np.array_equal(raster.values, np.moveaxis(values[window.slices], -1, 0))
        assert raster.valid.all()
        assert raster.values.shape[1:] == (window.height, window.width)
        target = read_target(entry, window, CLASSES)
        assert np.array_equal(target, np.where(label == 9, 255, label)[window.slices])


def test_bands_come_in_the_order_asked_for(photo):
    values, _, entry = photo
    raster = read_image(entry, Window(1, 1, 3, 3), RGB.select(["blue", "red"]))
    assert np.array_equal(raster.values, np.moveaxis(values[1:4, 1:4, [2, 0]], -1, 0))
    assert raster.bands.names == ("blue", "red")


def test_what_is_read_may_be_changed_without_changing_the_next_read(photo):
    _, _, entry = photo
    first = read_image(entry, Window(0, 0, 2, 2), RGB)
    before = first.values.copy()
    first.values[:] = 0
    first.valid[:] = False
    target = read_target(entry, Window(0, 0, 2, 2), CLASSES)
    expected = target.copy()
    target[:] = 77
    again = read_image(entry, Window(0, 0, 2, 2), RGB)
    assert np.array_equal(again.values, before)
    assert again.valid.all()
    assert np.array_equal(read_target(entry, Window(0, 0, 2, 2), CLASSES), expected)


@pytest.mark.parametrize("window", [Window(-1, 0, 2, 2), Window(6, 0, 2, 2), Window(0, 10, 1, 2)])
def test_windows_that_leave_the_image(photo, window):
    _, _, entry = photo
    with pytest.raises(ContractError, match="leaves the image"):
        read_image(entry, window, RGB)
    with pytest.raises(ContractError, match="leaves the 7 x 11 pixels"):
        read_target(entry, window, CLASSES)


def test_unknown_band(photo):
    with pytest.raises(ContractError, match="no band nir; it has red, green, blue"):
        read_image(photo[2], Window(0, 0, 1, 1), Bands(items=(Band(name="nir"),)))


@pytest.mark.parametrize("tiled", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}])
def test_a_pixel_is_valid_where_every_selected_band_is(tmp_path, tiled):
    image = np.full((2, 32, 40), 5, dtype=np.uint16)
    image[0, 3, 4] = 65535
    further = np.full((1, 32, 40), 7, dtype=np.float32)
    further[0, 10, 11] = np.nan
    entry = entry_of(
        tiff(tmp_path / "a.tif", image, nodata=65535, **tiled),
        None,
        (tiff(tmp_path / "b.tif", further, **tiled),),
        (32, 40),
        ("one", "two"),
    )
    names = ("one", "two", "extra_1")
    bands = Bands(items=tuple(Band(name=name, dtype="uint16") for name in names))
    valid = read_image(entry, Window(0, 0, 32, 40), bands).valid
    assert (~valid).sum() == 2
    assert not valid[3, 4]
    assert not valid[10, 11]
    assert read_image(entry, Window(0, 0, 32, 40), bands.select(["two"])).valid.all()


def test_nodata_of_the_settings_counts_beside_the_file(tmp_path):
    image = np.array([[[1, 2, 3]]], dtype=np.uint8)
    entry = entry_of(tiff(tmp_path / "a.tif", image, nodata=3), size=(1, 3), names=("one",))
    bands = Bands(items=(Band(name="one", nodata=1),))
    assert read_image(entry, Window(0, 0, 1, 3), bands).valid.tolist() == [[False, True, False]]


def test_an_image_without_label_is_ignored_everywhere(photo):
    entry = entry_of(photo[2].image)
    assert (read_target(entry, Window(0, 0, 2, 3), CLASSES) == 255).all()
    many = Classes(items=[str(number) for number in range(300)])
    assert read_target(entry, Window(0, 0, 2, 3), many).dtype == np.uint16


def test_unlisted_values_name_the_file(write_photo):
    label = write_photo("l.png", np.full((7, 11), 40, dtype=np.uint8))
    with pytest.raises(LabelError, match=r"l\.png: no class lists 40 \(77 pixels\)"):
        read_target(entry_of(label, label, names=("gray",)), Window(0, 0, 1, 1), CLASSES)


@pytest.mark.parametrize("limit", [0, reading.WHOLE_BYTES])
def test_transparent_pixels_stay_invalid_whole_or_not(write_photo, monkeypatch, limit):
    monkeypatch.setattr(reading, "WHOLE_BYTES", limit)
    values = np.full((7, 11, 4), 255, dtype=np.uint8)
    values[2, 3, 3] = 0
    entry = entry_of(write_photo("durchsichtig.png", values))
    for _ in range(2):
        valid = read_image(entry, Window(2, 2, 3, 4), RGB).valid
        assert np.argwhere(~valid).tolist() == [[0, 1]]


def test_a_file_that_has_changed_is_read_again(photo, write_photo):
    _, label, entry = photo
    assert read_target(entry, Window(0, 0, 7, 11), CLASSES).min() == 0
    path = write_photo("ein Bild/ö_l.png", np.full_like(label, 2))
    os.utime(path, ns=(1, 1))
    assert (read_target(entry, Window(0, 0, 7, 11), CLASSES) == 2).all()


@pytest.mark.parametrize("name", ["image", "label"])
def test_truncated_and_missing_files(photo, name):
    entry = photo[2]
    path = entry.image if name == "image" else entry.label.file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=path.name):
        _ = read_image(entry, Window(0, 0, 7, 11), RGB), read_target(entry, Window(0, 0, 7, 11), CLASSES)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        _ = read_image(entry, Window(0, 0, 7, 11), RGB), read_target(entry, Window(0, 0, 7, 11), CLASSES)


def test_a_small_photograph_is_decoded_once(photo, monkeypatch):
    calls = []
    monkeypatch.setattr(open_files, "_OPEN", {})
    read = reading.ImageFiles.read
    monkeypatch.setattr(reading.ImageFiles, "read", lambda *given: calls.append(1) or read(*given))
    for y in range(6):
        read_image(photo[2], Window(y, 0, 1, 11), RGB)
    assert len(calls) == 1


def _read_in_child(entry, queue):
    queue.put(read_image(entry, Window(0, 0, 7, 11), RGB).values.tolist())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same(photo, method):
    context = multiprocessing.get_context(method)
    values, _, entry = photo
    read_image(entry, Window(0, 0, 7, 11), RGB)
    queue = context.Queue()
    child = context.Process(target=_read_in_child, args=(entry, queue))
    child.start()
    assert queue.get(timeout=60) == np.moveaxis(values, -1, 0).tolist()
    child.join()
    assert child.exitcode == 0


def test_threads_may_read_at_once(photo):
    values, _, entry = photo
    found = []

    def work():
        rows = [read_image(entry, Window(y, 0, 1, 11), RGB).values[:, 0] for y in range(7)]
        found.extend(np.array_equal(row, values[y].T) for y, row in enumerate(rows))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 28
