"""The patch store: the same bits as the originals, whole or not there, and no more room than said."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from jaxtyping import Bool
from PIL import Image
from shapely import box

from terrazzo.data.areas.area import Area, AreaReader
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.reading import read_image, read_patch, read_target
from terrazzo.data.store import plan as store_plan
from terrazzo.data.store import store as store_module
from terrazzo.data.store import writing as store_writing
from terrazzo.data.store.manifest import TILES_FOLDER, load_manifest, with_tiles
from terrazzo.data.store.store import TileStore, check_store, remove_tiles
from terrazzo.data.validity import ValidityMask
from terrazzo.errors import ContractError, DataError, SpaceError, StorageError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid, Window

CLASSES = Classes(items=["a", "b", "c"], ignore_values=[9])
RGB = Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue")))
DRAW = np.random.default_rng(7)


class LeftHalf(Area):
    """The left half of an image."""

    name: Literal["left_half"] = "left_half"
    """Name."""

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    def open(self, grid: Grid) -> AreaReader:
        return LeftHalfReader(grid)


class LeftHalfReader(AreaReader):
    def __init__(self, grid: Grid) -> None:
        self._edge = grid.width // 2

    def inside(self, window: Window) -> Bool[np.ndarray, "y x"]:
        columns = np.arange(window.x, window.x + window.width) < self._edge
        return np.broadcast_to(columns, (window.height, window.width)).copy()


def raster(path: Path, values: np.ndarray, **profile: object) -> Path:
    shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, transform=Affine(2, 0, 9, 0, -2, 9), crs="EPSG:32633",
        **shape, **profile,
    ) as file:  # fmt: skip
        file.write(values)
    return path


def photo(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


def entry_of(image: Path, label: Path | None, size: tuple[int, int], names: tuple[str, ...], **more: object):
    stack = tuple(BandPlace(name, 0, number) for number, name in enumerate(names))
    reference = RasterLabel(rasters=(label,)) if label else None
    georeferenced = {"crs": rasterio.crs.CRS.from_epsg(32633).to_wkt(), "transform": (2.0, 0.0, 9.0, 0.0, -2.0, 9.0)}
    placed = georeferenced if image.suffix == ".tif" else {}
    return ImageEntry("i", image, reference, (), "train", None, *size, **{"stack": stack, **placed, **more})


def label_of(size: tuple[int, int]) -> np.ndarray:
    return DRAW.choice([0, 1, 2, 9], size).astype(np.uint8)


def written(folder: Path, *entries: ImageEntry, bands: Bands = RGB, classes: Classes = CLASSES, **more: object):
    """Write a store and return the entries that read from it."""
    settings = {"store": "tiles", "inputs": "one", "patch_size": 16, **more}
    store = TileStore(folder=folder, entries=entries, bands=bands, classes=classes, **settings)
    store.write()
    return with_tiles(folder, entries, bands, classes, inputs=settings["inputs"])


def photograph(folder: Path) -> tuple[ImageEntry, Bands, Classes]:
    folder.mkdir(exist_ok=True)
    size = (301, 530)
    image = photo(folder / "ein Bild ö.jpg", DRAW.integers(0, 256, (*size, 3), dtype=np.uint8))
    return entry_of(image, photo(folder / "ö l.png", label_of(size)), size, RGB.names), RGB, CLASSES


def transparent(folder: Path) -> tuple[ImageEntry, Bands, Classes]:
    size = (40, 270)
    values = DRAW.integers(0, 256, (*size, 4), dtype=np.uint8)
    values[..., 3] = np.where(DRAW.random(size) < 0.3, 0, 255)
    return entry_of(photo(folder / "a.png", values), None, size, RGB.names), RGB, CLASSES


def sixteen_bit(folder: Path) -> tuple[ImageEntry, Bands, Classes]:
    size = (30, 3000)
    values = DRAW.integers(0, 65536, (2, *size)).astype(np.uint16)
    values[0, :, 5] = 65535
    bands = Bands(items=(Band(name="one", dtype="uint16", nodata=7), Band(name="two", dtype="uint16")))
    values[1, 3, 4:9] = 7
    image = raster(folder / "a.tif", values, nodata=65535)
    label = raster(folder / "l.tif", label_of(size)[None], nodata=2)
    return entry_of(image, label, size, ("one", "two")), bands, CLASSES


def floating(folder: Path) -> tuple[ImageEntry, Bands, Classes]:
    size = (33, 1500)
    values = DRAW.normal(size=(1, *size)).astype(np.float32)
    values[0, 2:5, 3:9] = np.nan
    values[0, 7, 7] = -np.inf
    many = Classes(items=tuple(Class(name=str(n), colour=(n % 256, n // 256, 3), values=(n,)) for n in range(300)))
    label = DRAW.integers(0, 300, (1, *size)).astype(np.uint16)
    bands = Bands(items=(Band(name="one", dtype="float32"),))
    image = raster(folder / "a.tif", values)
    return entry_of(image, raster(folder / "l.tif", label), size, ("one",)), bands, many


def signed(folder: Path) -> tuple[ImageEntry, Bands, Classes]:
    size = (20, 2000)
    values = DRAW.integers(-128, 128, (1, *size)).astype(np.int8)
    bands = Bands(items=(Band(name="one", dtype="int8"),))
    image = raster(folder / "a.tif", values)
    return entry_of(image, raster(folder / "l.tif", label_of(size)[None]), size, ("one",)), bands, CLASSES


def several(folder: Path) -> tuple[ImageEntry, Bands, Classes]:
    """Two files, the second in another type and scale, beside a validity mask; only a part of it counts."""
    size = (300, 280)
    first = raster(folder / "a.tif", DRAW.integers(0, 200, (1, *size)).astype(np.uint16), tiled=True)
    second = raster(folder / "b.tif", DRAW.integers(0, 200, (1, *size)).astype(np.uint8), nodata=3)
    mask = raster(folder / "m.tif", DRAW.integers(0, 5, (1, *size)).astype(np.uint8))
    label = raster(folder / "l.tif", label_of(size)[None])
    bands = Bands(items=(Band(name="one", dtype="uint16", nodata=11), Band(name="two", dtype="uint16", nodata=12)))
    stack = (BandPlace("two", 1, 0, 2.0, 5.0), BandPlace("one", 0, 0))
    entry = entry_of(first, label, size, (), stack=stack, mask=ValidityMask(file=mask, missing=(0, 4)))
    return replace(entry, extra=(second,), area=LeftHalf()), bands, CLASSES


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Filters of warnings belong to the process, and the checks of shapes in tests set them in every thread."""
    monkeypatch.setattr(store_module, "threads", lambda: 1)
    monkeypatch.setattr(store_plan, "threads", lambda: 1)


