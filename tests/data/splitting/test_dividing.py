"""Scenes divided along blocks of the ground, prepared whole: who owns which pixel in the end."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import Transformer
from rasterio.crs import CRS
from scipy.ndimage import distance_transform_edt

from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.prepare import prepare_data
from terrazzo.data.reading import read_target
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.splitting import block_counts
from terrazzo.data.splitting.dividing import within
from terrazzo.errors import ConfigError, DataError

CLASSES = ["a", "b", "c"]


def write(
    folder,
    name,
    *,
    epsg=32632,
    left=500_000.0,
    top=5_000_000.0,
    size=(96, 80),
    pixel=10.0,
    seed=0,
    turn=0.0,
    label=None,
):
    draw = np.random.default_rng(seed)
    label = draw.integers(0, 3, size).astype(np.uint8) if label is None else label
    size = label.shape
    transform = Affine.translation(left, top) @ Affine.rotation(turn) @ Affine.scale(pixel, -pixel)
    for kind, values in (("images", np.stack([label + 10] * 3)), ("labels", label[None])):
        path = folder / kind / f"{name}.{'png' if epsg is None else 'tif'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if epsg is None:
            Image.fromarray(values.transpose(1, 2, 0).squeeze()).save(path)
            continue
        shape = {"count": len(values), "height": size[0], "width": size[1]}
        with rasterio.open(
            path, "w", driver="GTiff", dtype="uint8", crs=f"EPSG:{epsg}", transform=transform, **shape
        ) as file:
            file.write(values)


def prepared(folder, *, source="geotiff", patch=16, force=False, **split):
    data = {
        "source": {"name": source, "folder": folder},
        "classes": {"items": CLASSES, "ignore_values": [200]},
        "patch": {"size": patch},
        "split": split,
        "max_ignored_share": 1.0,
    }
    fold = split.pop("fold", None)
    settings = DataSettings.model_validate({**data, "fold": fold})
    return prepare_data(settings, PrepareSettings(folder=folder.parent / "prepared"), force=force)


def owned(found):
    """Of each file and role, the pixels that have a label."""
    masks = {}
    for entry in found.catalog:
        target = read_target(entry, entry.grid.whole, found.classes)
        known = masks.setdefault((entry.image.stem, entry.split), np.zeros(target.shape, dtype=int))
        known += target != 255
    return masks


def on_ground(found, crs, cell):
    """Of each role, the cells of the ground that its labelled pixels' centres lie in."""
    cells = {}
    for entry in found.catalog:
        target = read_target(entry, entry.grid.whole, found.classes)
        y, x = np.nonzero(target != 255)
        east, north = entry.grid.transform @ (x + 0.5, y + 0.5)
        east, north = Transformer.from_crs(entry.grid.crs.to_epsg(), crs, always_xy=True).transform(east, north)
        places = np.floor(np.stack([north, east]) / cell).astype(int)
        cells.setdefault(entry.split, set()).update(map(tuple, places.T.tolist()))
    return cells


def test_every_pixel_has_one_role_and_every_patch_one_entry(tmp_path):
    write(tmp_path / "Daten ö", "szene 1")
    found = prepared(tmp_path / "Daten ö", blocks={"size_m": 130, "fractions": {"train": 0.5, "val": 0.3, "test": 0.2}})
    assert [entry.image_id for entry in found.catalog] == ["szene 1#test", "szene 1#train", "szene 1#val"]
    total = sum(owned(found).values())
    assert (total == 1).all()
    assert sum(sum(counts) for counts in found.pixel_counts.values()) == 96 * 80
    # Pixels of other roles are none of a part's own, so they do not count as ignored.
    assert set(found.ignored_counts.values()) == {0}
    # Cores of the patches of an entry hold each of its pixels.
    for entry in found.catalog:
        rows = found.index.frame[found.index.frame["image_id"] == entry.image_id]
        covered = np.zeros((96, 80), dtype=int)
        for row in rows.itertuples():
            covered[row.core_y : row.core_y + row.core_height, row.core_x : row.core_x + row.core_width] += 1
        assert (covered[owned(found)["szene 1", entry.split] == 1] == 1).all()
    assert any("blocks of 130 m on the images' own" in note for note in found.warnings)


