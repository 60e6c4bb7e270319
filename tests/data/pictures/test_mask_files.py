"""Masks of any label, read back with Pillow and rasterio, and as labels of a new data set."""

import csv
import json
import os
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from terrazzo.data.catalog import Catalog, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.pictures import mask_files
from terrazzo.data.pictures.mask_files import write_masks
from terrazzo.data.prepare import prepare_data
from terrazzo.data.prepared import Prepared
from terrazzo.data.reading import read_target
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.sources.cvat import CvatSource
from terrazzo.data.sources.folder import FolderSource
from terrazzo.data.sources.geotiff import GeotiffSource
from terrazzo.errors import LabelError, StorageError
from terrazzo.geo.raster import RasterFile

DRAW = np.random.default_rng(21)
CLASSES = Classes(
    items=(
        Class(name="Straße, breit", colour=(255, 0, 0), values=(7,)),
        Class(name="b", colour=(0, 9, 0), values=(3,)),
    ),
    ignore_values=(9,),
)


def photographs(folder: Path, *names: str, classes: Classes = CLASSES) -> Prepared:
    """Images and their labels of values 7, 3 and 9, in folders; prepared."""
    for number, name in enumerate(names):
        size = (33 + number, 300)
        for kind, values in (
            ("images", DRAW.integers(0, 255, (*size, 3), dtype=np.uint8)),
            ("masks", DRAW.choice(np.array([7, 3, 9], dtype=np.uint8), size)),
        ):
            path = folder / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    data = DataSettings(source=FolderSource(folder=folder), classes=classes)
    return prepare_data(data, PrepareSettings(folder=folder / "prepared"))


def raw(folder: Path, name: str) -> np.ndarray:
    with Image.open(folder / "masks" / f"{name}.png") as opened:
        return np.asarray(opened)


def test_index_and_colour_masks_say_the_same(tmp_path: Path) -> None:
    prepared = photographs(tmp_path, "a", "Öde Straße/b 1")
    written = write_masks(prepared, "both", folder=tmp_path / "out")
    names = ["index/a.png", "index/Öde Straße/b 1.png", "colour/a.png", "colour/Öde Straße/b 1.png"]
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written.files] == names
    for name in ("a", "Öde Straße/b 1"):
        expected = np.select([raw(tmp_path, name) == 7, raw(tmp_path, name) == 3], [0, 1], 255)
        with Image.open(tmp_path / "out" / "index" / f"{name}.png") as index:
            assert index.mode == "L"
            np.testing.assert_array_equal(np.asarray(index), expected)
        with Image.open(tmp_path / "out" / "colour" / f"{name}.png") as colour:
            assert colour.mode == "P"
            np.testing.assert_array_equal(np.asarray(colour), expected)
            table = {0: (255, 0, 0), 1: (0, 9, 0), 255: (0, 0, 0)}
            seen = np.asarray(colour.convert("RGB"))
        assert {tuple(seen[at]): int(expected[at]) for at in np.ndindex(expected.shape)} == {
            found: number for number, found in table.items()
        }
    left = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left == {*names, "colormap.json", "colormap.csv", "masks.json", ".lock"}


@pytest.mark.parametrize("kind", ["index", "colour"])
def test_one_kind_can_be_written_alone_and_the_other_goes(tmp_path: Path, kind: str) -> None:
    prepared = photographs(tmp_path, "a")
    write_masks(prepared, "both", folder=tmp_path / "out")
    (tmp_path / "out" / "colour" / "mine.png").write_bytes(b"kept")
    write_masks(prepared, kind, folder=tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert found == {f"{kind}/a.png", "colour/mine.png"}


def test_the_colour_map_names_every_number(tmp_path: Path) -> None:
    write_masks(photographs(tmp_path, "a"), "index", folder=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "colormap.json").read_text(encoding="utf-8")) == {
        "classes": [
            {"number": 0, "name": "Straße, breit", "colour": "#FF0000"},
            {"number": 1, "name": "b", "colour": "#000900"},
        ],
        "ignore": {"number": 255, "name": "", "colour": "#000000"},
    }
    with (tmp_path / "out" / "colormap.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["number", "name", "red", "green", "blue"],
            ["0", "Straße, breit", "255", "0", "0"],
            ["1", "b", "0", "9", "0"],
            ["255", "", "0", "0", "0"],
        ]


@pytest.mark.parametrize("kind", ["index", "colour"])
def test_masks_are_labels_of_the_same_classes(tmp_path: Path, kind: str) -> None:
    prepared = photographs(tmp_path, "a", "b")
    write_masks(prepared, kind, folder=tmp_path / "again" / "out")
    (tmp_path / "again" / "images").symlink_to(tmp_path / "images")
    (tmp_path / "again" / "masks").symlink_to(tmp_path / "again" / "out" / kind)
    colours = [Class(name=item.name, colour=item.colour) for item in CLASSES.items]
    classes = (
        Classes(items=["a", "b"])
        if kind == "index"
        else Classes(items=tuple(colours), labels="colour", ignore_colours=((0, 0, 0),))
    )
    again = FolderSource(folder=tmp_path / "again").catalog()
    for entry, other in zip(again, prepared.catalog, strict=True):
        np.testing.assert_array_equal(
            read_target(entry, entry.grid.whole, classes), read_target(other, other.grid.whole, CLASSES)
        )