@pytest.mark.parametrize("make", [photograph, transparent, sixteen_bit, floating, signed, several])
@pytest.mark.parametrize("strip", [1, None])
def test_samples_are_those_of_the_originals_bit_by_bit(tmp_path, monkeypatch, make, strip):
    if strip is not None:
        monkeypatch.setattr("terrazzo.data.measuring.STRIP_BYTES", strip)
    entry, bands, classes = make(tmp_path)
    (stored,) = written(tmp_path / "prepared", entry, bands=bands, classes=classes)
    assert stored.tiles is not None
    assert stored.tiles.hold_image(bands)
    height, width = entry.height, entry.width
    windows = [Window(0, 0, height, width), Window(height - 1, width - 1, 1, 1), Window(3, 2, 16, 260)]
    windows += [Window(int(DRAW.integers(height - 16)), int(DRAW.integers(width - 16)), 16, 16) for _ in range(5)]
    for window in windows:
        expected, target = read_image(entry, window, bands), read_target(entry, window, classes)
        raster_, labels = read_patch(stored, window, bands, classes)
        for found in (raster_, read_image(stored, window, bands)):
            assert found.values.dtype == expected.values.dtype
            assert found.values.tobytes() == expected.values.tobytes()
            assert np.array_equal(found.valid, expected.valid)
            assert (found.grid, found.bands) == (expected.grid, expected.bands)
        for found_target in (labels, read_target(stored, window, classes)):
            assert found_target.dtype == target.dtype
            assert np.array_equal(found_target, target)


