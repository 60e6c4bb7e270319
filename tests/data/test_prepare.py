"""Preparing whole data sets: real ones against an independent reading, and what changes between two calls."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from terrazzo.data import prepare as module
from terrazzo.data.dataset import PatchDataset
from terrazzo.data.distribution import QUANTILE_SHARES
from terrazzo.data.prepare import open_prepared, prepare_data
from terrazzo.data.prepared import CATALOG_FILE, PREPARED_FILE
from terrazzo.data.sample import PatchKey
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.errors import ConfigError, DataError, LabelError, LockedError
from terrazzo.storage import locked

CAMVID = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
DUBAI = {"building": "#3C1098", "land": "#8429F6", "road": "#6EC1E4", "vegetation": "#FEDD3A", "water": "#E2A929"}


def prepared_from(folder, tmp_path, **settings):
    data = {"source": {"name": "folder", "folder": folder}, "classes": ["a", "b"], "patch": {"size": 8}, **settings}
    return prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=tmp_path / "vorbereitet ö"))


@pytest.fixture
def data_set(write_photo, tmp_path):
    """Four training images and two others of 20 x 13 pixels, classes 0 and 1."""
    draw = np.random.default_rng(0)
    for name in ("train/{}/a", "train/{}/b", "train/{}/c", "train/{}/d", "val/{}/e", "test/{}/f"):
        write_photo(f"Daten ö/{name.format('images')}.png", draw.integers(0, 256, (20, 13, 3), dtype=np.uint8))
        write_photo(f"Daten ö/{name.format('masks')}.png", draw.integers(0, 2, (20, 13), dtype=np.uint8))
    return tmp_path / "Daten ö"


@pytest.fixture
def measured(monkeypatch):
    """Names of the images that are read."""
    names = []

    def spy(entry, *given, real=module.measure_image, **more):
        names.append(entry.image_id)
        return real(entry, *given, **more)

    monkeypatch.setattr(module, "measure_image", spy)
    return names


def test_counts_means_and_roles(data_set, tmp_path):
    prepared = prepared_from(data_set, tmp_path)
    values = np.concatenate(
        [np.asarray(Image.open(path)).reshape(-1, 3) for path in sorted(data_set.glob("train/images/*"))]
    ).astype(float)
    assert prepared.normalisation.mean == pytest.approx(values.mean(axis=0), rel=1e-12)
    assert prepared.normalisation.std == pytest.approx(values.std(axis=0), rel=1e-12)
    assert prepared.distribution is not None
    assert prepared.distribution.deviation == prepared.normalisation.std
    for band, quantiles in enumerate(prepared.distribution.quantiles):
        exact = np.quantile(values[:, band], QUANTILE_SHARES, method="inverted_cdf")
        assert quantiles == pytest.approx(exact, abs=2)
    assert open_prepared(prepared.folder).distribution == prepared.distribution
    for split in ("train", "val", "test"):
        labels = np.concatenate([np.asarray(Image.open(path)).ravel() for path in data_set.glob(f"{split}/masks/*")])
        assert prepared.pixel_counts[split] == tuple(np.bincount(labels, minlength=2))
        assert prepared.ignored_counts[split] == 0
    assert prepared.warnings == ()
    assert prepared.resolution_m is None
    assert prepared.bands.names == ("red", "green", "blue")


def test_only_training_images_enter_the_statistics(data_set, tmp_path, write_photo):
    before = prepared_from(data_set, tmp_path)
    write_photo("Daten ö/val/images/e.png", np.full((20, 13, 3), 255, dtype=np.uint8))
    after = prepared_from(data_set, tmp_path)
    assert after.normalisation == before.normalisation
    assert after.distribution == before.distribution
    assert after.fingerprint != before.fingerprint


def test_the_same_whatever_the_threads(data_set, tmp_path, monkeypatch):
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(module, "_threads", lambda threads=threads: threads)
        shutil.rmtree(tmp_path / "vorbereitet ö", ignore_errors=True)
        prepared = prepared_from(data_set, tmp_path)
        results.append({path.name: path.read_bytes() for path in sorted(prepared.folder.glob("*.*"))})
    assert results[0] == results[1]


def test_nothing_is_read_again_when_nothing_has_changed(data_set, tmp_path, measured):
    first = prepared_from(data_set, tmp_path)
    assert len(measured) == 6
    times = {path.name: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    second = prepared_from(data_set, tmp_path)
    assert len(measured) == 6
    assert {path.name: path.stat().st_mtime_ns for path in first.folder.iterdir()} == times
    assert second.fingerprint == first.fingerprint


def test_only_what_has_changed_is_read_again(data_set, tmp_path, measured, write_photo):
    prepared_from(data_set, tmp_path)
    measured.clear()
    write_photo("Daten ö/train/masks/b.png", np.ones((20, 13), dtype=np.uint8))
    write_photo("Daten ö/val/images/g.png", np.zeros((9, 9, 3), dtype=np.uint8))
    write_photo("Daten ö/val/masks/g.png", np.zeros((9, 9), dtype=np.uint8))
    changed = prepared_from(data_set, tmp_path)
    assert sorted(measured) == ["train/b", "val/g"]
    shutil.rmtree(changed.folder)
    afresh = prepared_from(data_set, tmp_path)
    assert afresh.fingerprint == changed.fingerprint
    assert afresh.index.frame.to_json() == changed.index.frame.to_json()


def test_a_removed_image_leaves(data_set, tmp_path, measured):
    prepared_from(data_set, tmp_path)
    measured.clear()
    for folder in ("images", "masks"):
        (data_set / f"train/{folder}/d.png").unlink()
    prepared = prepared_from(data_set, tmp_path)
    assert measured == []
    assert len(prepared.catalog) == 5
    assert "train/d" not in set(prepared.index.frame["image_id"])


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        ({"max_ignored_share": 0.5}, 0),
        ({"split": {"fractions": {"train": 0.5, "val": 0.5}}}, 0),
        ({"patch": {"size": 5}}, 6),
        ({"bands": ["red"]}, 6),
        ({"classes": {"items": ["a", "b"], "ignore_values": [7]}}, 6),
    ],
)
def test_other_settings_read_again_what_they_concern(data_set, tmp_path, measured, settings, read):
    first = prepared_from(data_set, tmp_path)
    measured.clear()
    second = prepared_from(data_set, tmp_path, **settings)
    assert len(measured) == read
    assert second.fingerprint != first.fingerprint


def test_a_later_time_of_a_file_is_a_change(data_set, tmp_path, measured):
    prepared_from(data_set, tmp_path)
    measured.clear()
    os.utime(data_set / "test/images/f.png", ns=(1, 1))
    prepared_from(data_set, tmp_path)
    assert measured == ["test/f"]


def test_force_reads_everything_again(data_set, tmp_path, measured):
    first = prepared_from(data_set, tmp_path)
    data = DataSettings.model_validate(
        {"source": {"name": "folder", "folder": data_set}, "classes": ["a", "b"], "patch": {"size": 8}}
    )
    forced = prepare_data(data, PrepareSettings(folder=first.folder), force=True)
    assert len(measured) == 12
    assert forced.fingerprint == first.fingerprint


def test_the_fingerprint_does_not_depend_on_where_the_data_lies(data_set, tmp_path):
    first = prepared_from(data_set, tmp_path)
    moved = tmp_path / "anderswo"
    shutil.copytree(data_set, moved)
    assert prepared_from(moved, tmp_path).fingerprint == first.fingerprint


def test_a_half_written_folder_is_built_again(data_set, tmp_path):
    first = prepared_from(data_set, tmp_path)
    (first.folder / CATALOG_FILE).write_bytes(b"half")
    with pytest.raises(DataError, match="half-written"):
        open_prepared(first.folder)
    assert prepared_from(data_set, tmp_path).fingerprint == first.fingerprint
    assert open_prepared(first.folder).fingerprint == first.fingerprint


def test_a_killed_preparation_leaves_nothing_that_looks_whole(data_set, tmp_path, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "save_prepared", die)
        with pytest.raises(KeyboardInterrupt):
            prepared_from(data_set, tmp_path)
    assert not (tmp_path / "vorbereitet ö" / PREPARED_FILE).exists()
    assert len(prepared_from(data_set, tmp_path).catalog) == 6


def test_another_process_at_work_is_an_error_only_where_something_is_to_do(data_set, tmp_path, write_photo):
    with locked(tmp_path / "vorbereitet ö"), pytest.raises(LockedError):
        prepared_from(data_set, tmp_path)
    prepared_from(data_set, tmp_path)
    with locked(tmp_path / "vorbereitet ö"):
        assert len(prepared_from(data_set, tmp_path).catalog) == 6


def test_gaps_are_for_training_only(data_set, tmp_path):
    index = prepared_from(data_set, tmp_path, patch={"size": 4, "stride": 9}).index
    seen = {"train": np.zeros((20, 13), dtype=int), "val": np.zeros((20, 13), dtype=int)}
    for row in range(len(index)):
        if index.image_id(row) in {"train/a", "val/e"}:
            core, window = index.core(row), index.window(row)
            seen[index.image_id(row).split("/")[0]][
                window.y + core.y : window.y + core.y + core.height, window.x + core.x : window.x + core.x + core.width
            ] += 1
    assert (seen["val"] == 1).all()
    assert seen["train"].max() == 1
    assert seen["train"].min() == 0


def test_invalid_pixels_are_ignored_in_counts_and_statistics(write_photo, tmp_path):
    values = np.full((4, 4, 4), 255, dtype=np.uint8)
    values[..., 0] = 10
    values[0, :, 0] = 200
    values[0, :, 3] = 0
    write_photo("d/train/images/a.png", values)
    write_photo("d/train/masks/a.png", np.tile(np.array([0, 1], dtype=np.uint8), (4, 2)))
    prepared = prepared_from(tmp_path / "d", tmp_path)
    assert prepared.normalisation.mean[0] == 10
    assert prepared.pixel_counts["train"] == (6, 6)
    assert prepared.ignored_counts["train"] == 4
    assert prepared.index.frame["ignored_share"].tolist() == [0.25]


def test_csv_on_demand(data_set, tmp_path):
    data = {"source": {"name": "folder", "folder": data_set}, "classes": ["a", "b"]}
    folder = tmp_path / "p"
    prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=folder))
    assert not (folder / "patches.csv").exists()
    prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=folder, csv=True))
    assert (folder / "patches.csv").read_text().count("\n") == 7
    assert (folder / "catalog.csv").read_text().count("\n") == 7


def test_progress_counts_images(data_set, tmp_path):
    events = []
    data = {"source": {"name": "folder", "folder": data_set}, "classes": ["a", "b"]}
    prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=tmp_path / "p"), listener=events.append)
    assert (events[-1].kind, events[-1].done, events[-1].total, events[-1].unit) == ("finish", 6, 6, "images")


def test_unlisted_values_say_which_how_many_and_where(data_set, tmp_path, write_photo):
    mask = np.zeros((20, 13), dtype=np.uint8)
    mask[:2, :5] = 77
    write_photo("Daten ö/train/masks/b.png", mask)
    with pytest.raises(LabelError, match=r"train/masks/b\.png: no class lists 77 \(10 pixels\)"):
        prepared_from(data_set, tmp_path)
    assert not (tmp_path / "vorbereitet ö" / PREPARED_FILE).exists()
    ignored = prepared_from(data_set, tmp_path, classes={"items": ["a", "b"], "unlisted": "ignore"})
    assert ignored.unlisted_counts == {"train": 10, "val": 0, "test": 0}
    assert ignored.ignored_counts["train"] == 10
    assert "77 (10 pixels)" in " ".join(ignored.warnings)


@pytest.mark.parametrize("which", ["images", "masks"])
def test_truncated_files_are_named(data_set, tmp_path, which):
    path = data_set / "train" / which / "c.png"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"{which}/c\.png"):
        prepared_from(data_set, tmp_path)


def test_bands_that_differ_between_images(data_set, tmp_path, write_photo):
    write_photo("Daten ö/train/images/c.png", np.zeros((20, 13), dtype=np.uint8))
    with pytest.raises(DataError, match=r"c\.png: band 1 is gray .* it is red"):
        prepared_from(data_set, tmp_path)


def test_no_image_is_left(data_set, tmp_path):
    (tmp_path / "list.txt").write_text("a\n")
    prepared = prepared_from(data_set, tmp_path, split={"lists": {"train": tmp_path / "list.txt"}})
    assert len(prepared.catalog) == 1
    assert "5 images stand in no list" in prepared.warnings[0]


def test_without_training_images_the_statistics_come_from_all_and_that_is_said(data_set, tmp_path):
    (tmp_path / "list.txt").write_text("e\nf\n")
    prepared = prepared_from(data_set, tmp_path, split={"lists": {"test": tmp_path / "list.txt"}})
    assert prepared.normalisation.std[0] > 1
    assert any("no image trains" in warning for warning in prepared.warnings)


def test_a_given_normalisation_is_used_and_counts_stay(data_set, tmp_path):
    measured = prepared_from(data_set, tmp_path)
    given = {"mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]}
    prepared = prepared_from(data_set, tmp_path, normalisation=given)
    assert prepared.normalisation.model_dump(mode="json") == given
    assert prepared.pixel_counts == measured.pixel_counts
    assert prepared.fingerprint != measured.fingerprint
    assert prepared.distribution is None
    assert prepared_from(data_set, tmp_path).normalisation == measured.normalisation


def test_a_given_normalisation_of_other_bands(data_set, tmp_path):
    with pytest.raises(ConfigError, match="2 means, but there are 3 bands: red, green, blue"):
        prepared_from(data_set, tmp_path, normalisation={"mean": [1, 2], "std": [1, 2]})


def test_tiles_are_written_read_and_kept(data_set, tmp_path, measured):
    data = {"source": {"name": "folder", "folder": data_set}, "classes": ["a", "b"], "patch": {"size": 4}}
    settings = PrepareSettings(folder=tmp_path / "p", store="tiles")

    def prepare(store="tiles"):
        chosen = settings.model_copy(update={"store": store})
        return prepare_data(DataSettings.model_validate(data), chosen)

    prepared = prepare()
    assert all(entry.tiles is not None for entry in prepared.catalog)
    plain = prepare("original")
    assert all(entry.tiles is None for entry in plain.catalog)
    assert not (tmp_path / "p" / "tiles").exists()
    assert plain.fingerprint == prepared.fingerprint
    again = prepare()
    assert len(measured) == 6
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "p" / "tiles").iterdir()}
    assert len(kept) == 7
    prepare()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "p" / "tiles").iterdir()} == kept
    normal = plain.normalisation
    from_tiles, from_files = (PatchDataset(one, normalisation=normal) for one in (open_prepared(again.folder), plain))
    for row in range(len(from_files)):
        one, other = from_tiles[PatchKey(row, 0)], from_files[PatchKey(row, 0)]
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.target, other.target)
        assert torch.equal(one.valid, other.valid)


def test_dubai_counts_agree_with_an_independent_decoding(real_data, tmp_path):
    folder = tmp_path / "dubai"
    for tile in ("Tile 2", "Tile 3"):
        shutil.copytree(real_data / "dubai" / tile, folder / tile, copy_function=os.symlink)
    prepared = prepared_from(
        folder,
        tmp_path,
        classes={
            "items": [{"name": name, "colour": colour} for name, colour in DUBAI.items()],
            "ignore_colours": ["#9B9B9B", "#000000"],
        },
        patch={"size": 256, "overlap": 32},
        split={"regions": {"train": ["Tile 3"], "test": ["Tile 2"]}},
    )
    for split, tile in (("train", "Tile 3"), ("test", "Tile 2")):
        expected, total = np.zeros(5, dtype=int), 0
        for path in sorted((folder / tile / "masks").iterdir()):
            picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
            number = picture[..., 0] * 65536 + picture[..., 1] * 256 + picture[..., 2]
            expected += [int((number == int(colour[1:], 16)).sum()) for colour in DUBAI.values()]
            total += number.size
        assert prepared.pixel_counts[split] == tuple(expected)
        assert prepared.ignored_counts[split] == total - expected.sum()


def test_dubai_colours_that_are_not_listed_are_named(real_data, tmp_path):
    wrong = json.loads((real_data / "dubai" / "classes.json").read_text())["classes"]
    classes = [{"name": item["title"], "colour": item["color"]} for item in wrong]
    folder = tmp_path / "dubai"
    shutil.copytree(real_data / "dubai" / "Tile 2", folder / "Tile 2", copy_function=os.symlink)
    with pytest.raises(
        LabelError, match=r"Tile 2/masks/image_part_001\.png.* and 4 more files: .*#8429F6 \(\d+ pixels\)"
    ):
        prepared_from(folder, tmp_path, classes=classes)


def test_camvid_counts_and_second_call(real_data, tmp_path):
    folder = real_data / "camvid"
    settings = {
        "source": {"name": "folder", "folder": folder, "images": "{split}/*.png", "labels": "{split}annot/*.png"},
        "classes": {"items": CAMVID, "ignore_values": [11]},
        "patch": {"size": 480},
        "split": {"lists": {"val": folder / "val.txt"}},
    }
    prepared = prepared_from(folder, tmp_path, **settings)
    counts = np.zeros(12, dtype=int)
    for path in (folder / "valannot").iterdir():
        counts += np.bincount(np.asarray(Image.open(path)).ravel(), minlength=12)
    assert prepared.pixel_counts["val"] == tuple(counts[:11])
    assert prepared.ignored_counts["val"] == counts[11]
    assert len(prepared.index) == 101
    begun = time.perf_counter()
    prepared_from(folder, tmp_path, **settings)
    assert time.perf_counter() - begun < 1


def test_zion_with_near_infrared(real_data, tmp_path):
    folder = real_data / "zion_rgb_nir_tiles"
    names = [line.split()[1] for line in Path(folder / "classes.txt").read_text().splitlines()[1:]]
    prepared = prepared_from(
        folder,
        tmp_path,
        source={
            "name": "folder",
            "folder": folder,
            "images": "rgb/*.png",
            "labels": "masks/*.png",
            "extra": ["nir/*.png"],
        },
        classes={"items": [{"name": n, "values": [v]} for v, n in enumerate(names, 1)], "ignore_values": [0]},
        bands=["nir", "red"],
        split={"fractions": {"train": 1.0}},
    )
    near_infrared = np.stack([np.asarray(Image.open(path)) for path in (folder / "nir").iterdir()])
    assert prepared.bands.names == ("nir", "red")
    assert prepared.normalisation.mean[0] == pytest.approx(near_infrared.mean(), rel=1e-12)
    assert prepared.normalisation.std[0] == pytest.approx(near_infrared.std(), rel=1e-12)


def test_cloud_mask_of_zero_and_255_with_bands_in_files(real_data, tmp_path):
    folder = real_data / "cloud38_sample"
    prepared = prepared_from(
        folder,
        tmp_path,
        source={
            "name": "folder",
            "folder": folder,
            "images": "red_*.TIF",
            "labels": "gt_*.TIF",
            "extra": ["green_*.TIF", "blue_*.TIF", "nir_*.TIF"],
        },
        bands=["red", "green", "blue", "nir"],
        classes=[{"name": "clear", "values": [0]}, {"name": "cloud", "values": [255]}],
        split={"fractions": {"train": 1.0}},
    )
    mask = np.asarray(Image.open(next(folder.glob("gt_*"))))
    assert prepared.pixel_counts["train"] == (int((mask == 0).sum()), int((mask == 255).sum()))
    assert prepared.bands.items[3].dtype == "uint16"
    assert prepared.normalisation.mean[3] == pytest.approx(np.asarray(Image.open(next(folder.glob("nir_*")))).mean())


def test_geotiff_label_whose_nodata_is_a_class(real_data, tmp_path):
    folder = real_data / "geotiff_label_raster_tiles"
    prepared = prepared_from(
        folder,
        tmp_path,
        source={"name": "geotiff", "folder": folder, "images": "tiled_image_*.tif", "labels": "tiled_label_*.tif"},
        split={"fractions": {"train": 1.0}},
        patch={"size": 100, "overlap": 20},
    )
    masks = np.stack([np.asarray(Image.open(path)) for path in folder.glob("tiled_label_*")])
    assert prepared.pixel_counts["train"] == (int((masks == 0).sum()), int((masks == 1).sum()))
    assert prepared.ignored_counts["train"] == 0
    assert prepared.resolution_m is not None