def test_images_with_coordinates_give_tiled_geotiffs(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "geotiff_label_raster_tiles"
    label = folder / "tiled_label_1.tif"
    with rasterio.open(label) as file:
        values, crs, transform = file.read(1), file.crs, file.transform
    entry = ImageEntry("tile", label, RasterLabel(rasters=(label,)), (), "train", None, *values.shape)
    entry = replace(entry, crs=crs.to_wkt(), transform=tuple(transform)[:6])
    prepared = photographs(tmp_path, "a")
    prepared = replace(prepared, catalog=Catalog([entry]), classes=Classes(items=["background", "building"]))
    index, colour = write_masks(prepared, "both", folder=tmp_path / "out").files
    assert index == tmp_path / "out" / "index" / "tile.tif"
    with rasterio.open(index) as file:
        np.testing.assert_array_equal(file.read(1), values)
        assert (file.crs, file.transform, file.nodata) == (crs, transform, 255)
        assert file.profile["tiled"]
    with rasterio.open(colour) as file:
        np.testing.assert_array_equal(file.read(1), values)
        assert file.colormap(1)[1] == (*prepared.classes.items[1].colour, 255)


def test_a_large_picture_gives_a_geotiff_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_files, "LARGEST_PNG_PIXELS", 300 * 33)
    files = write_masks(photographs(tmp_path, "a", "b"), "index", folder=tmp_path / "out").files
    assert [path.name for path in files] == ["a.png", "b.tif"]
    with RasterFile(files[1]) as file:
        expected = np.select([raw(tmp_path, "b") == 7, raw(tmp_path, "b") == 3], [0, 1], 255)
        np.testing.assert_array_equal(file.read().values[0], expected)