def test_an_image_without_label_is_ignored_everywhere(tmp_path):
    entry, bands, _ = transparent(tmp_path)
    (stored,) = written(tmp_path / "prepared", entry)
    _, target = read_patch(stored, Window(0, 0, 5, 6), bands, CLASSES)
    assert target.tolist() == [[255] * 6] * 5


def test_other_bands_or_classes_than_the_stored_are_read_from_the_originals(tmp_path):
    entry, bands, classes = photograph(tmp_path)
    (stored,) = written(tmp_path / "prepared", entry)
    window = Window(1, 2, 16, 16)
    swapped = bands.select(["blue", "red"])
    merged = Classes(items=[Class(name="all", values=(0, 1, 2)), Class(name="none", values=(9,))])
    raster_, target = read_patch(stored, window, swapped, merged)
    assert np.array_equal(raster_.values, read_image(entry, window, bands).values[[2, 0]])
    assert np.array_equal(target == 1, read_target(entry, window, classes) == 255)


@pytest.mark.parametrize("window", [Window(-1, 0, 2, 2), Window(300, 0, 2, 2), Window(0, 529, 1, 2)])
def test_windows_that_leave_the_image(tmp_path, window):
    entry, bands, _ = photograph(tmp_path)
    (stored,) = written(tmp_path / "prepared", entry)
    with pytest.raises(ContractError, match="leaves the image of 301 x 530"):
        read_image(stored, window, bands)


def test_the_file_is_a_tiled_raster_on_the_image_s_grid(tmp_path):
    entry, bands, classes = sixteen_bit(tmp_path)
    (stored,) = written(tmp_path / "prepared", entry, bands=bands, classes=classes)
    with rasterio.open(stored.tiles.path) as file:
        assert (file.crs, file.transform) == (entry.grid.crs, entry.grid.transform)
        assert file.block_shapes[0] == (256, 256)
        # Two bands, validity, label.
        assert file.count == 4


def test_parts_of_one_image_share_their_file(tmp_path):
    entry, bands, classes = several(tmp_path)
    whole = replace(entry, image_id="whole", area=None)
    stored = written(tmp_path / "prepared", entry, whole, bands=bands, classes=classes)
    assert stored[0].tiles.path == stored[1].tiles.path
    assert len(list((tmp_path / "prepared" / TILES_FOLDER).glob("*.tif"))) == 1
    window = Window(0, 100, 20, 100)
    left = read_target(stored[0], window, classes)
    assert (left[:, 40:] == 255).all()
    assert np.array_equal(left[:, :40], read_target(stored[1], window, classes)[:, :40])


def images_of(folder: Path, count: int) -> list[ImageEntry]:
    entries = []
    for number in range(count):
        image = photo(folder / f"{number}.jpg", DRAW.integers(0, 256, (300, 400, 3), dtype=np.uint8))
        label = photo(folder / f"{number}.png", label_of((300, 400)))
        entries.append(replace(entry_of(image, label, (300, 400), RGB.names), image_id=str(number)))
    return entries


def states(folder: Path) -> dict[str, tuple[int, int]]:
    tiles = (folder / TILES_FOLDER).glob("[!.]*.tif")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in tiles}


def test_a_changed_image_alone_is_written_again_and_its_old_file_goes(tmp_path):
    entries, folder = images_of(tmp_path, 3), tmp_path / "prepared"
    before = {entry.image_id: entry.tiles.path.name for entry in written(folder, *entries)}
    old = states(folder)
    photo(entries[1].image, DRAW.integers(0, 256, (300, 400, 3), dtype=np.uint8))
    stored = written(folder, *entries, inputs="two")
    after = {entry.image_id: entry.tiles.path.name for entry in stored}
    assert before["1"] != after["1"]
    new = states(folder)
    assert set(new) == set(after.values())
    assert all(new[before[image]] == old[before[image]] for image in ("0", "2"))
    window = Window(0, 0, 300, 400)
    assert np.array_equal(read_image(stored[1], window, RGB).values, read_image(entries[1], window, RGB).values)