@pytest.mark.parametrize("guard", [45, 150])
def test_training_pixels_near_others_belong_to_nobody(tmp_path, guard):
    write(tmp_path / "data", "a", size=(160, 150))
    blocks = {"size_m": 300, "fractions": {"train": 0.6, "val": 0.4}}
    masks = owned(prepared(tmp_path / "data", blocks={**blocks, "guard_m": guard}))
    distance_m = 10 * distance_transform_edt(masks["a", "val"] == 0)
    assert distance_m[masks["a", "train"] == 1].min() >= guard
    assert masks["a", "train"].any()
    whole = owned(prepared(tmp_path / "data", blocks=blocks))
    assert np.array_equal(whole["a", "val"], masks["a", "val"])
    assert masks["a", "train"].sum() < whole["a", "train"].sum()


def test_all_roles_keep_the_guard_distance_from_each_other(tmp_path):
    """Training gives way to all, val to calibrate and test, calibrate to test, which gives up nothing."""
    write(tmp_path / "data", "a", size=(240, 240))
    fractions = {"test": 0.25, "train": 0.25, "calibrate": 0.25, "val": 0.25}
    blocks = {"size_m": 300, "seed": 1, "fractions": fractions}
    guarded = owned(prepared(tmp_path / "data", blocks={**blocks, "guard_m": 70}))
    whole = owned(prepared(tmp_path / "data", blocks=blocks))
    order = ["train", "val", "calibrate", "test"]
    inner = np.zeros((240, 240), dtype=bool)
    inner[10:-10, 10:-10] = True
    for number, role in enumerate(order):
        mine = guarded["a", role] == 1
        assert mine.any()
        stronger = sum((whole["a", other] for other in order[number + 1 :]), np.zeros((240, 240), dtype=int))
        distance_m = 10 * distance_transform_edt(stronger == 0) if stronger.any() else np.full((240, 240), np.inf)
        assert not (mine & (distance_m < 70)).any()
        # Nothing but what lies so near is given up.
        assert mine[(whole["a", role] == 1) & inner & (distance_m > 70 + 10 * np.sqrt(2))].all()
        for other in order[number + 1 :]:
            assert 10 * distance_transform_edt(guarded["a", other] == 0)[mine].min() >= 70
    assert np.array_equal(guarded["a", "test"], whole["a", "test"])


def test_without_a_guard_distance_no_pixel_is_given_up(tmp_path):
    write(tmp_path / "data", "a")
    fractions = {"train": 0.4, "val": 0.3, "test": 0.3}
    masks = owned(prepared(tmp_path / "data", blocks={"size_m": 100, "fractions": fractions, "guard_m": 0}))
    assert (sum(masks.values()) == 1).all()