def test_above_254_classes_masks_have_16_bits_and_colours_three_bands(tmp_path: Path) -> None:
    items = [Class(name=f"c{n}", colour=(n % 256, n // 256, 5), values=(n + 10,)) for n in range(300)]
    items[299] = Class(name="c299", colour=(1, 2, 3), values=(7,))
    items[298] = Class(name="c298", colour=(1, 2, 4), values=(3,))
    classes = Classes(items=tuple(items), ignore_values=(9,))
    prepared = photographs(tmp_path, "a", classes=classes)
    index, colour = write_masks(prepared, "both", folder=tmp_path / "out").files
    expected = np.select([raw(tmp_path, "a") == 7, raw(tmp_path, "a") == 3], [299, 298], 65535)
    with RasterFile(index) as file:
        np.testing.assert_array_equal(file.read().values[0], expected)
    with Image.open(colour) as opened:
        assert opened.mode == "RGB"
        seen = np.asarray(opened)
    assert (seen[expected == 299] == (1, 2, 3)).all()
    assert (seen[expected == 65535] == classes.ignore_colour).all()


def test_strips_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = photographs(tmp_path, "a", "b")
    monkeypatch.setattr(mask_files, "_BLOCK", 16)
    (first, _) = write_masks(prepared, "index", folder=tmp_path / "out").files
    with Image.open(first) as opened:
        expected = np.select([raw(tmp_path, "a") == 7, raw(tmp_path, "a") == 3], [0, 1], 255)
        np.testing.assert_array_equal(np.asarray(opened), expected)


def test_nothing_is_written_twice_and_a_change_is_seen(tmp_path: Path) -> None:
    (path,) = write_masks(photographs(tmp_path, "a"), "index", folder=tmp_path / "out").files
    before = path.stat().st_mtime_ns
    prepared = prepare_data(
        DataSettings(source=FolderSource(folder=tmp_path), classes=CLASSES),
        PrepareSettings(folder=tmp_path / "prepared"),
    )
    write_masks(prepared, "index", folder=tmp_path / "out")
    assert path.stat().st_mtime_ns == before
    path.unlink()
    write_masks(prepared, "index", folder=tmp_path / "out")
    assert path.is_file()
    flipped = raw(tmp_path, "a")[::-1].copy()
    Image.fromarray(flipped).save(tmp_path / "masks" / "a.png")
    os.utime(tmp_path / "masks" / "a.png", ns=(10**18, 10**18))
    prepared = prepare_data(
        DataSettings(source=FolderSource(folder=tmp_path), classes=CLASSES),
        PrepareSettings(folder=tmp_path / "prepared"),
    )
    write_masks(prepared, "index", folder=tmp_path / "out")
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(opened) == 0, flipped == 7)


def test_masks_of_images_that_left_are_removed(tmp_path: Path) -> None:
    prepared = photographs(tmp_path, "a", "b")
    write_masks(prepared, "index", folder=tmp_path / "out")
    fewer = replace(prepared, catalog=Catalog([prepared.catalog.entry("a")]))
    write_masks(fewer, "index", folder=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "index").iterdir()] == ["a.png"]


def test_a_list_of_files_that_was_tampered_with_removes_nothing_else(tmp_path: Path) -> None:
    prepared = photographs(tmp_path, "a")
    (tmp_path / "mine.png").write_bytes(b"kept")
    (tmp_path / "out").mkdir()
    wrong = {"state": "x", "files": ["../mine.png", "index/../../mine.png", str(tmp_path / "mine.png"), 3]}
    (tmp_path / "out" / "masks.json").write_text(json.dumps(wrong))
    write_masks(prepared, "index", folder=tmp_path / "out")
    assert (tmp_path / "mine.png").read_bytes() == b"kept"


def test_names_never_leave_the_folder_and_stay_apart(tmp_path: Path) -> None:
    prepared = photographs(tmp_path, "a")
    (entry,) = prepared.catalog
    ids = ["../x", "/x", "A:b", "A?b", "a-B"]
    entries = [replace(entry, image_id=name) for name in ids]
    several = replace(prepared, catalog=Catalog(entries))
    files = write_masks(several, "index", folder=tmp_path / "out").files
    found = sorted(path.relative_to(tmp_path / "out" / "index").as_posix() for path in files)
    assert found == ["--/x.png", "A-b.png", "A-b~2.png", "a-B~3.png", "x.png"]
    assert all(path.is_file() for path in files)


def test_a_label_that_cannot_be_read_leaves_no_half_mask(tmp_path: Path) -> None:
    prepared = photographs(tmp_path, "a")
    strict = replace(prepared, classes=CLASSES.model_copy(update={"ignore_values": ()}))
    with pytest.raises(LabelError, match=r"a\.png: no class lists 9"):
        write_masks(strict, "both", folder=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.png"))
    assert not list((tmp_path / "out").rglob("*.tif"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    prepared = photographs(tmp_path, "a")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index").write_bytes(b"a file where a folder must be")
    with pytest.raises(StorageError, match="index cannot be made"):
        write_masks(prepared, "index", folder=tmp_path / "out")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_disk_that_is_full_leaves_no_half_mask(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = photographs(tmp_path, "a")
    if suffix == "tif":
        monkeypatch.setattr(mask_files, "LARGEST_PNG_PIXELS", 1)
    (path,) = write_masks(prepared, "index", folder=tmp_path / "whole").files
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in range(600, path.stat().st_size, 200):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(StorageError, match=rf"index/a\.{suffix} cannot be written"):
                write_masks(prepared, "index", folder=tmp_path / "out")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert not list((tmp_path / "out" / "index").iterdir())
    assert write_masks(prepared, "index", folder=tmp_path / "out").files[0].read_bytes() == path.read_bytes()


def test_images_without_a_label_give_no_mask(tmp_path: Path) -> None:
    prepared = photographs(tmp_path, "a")
    (entry,) = prepared.catalog
    bare = replace(entry, image_id="bare", label=None)
    both = replace(prepared, catalog=Catalog([entry, bare]))
    assert [path.name for path in write_masks(both, "index", folder=tmp_path / "out").files] == ["a.png"]


def test_real_annotations_become_masks(real_data: Path, tmp_path: Path) -> None:
    classes = Classes(items=["background", {"name": "moor", "colour": "#3d3df5"}])
    source = CvatSource(folder=real_data / "cvat_moor", unannotated="background")
    prepared = prepare_data(DataSettings(source=source, classes=classes), PrepareSettings(folder=tmp_path / "prepared"))
    files = write_masks(prepared, "colour", folder=tmp_path / "masks").files
    assert [path.name for path in files] == ["1.png", "11.png", "19.png", "6.png"]
    total = 0
    for path in files:
        with Image.open(path) as opened:
            assert opened.size == (1280, 720)
            total += int((np.asarray(opened.convert("RGB")) == (0x3D, 0x3D, 0xF5)).all(axis=-1).sum())
    assert total == sum(counts[1] for counts in prepared.pixel_counts.values())


def test_geotiff_masks_can_be_labels_of_their_scenes(tmp_path: Path) -> None:
    # A scene with coordinates, as a data set of its own: the mask lies upon it pixel for pixel.
    values = DRAW.integers(0, 3, (40, 50), dtype=np.uint8)
    options = {"driver": "GTiff", "height": 40, "width": 50, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    transform = rasterio.Affine(2, 0, 5e5, 0, -2, 5e6)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        with rasterio.open(tmp_path / kind / "s.tif", "w", transform=transform, **options) as file:
            file.write(values[None])
    classes = Classes(items=["a", "b"], ignore_values=(2,))
    source = GeotiffSource(folder=tmp_path)
    prepared = prepare_data(DataSettings(source=source, classes=classes), PrepareSettings(folder=tmp_path / "prepared"))
    (mask,) = write_masks(prepared, "index", folder=tmp_path / "out").files
    (tmp_path / "masks" / "s.tif").unlink()
    (tmp_path / "masks" / "s.tif").symlink_to(mask)
    (entry,) = GeotiffSource(folder=tmp_path).catalog()
    target = read_target(entry, entry.grid.whole, Classes(items=["a", "b"]))
    np.testing.assert_array_equal(target, np.where(values == 2, 255, values))