def test_a_store_of_other_inputs_is_not_read(tmp_path):
    entries, folder = images_of(tmp_path, 1), tmp_path / "prepared"
    written(folder, *entries)
    assert with_tiles(folder, entries, RGB, CLASSES, inputs="another") == entries
    assert with_tiles(tmp_path / "nothing here", entries, RGB, CLASSES, inputs="one") == entries


def store_of(folder: Path, entries: list[ImageEntry], store: str = "tiles") -> TileStore:
    return TileStore(
        folder=folder, store=store, inputs="one", entries=entries, bands=RGB, classes=CLASSES, patch_size=16
    )


def test_ready_opens_no_image(tmp_path, monkeypatch):
    entries, folder = images_of(tmp_path, 2), tmp_path / "prepared"
    store = store_of(folder, entries)
    assert not store.ready()
    store.write()
    monkeypatch.setattr(store_module, "plan_tiles", lambda *_, **__: pytest.fail("an image was looked at"))
    assert store.ready()
    assert not replace(store, inputs="two").ready()
    next((folder / TILES_FOLDER).glob("*.tif")).unlink()
    assert not store.ready()


def test_original_removes_the_store_and_nobody_else_s_files(tmp_path):
    entries, folder = images_of(tmp_path, 2), tmp_path / "prepared"
    written(folder, *entries)
    mine = folder / TILES_FOLDER / "mine.tif"
    mine.write_bytes(b"mine")
    original = store_of(folder, entries, "original")
    assert not original.ready()
    original.write()
    assert original.ready()
    assert list((folder / TILES_FOLDER).iterdir()) == [mine]


def test_auto_writes_where_images_are_too_many_for_memory(tmp_path, monkeypatch):
    entries, folder = images_of(tmp_path, 2), tmp_path / "prepared"
    auto = store_of(folder, entries, "auto")
    auto.write()
    assert auto.ready()
    assert not (folder / TILES_FOLDER).exists()
    monkeypatch.setattr(store_plan, "KEPT_BYTES", 2 * 300 * 400 * 4 - 1)
    assert not auto.ready()
    auto.write()
    assert auto.ready()
    assert len(states(folder)) == 2


def test_auto_writes_labels_alone_that_would_be_drawn_anew(tmp_path, monkeypatch):
    """An image in tiles of its own beside shapes on more pixels than an open label keeps burned; both fit in memory."""
    size, folder = (40, 1100), tmp_path / "prepared"
    image = raster(tmp_path / "ä b.tif", DRAW.integers(0, 255, (1, *size)).astype(np.uint8), blockysize=1)
    shapes = tmp_path / "s.geojson"
    square = box(9 + 2 * 10, 9 - 2 * 30, 9 + 2 * 700, 9 - 2 * 5)
    gpd.GeoDataFrame(geometry=[square], crs="EPSG:32633").to_file(shapes)
    label = VectorLabel(vectors=(shapes,), value="b", background="a")
    drawn = replace(entry_of(image, None, size, ("red",)), label=label, image_id="drawn")
    plain = replace(entry_of(photo(tmp_path / "p.png", label_of(size)), None, size, ("red",)), image_id="plain")
    auto = replace(store_of(folder, [drawn, plain], "auto"), bands=Bands(items=(Band(name="red"),)))
    auto.write()
    assert states(folder) == {}
    monkeypatch.setattr(store_plan, "BURNED_BYTES", 5 * 256 * 256 * 4 - 1)
    assert not auto.ready()
    auto.write()
    assert auto.ready()
    (name,) = states(folder)
    with rasterio.open(folder / TILES_FOLDER / name) as file:
        assert file.count == 1
        stored = file.read(1)
    expected = np.zeros(size, dtype=np.uint8)
    expected[5:30, 10:700] = 1
    assert np.array_equal(stored, expected)
    read = with_tiles(folder, [drawn, plain], auto.bands, CLASSES, inputs=auto.inputs)
    assert [entry.tiles is None for entry in read] == [False, True]
    assert np.array_equal(read_target(read[0], Window(3, 8, 30, 900), CLASSES), expected[3:33, 8:908])
    with rasterio.open(image) as file:
        assert np.array_equal(
            read_image(read[0], Window(3, 8, 30, 900), auto.bands).values[0], file.read(1)[3:33, 8:908]
        )