def test_corners_of_blocks_in_a_turned_scene_make_no_entry(tmp_path):
    """Blocks of 900 m cut a scene that is turned by 20 degrees: one corner holds 14 pixels, another 169."""
    halves = {"train": 0.5, "val": 0.5}
    seen = 0
    for seed in (0, 7, 8, 10):
        folder = tmp_path / f"{seed}"
        write(folder / "data", "a", size=(100, 45), turn=20, left=500_000 + 37 * seed)
        blocks = {"size_m": 900, "seed": seed, "fractions": halves}
        found = prepared(folder / "data", patch=32, blocks=blocks)
        entry = next(iter(found.catalog))
        rows, columns = np.mgrid[0:100, 0:45] + 0.5
        x, y = entry.grid.transform @ (columns, rows)
        area = BlockArea(part="train", shares=tuple(halves.items()), size=900, crs=entry.crs, seed=seed)
        drawn = [area.drawn((int(b // 900), int(a // 900))) for a, b in zip(x.flat, y.flat, strict=True)]
        pixels = {role: drawn.count(role) for role in halves}
        small = {role for role, count in pixels.items() if 0 < count < 0.1 * 32 * 32}
        seen += len(small)
        kept = {role: int(mask.sum()) for (_, role), mask in owned(found).items()}
        assert kept == {role: count for role, count in pixels.items() if count and role not in small}
        assert {part.image_id for part in found.catalog} == (
            {f"a#{role}" for role in kept} if small or len(kept) > 1 else {"a"}
        )
        assert any("less than 10% of a patch" in note for note in found.warnings) == bool(small)
        assert not any("without any labelled" in note for note in found.warnings)
    assert seen


def test_a_part_that_the_guard_leaves_nothing_makes_no_entry(tmp_path):
    """A strip of three columns across a border of blocks: one beside two, and the guard is four columns wide."""
    halves = {"train": 0.5, "val": 0.5}
    write(tmp_path / "data", "whole", size=(200, 200))
    write(tmp_path / "data", "strip", size=(25, 3), left=500_990.0)
    crs = CRS.from_epsg(32632).to_wkt()
    strip_row, left_column = 5_000_000 // 250 - 1, 500_990 // 250
    drawn = {}
    for seed in range(20):
        area = BlockArea(part="train", shares=tuple(halves.items()), size=250, crs=crs, seed=seed)
        drawn[seed] = [area.drawn((strip_row, left_column + column)) for column in (0, 1)]
    seed = next(seed for seed, (left, right) in drawn.items() if left != right)
    found = prepared(tmp_path / "data", blocks={"size_m": 250, "guard_m": 40, "fractions": halves, "seed": seed})
    assert [entry.image_id for entry in found.catalog if entry.image.stem == "strip"] == ["strip#val"]
    assert owned(found)["strip", "val"].sum() == 25 * (1 if drawn[seed][0] == "val" else 2)
    assert any("1 part of an image holds less" in note and "(strip#train)" in note for note in found.warnings)
    assert set(found.index.frame["image_id"]) == {entry.image_id for entry in found.catalog}


def test_blocks_smaller_than_a_patch_lose_no_image(tmp_path):
    """Images of one small block each hold less than a tenth of a patch, but they are all there is."""
    for number in range(6):
        write(tmp_path / "data", f"{number}", size=(10, 10), left=500_000.0 + 3000 * number)
    found = prepared(tmp_path / "data", patch=64, blocks={"size_m": 30, "fractions": {"train": 0.5, "val": 0.5}})
    assert (sum(mask.sum() for mask in owned(found).values())) == 600


def test_real_scenes_are_divided_to_the_last_pixel(real_data, tmp_path):
    """Two neighbouring orthophotos in a national grid, their labels 0 and 1 with nodata 0."""
    blocks = {"size_m": 40, "guard_m": 5, "fractions": {"train": 0.6, "val": 0.4}, "seed": 2}
    folder = real_data / "geotiff_label_raster_tiles"
    data = {
        "source": {
            "name": "geotiff",
            "folder": folder,
            "images": "tiled_image_*.tif",
            "labels": "tiled_label_*.tif",
        },
        "classes": [{"name": "other", "values": [0]}, {"name": "target", "values": [1]}],
        "patch": {"size": 128},
        "split": {"blocks": blocks},
    }
    found = prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=tmp_path / "prepared"))
    for stem in {entry.image.stem for entry in found.catalog}:
        parts = {entry.split: entry for entry in found.catalog if entry.image.stem == stem}
        assert set(parts) == {"train", "val"}
        inside = {role: entry.area.open(entry.grid).inside(entry.grid.whole) for role, entry in parts.items()}
        assert not (inside["train"] & inside["val"]).any()
        pixel = parts["val"].grid.resolution_m
        distance_m = pixel * distance_transform_edt(~inside["val"])
        assert distance_m[inside["train"]].min() >= 5
        with rasterio.open(parts["val"].label.file) as file:
            label = file.read(1)
        for role, entry in parts.items():
            target = read_target(entry, entry.grid.whole, found.classes)
            assert np.array_equal(target[inside[role]], label[inside[role]])
            assert inside[role].any()
            assert (target[~inside[role]] == 255).all()
    sides = sum(
        area.sum() for entry in found.catalog for area in [entry.area.open(entry.grid).inside(entry.grid.whole)]
    )
    labelled = sum(sum(counts) for counts in found.pixel_counts.values())
    assert labelled + sum(found.ignored_counts.values()) == sides


def test_scenes_that_overlap_share_no_place_between_roles(tmp_path):
    write(tmp_path / "data", "a")
    write(tmp_path / "data", "b", left=500_330.0, top=4_999_720.0, seed=1)
    found = prepared(tmp_path / "data", blocks={"size_m": 105, "fractions": {"train": 0.5, "val": 0.5}})
    cells = on_ground(found, 32632, 10)
    assert cells["train"]
    assert cells["val"]
    assert not cells["train"] & cells["val"]


def test_scenes_of_two_zones_share_no_place_between_roles(tmp_path):
    """Zone 33's western border, seen from both zones: blocks lie on one map, of 1/10 m cells none is in two roles."""
    left, top = Transformer.from_crs(32633, 32632, always_xy=True).transform(229_000.0, 5_300_000.0)
    write(tmp_path / "data", "east", epsg=32633, left=229_000.0, top=5_300_000.0)
    write(tmp_path / "data", "west", epsg=32632, left=left - 200, top=top + 200, seed=1)
    found = prepared(tmp_path / "data", blocks={"size_m": 200, "guard_m": 20, "fractions": {"train": 0.5, "val": 0.5}})
    assert any("equal-area map around 50, 10" in note for note in found.warnings)
    places = {}
    for entry in found.catalog:
        target = read_target(entry, entry.grid.whole, found.classes)
        y, x = np.nonzero(target != 255)
        east, north = entry.grid.transform @ (x + 0.5, y + 0.5)
        utm = Transformer.from_crs(entry.grid.crs.to_epsg(), 32633, always_xy=True).transform(east, north)
        places.setdefault(entry.split, []).append(np.stack(utm, axis=1))
    train, val = (np.concatenate(places[role]) for role in ("train", "val"))
    nearest = np.sqrt(((train[:, None] - val[None, ::7]) ** 2).sum(axis=2)).min()
    assert nearest > 19


def test_roles_stay_when_a_scene_joins(tmp_path):
    write(tmp_path / "data", "a")
    before = owned(prepared(tmp_path / "data", blocks={"size_m": 120}))
    write(tmp_path / "data", "b", left=600_000.0, seed=1)
    after = owned(prepared(tmp_path / "data", blocks={"size_m": 120}))
    for key, mask in before.items():
        assert np.array_equal(after[key], mask)


def test_images_without_reference_system_are_divided_one_by_one(tmp_path):
    for number in range(3):
        write(tmp_path / "data", f"{number}", epsg=None, seed=number)
    found = prepared(tmp_path / "data", source="folder", blocks={"size_pixels": 20, "guard_pixels": 4})
    masks = owned(found)
    for name in "012":
        assert (masks[name, "train"] + masks[name, "val"]).max() == 1
        gap = distance_transform_edt(masks[name, "val"] == 0)
        assert gap[masks[name, "train"] == 1].min() >= 4
    assert not np.array_equal(masks["0", "val"], masks["1", "val"])


def test_what_the_folders_say_stays_whole(tmp_path):
    write(tmp_path / "data" / "train", "a")
    write(tmp_path / "data" / "test", "b", left=700_000.0)
    found = prepared(tmp_path / "data", blocks={"size_m": 100})
    assert [entry.image_id for entry in found.catalog] == ["test/b", "train/a#train", "train/a#val"] or [
        entry.image_id for entry in found.catalog
    ] == ["b", "a#train", "a#val"]
    assert found.catalog.entries("test")[0].area is None


def test_an_image_within_one_block_needs_no_area(tmp_path):
    write(tmp_path / "data", "a")
    found = prepared(tmp_path / "data", blocks={"size_m": 1e7, "fractions": {"train": 1.0}})
    (entry,) = found.catalog
    assert (entry.image_id, entry.area, entry.split) == ("a", None, "train")


def test_a_role_that_no_block_drew_is_said(tmp_path):
    write(tmp_path / "data", "a")
    found = prepared(tmp_path / "data", blocks={"size_m": 1e7, "fractions": {"train": 0.999, "val": 0.001}})
    assert any("no block drew val (1 blocks are few" in note for note in found.warnings)


def test_blocks_smaller_than_patches_are_said(tmp_path):
    write(tmp_path / "data", "a")
    found = prepared(tmp_path / "data", blocks={"size_m": 50}, patch=32)
    assert any("blocks are 5 pixels wide, patches 32" in note for note in found.warnings)


def test_metres_need_a_reference_system(tmp_path):
    write(tmp_path / "data", "a", epsg=None)
    with pytest.raises(DataError, match=r"a\.png has no coordinate reference system.*size_pixels"):
        prepared(tmp_path / "data", source="folder", blocks={"size_m": 50})


@pytest.mark.parametrize(("crs", "reason"), [("EPSG:4326", "counts in degrees"), ("EPSG:1", "is no coordinate")])
def test_maps_that_measure_nothing_are_refused(tmp_path, crs, reason):
    write(tmp_path / "data", "a")
    with pytest.raises(ConfigError, match=reason):
        prepared(tmp_path / "data", blocks={"size_m": 50, "crs": crs})


def test_folds_of_blocks_take_turns(tmp_path):
    write(tmp_path / "data", "a")
    folds = {"count": 3, "by": "block"}
    turns = [owned(prepared(tmp_path / "data", blocks={"size_m": 100}, folds=folds, fold=fold)) for fold in range(3)]
    selects = sum(turn["a", "val"] for turn in turns)
    assert (selects == 1).all()
    for turn in turns:
        assert (turn["a", "val"] + turn["a", "train"] == 1).all()


def clumped(size, seed):
    """A label of 3 classes in clumps much larger than a block: the second in one corner, the third in a rare strip."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    label = np.zeros(size, dtype=np.uint8)
    label[(rows < size[0] // 3) & (columns < size[1] // 2)] = 1
    label[(columns > 0.86 * size[1]) & (rows > size[0] // 2)] = 2
    label[draw.random(size) < 0.02] = 200
    return label


def shares_of_folds(folder, *, count=4, **folds):
    """Of each fold, its share of the labelled pixels of each class."""
    turns = [
        prepared(folder, blocks={"size_m": 150}, folds={"count": count, "by": "block", **folds}, fold=fold)
        for fold in range(count)
    ]
    pixels = np.array([turn.pixel_counts.get("val", (0, 0, 0)) for turn in turns], dtype=float)
    return pixels / pixels.sum(axis=0), turns


def test_folds_of_blocks_share_clumped_classes(tmp_path):
    write(tmp_path / "data", "a", label=clumped((150, 160), 0))
    write(tmp_path / "data", "b", label=clumped((90, 120), 1), left=501_000.0, top=4_999_500.0)
    even = 1 / 4
    stratified, turns = shares_of_folds(tmp_path / "data", stratify=True)
    plain, _ = shares_of_folds(tmp_path / "data")
    assert np.abs(stratified - even).max() < 0.05
    assert np.abs(plain - even).max() > 3 * np.abs(stratified - even).max()
    # Every pixel selects once, and images that overlap agree about every block.
    selects = [owned(turn) for turn in turns]
    for name in "ab":
        assert np.array_equal(
            sum(masks[name, "val"] for masks in selects if (name, "val") in masks),
            (clumped((150, 160), 0) if name == "a" else clumped((90, 120), 1)) != 200,
        )
    for turn in turns:
        cells = on_ground(turn, 32632, 10)
        assert not cells["train"] & cells["val"]


def test_blocks_of_pixels_are_dealt_over_all_images(tmp_path):
    """Each image has blocks of its own; the rare class lies in the first alone, and every fold gets some of it."""
    for number in range(3):
        label = np.full((60, 60), 1 if number else 0, dtype=np.uint8)
        label[:30, 30:] = 2 if not number else 1
        write(tmp_path / "data", f"{number}", epsg=None, label=label)
    split = {"blocks": {"size_pixels": 10}, "folds": {"count": 3, "by": "block", "stratify": True}}
    turns = [prepared(tmp_path / "data", source="folder", **split, fold=fold) for fold in range(3)]
    assert [turn.pixel_counts["val"] for turn in turns] == [(900, 2400, 300)] * 3
    assert all((sum(owned(turn)[name, "val"] for turn in turns) == 1).all() for name in "012")


def test_a_guard_and_dealt_blocks(tmp_path):
    """A block that matters for the guard may lie in a neighbouring scene alone."""
    write(tmp_path / "data", "a", size=(90, 90))
    write(tmp_path / "data", "b", size=(90, 90), left=500_900.0, seed=1)
    split = {"blocks": {"size_m": 300, "guard_m": 45}, "folds": {"count": 3, "by": "block", "stratify": True}}
    for fold in range(3):
        masks = owned(prepared(tmp_path / "data", **split, fold=fold))
        empty = np.zeros((90, 90), dtype=int)
        train, val = (np.hstack([masks.get((name, role), empty) for name in "ab"]) for role in ("train", "val"))
        assert train.any()
        assert val.any()
        assert 10 * distance_transform_edt(val == 0)[train == 1].min() >= 45


def test_labels_are_counted_once_for_all_turns_and_images_never(tmp_path, monkeypatch):
    write(tmp_path / "data", "a", size=(60, 70))
    counted = []
    count = block_counts._count

    def spied(entry, area, classes):
        counted.append(entry.image_id)
        return count(entry, area, classes)

    monkeypatch.setattr(block_counts, "_count", spied)
    split = {"blocks": {"size_m": 100}, "folds": {"count": 2, "by": "block", "stratify": True}}
    turns = [prepared(tmp_path / "data", **split, fold=fold) for fold in (0, 1, 0)]
    assert counted == ["a"]
    assert turns[0].fingerprint == turns[2].fingerprint
    write(tmp_path / "data", "a", size=(60, 70), seed=5)
    prepared(tmp_path / "data", **split, fold=0)
    assert counted == ["a", "a"]
    prepared(tmp_path / "data", **split, fold=0, force=True)
    assert counted == ["a", "a", "a"]


def test_fewer_blocks_than_folds_cannot_be_dealt(tmp_path):
    write(tmp_path / "data", "a")
    folds = {"count": 3, "by": "block", "stratify": True}
    with pytest.raises(DataError, match=r"folds\.count is 3, but the images lie on \d blocks"):
        prepared(tmp_path / "data", blocks={"size_m": 1e6}, folds=folds, fold=0)


def test_with_a_guard_only_the_fold_that_selects_is_kept_clear_of(tmp_path):
    write(tmp_path / "data", "a", size=(150, 150))
    split = {"blocks": {"size_m": 250, "guard_m": 60}, "folds": {"count": 3, "by": "block"}}
    masks = owned(prepared(tmp_path / "data", **split, fold=1))
    distance_m = 10 * distance_transform_edt(masks["a", "val"] == 0)
    assert distance_m[masks["a", "train"] == 1].min() >= 60
    # Blocks beyond the image may be of the fold that selects, too.
    inner = np.zeros((150, 150), dtype=bool)
    inner[8:-8, 8:-8] = True
    assert (masks["a", "train"][inner & (distance_m > 60 + 10 * np.sqrt(2))] == 1).all()


def test_an_area_that_the_layout_gives_is_kept(tmp_path):
    area = BlockArea(part="x", shares=(("x", 1.0),), size=5)
    assert within(None, area) is area
    assert within(area, area).areas == (area, area)


def test_a_guard_that_leaves_nothing_to_train_on_is_said(tmp_path):
    write(tmp_path / "data", "a")
    blocks = {"size_m": 130, "guard_m": 3000, "fractions": {"train": 0.5, "val": 0.5}}
    with pytest.raises(DataError, match=r"the guard of data\.split\.blocks leaves no part of an image for train"):
        prepared(tmp_path / "data", blocks=blocks)