def test_auto_leaves_a_small_disk_alone_and_says_so(tmp_path, monkeypatch):
    entries, folder = images_of(tmp_path, 2), tmp_path / "prepared"
    monkeypatch.setattr(store_plan, "KEPT_BYTES", 0)
    monkeypatch.setattr(store_module, "_free", lambda _: 4 * 2**20)
    auto = store_of(folder, entries, "auto")
    said = []
    auto.write(listener=said.append)
    assert states(folder) == {}
    assert auto.ready()
    assert "2 images" in auto.notes()[0]
    assert "prepare.store: tiles" in auto.notes()[0]
    assert auto.notes()[0] in [event.message for event in said]


def test_the_room_is_said_and_asked_for_first(tmp_path, monkeypatch):
    entries, folder = images_of(tmp_path, 2), tmp_path / "prepared"
    asked = []

    def refuse(where: Path, needed: int, purpose: str) -> None:
        asked.append((where, needed, purpose))
        raise SpaceError("full")

    monkeypatch.setattr(store_module, "require_space", refuse)
    with pytest.raises(SpaceError):
        store_of(folder, entries).write()
    # Tiles of 512 x 512 pixels with three bands, validity and label.
    assert asked[0][1] == 2 * (512 * 512 * 5 + 2**16)
    assert states(folder) == {}
    monkeypatch.undo()
    said = []
    store_of(folder, entries).write(listener=said.append)
    assert any("2 images are written as tiles" in event.message and "GiB" in event.message for event in said)


def test_a_full_disk_stops_the_writing_and_what_is_finished_is_kept(tmp_path, monkeypatch):
    entries, folder = images_of(tmp_path, 3), tmp_path / "prepared"
    real = store_writing._create

    def full(path: Path, *arguments: object) -> object:
        if states(folder):
            raise OSError(28, "No space left on device")
        return real(path, *arguments)

    monkeypatch.setattr(store_writing, "_create", full)
    with pytest.raises(SpaceError, match=r"cannot be written: .*No space left.* prepare again"):
        store_of(folder, entries).write()
    assert load_manifest(folder / TILES_FOLDER) is None
    assert with_tiles(folder, entries, RGB, CLASSES, inputs="one") == entries
    finished = states(folder)
    assert len(finished) == 1
    assert len(list((folder / TILES_FOLDER).iterdir())) == 1
    monkeypatch.undo()
    stored = written(folder, *entries)
    assert all(entry.tiles for entry in stored)
    assert finished.items() <= states(folder).items()


def test_what_does_not_read_back_as_written_is_never_put_in_place(tmp_path, monkeypatch):
    entries, folder = images_of(tmp_path, 1), tmp_path / "prepared"
    monkeypatch.setattr(store_writing, "_read_back", lambda *_: iter([np.zeros((4, 300, 400), dtype=np.uint8)]))
    with pytest.raises(StorageError, match="does not hold what was written"):
        store_of(folder, entries).write()
    assert states(folder) == {}


def test_a_damaged_image_names_itself(tmp_path):
    entries, folder = images_of(tmp_path, 2), tmp_path / "prepared"
    entries[1].image.write_bytes(entries[1].image.read_bytes()[:900])
    with pytest.raises(DataError, match=r"1\.jpg"):
        store_of(folder, entries).write()


KILLED = """
import sys, time
from pathlib import Path
from terrazzo.data.store import plan as store_plan, writing as store_writing
sys.path.insert(0, sys.argv[1])
import test_store
folder = Path(sys.argv[2])
real = store_writing._read_back
def slow(path, windows):
    if test_store.states(folder / "prepared"):
        (folder / "half").touch()
        time.sleep(60)
    return real(path, windows)
store_writing._read_back = slow
test_store.store_module.threads = lambda: 1
test_store.store_of(folder / "prepared", test_store.images_of(folder, 3)).write()
"""


def test_a_killed_process_leaves_nothing_half_written_that_is_used(tmp_path):
    folder = tmp_path / "prepared"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    end = time.monotonic() + 60
    while not (tmp_path / "half").exists():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = states(folder)
    assert len(finished) >= 1
    assert len(list((folder / TILES_FOLDER).glob(".*.partial-*"))) == 1
    assert load_manifest(folder / TILES_FOLDER) is None
    entries = [
        replace(entry_of(tmp_path / f"{n}.jpg", tmp_path / f"{n}.png", (300, 400), RGB.names), image_id=str(n))
        for n in range(3)
    ]
    stored = written(folder, *entries)
    assert {name: states(folder)[name] for name in finished} == finished
    assert len(states(folder)) == 3
    assert list((folder / TILES_FOLDER).glob(".*")) == []
    window = Window(0, 0, 300, 400)
    for entry, original in zip(stored, entries, strict=True):
        assert np.array_equal(read_image(entry, window, RGB).values, read_image(original, window, RGB).values)


def test_a_whole_store_has_no_finding(tmp_path):
    entries, folder = images_of(tmp_path, 2), tmp_path / "prepared"
    assert check_store(folder) == []
    written(folder, *entries)
    events = []
    assert check_store(folder, workers=2, listener=events.append) == []
    assert events[-1].done == 2


def test_damage_is_found_removed_and_repaired(tmp_path):
    entries, folder = images_of(tmp_path, 4), tmp_path / "prepared"
    paths = [entry.tiles.path for entry in written(folder, *entries)]
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(paths[1].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    paths[1].write_bytes(flipped)
    paths[2].unlink()
    unused = folder / TILES_FOLDER / f"{'0' * 32}.tif"
    unused.write_bytes(b"")
    findings = check_store(folder)
    assert {(finding.path, finding.kind) for finding in findings} == {
        (paths[0], "damaged"), (paths[1], "damaged"), (paths[2], "missing"), (unused, "unused"),
    }  # fmt: skip
    assert {finding.image_ids for finding in findings} == {("0",), ("1",), ("2",), ()}
    remove_tiles(findings)
    reading = with_tiles(folder, entries, RGB, CLASSES, inputs="one")
    # Until they are written again, their images are read from the originals.
    assert [entry.tiles is None for entry in reading] == [True, True, True, False]
    store_of(folder, entries).write()
    assert check_store(folder) == []
    assert paths[0].read_bytes() == whole


def test_a_cut_off_file_is_not_read(tmp_path):
    entries, folder = images_of(tmp_path, 1), tmp_path / "prepared"
    (stored,) = written(folder, *entries)
    stored.tiles.path.write_bytes(stored.tiles.path.read_bytes()[:-100])
    assert with_tiles(folder, entries, RGB, CLASSES, inputs="one") == entries
    assert not store_of(folder, entries).ready()


def test_without_a_manifest_nothing_is_trusted(tmp_path):
    entries, folder = images_of(tmp_path, 2), tmp_path / "prepared"
    written(folder, *entries)
    manifest = folder / TILES_FOLDER / "manifest.json"
    content = json.loads(manifest.read_text())
    content["images"]["0"] = content["images"]["1"]
    manifest.write_text(json.dumps(content))
    assert with_tiles(folder, entries, RGB, CLASSES, inputs="one") == entries
    (finding,) = check_store(folder)
    assert (finding.path, finding.kind) == (manifest, "manifest")
    remove_tiles([finding])
    assert states(folder) == {}


def test_force_writes_everything_again(tmp_path):
    entries, folder = images_of(tmp_path, 1), tmp_path / "prepared"
    written(folder, *entries)
    before = states(folder)
    store_of(folder, entries).write(force=True)
    assert set(states(folder)) == set(before)
    assert states(folder) != before


def test_content_depends_on_no_thread(tmp_path, monkeypatch):
    made = []
    for number in range(3):
        (tmp_path / f"in {number}").mkdir()
        made.append(sixteen_bit(tmp_path / f"in {number}"))
    entries = [replace(entry, image_id=str(number)) for number, (entry, _, _) in enumerate(made)]
    contents = []
    for number in (1, 3):
        monkeypatch.setattr(store_module, "threads", lambda number=number: number)
        written(tmp_path / str(number), *entries, bands=made[0][1])
        folder = tmp_path / str(number) / TILES_FOLDER
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 4
