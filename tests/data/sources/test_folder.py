"""Folders of photographs, on real data sets."""

import json

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from terrazzo.data.classes import Classes
from terrazzo.data.prepare import prepare_data
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.sources.folder import FolderSource
from terrazzo.errors import DataError, LabelError
from terrazzo.testing import check_source

DUBAI = {"building": "#3C1098", "land": "#8429F6", "road": "#6EC1E4", "vegetation": "#FEDD3A", "water": "#E2A929"}


def prepared_from(tmp_path, **data):
    return prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=tmp_path / "подготовка данных"))


def target_of(entry, classes):
    with entry.label.open(entry.grid) as reader:
        return reader.decode(entry.grid.whole, classes)


def test_camvid(real_data):
    catalog = FolderSource(folder=real_data / "camvid", images="{split}/*.png", labels="{split}annot/*.png").catalog()
    assert len(catalog.entries("train")) == 367
    assert len(catalog.entries("val")) == 101
    assert {(entry.height, entry.width) for entry in catalog} == {(360, 480)}
    assert all(entry.label.file.stem == entry.image.stem for entry in catalog)


def test_dubai_regions_by_pattern_and_by_folder_names(real_data):
    by_pattern = FolderSource(
        folder=real_data / "dubai", images="{region}/images/*.jpg", labels="{region}/masks/*.png"
    ).catalog()
    by_names = FolderSource(folder=real_data / "dubai").catalog()
    assert {entry.region for entry in by_pattern} == {f"Tile {number}" for number in (1, 2, 3, 4, 7)}
    assert len(by_pattern) == 45
    assert [(e.image_id, e.image, e.label, e.region) for e in by_pattern] == [
        (e.image_id, e.image, e.label, e.region) for e in by_names
    ]


def test_zion_takes_near_infrared_from_its_own_folder(real_data):
    source = FolderSource(
        folder=real_data / "zion_rgb_nir_tiles", images="rgb/*.png", labels="masks/*.png", extra=("nir/*.png",)
    )
    for entry in source.catalog():
        assert [place.name for place in entry.stack] == ["red", "green", "blue", "nir"]
        assert entry.extra[0].name == entry.image.name


def test_a_mask_of_another_size(write_photo, tmp_path):
    write_photo("images/a.png", np.zeros((4, 6, 3), dtype=np.uint8))
    write_photo("masks/a.png", np.zeros((4, 5), dtype=np.uint8))
    with pytest.raises(DataError, match=r"images/a\.png: .*masks/a\.png has 4 x 5 pixels .* its image has 4 x 6"):
        FolderSource(folder=tmp_path).catalog()


def test_an_image_that_is_none(write_photo, tmp_path):
    write_photo("images/a.png", np.zeros((4, 6, 3), dtype=np.uint8)).write_bytes(b"")
    write_photo("masks/a.png", np.zeros((4, 6), dtype=np.uint8))
    with pytest.raises(DataError, match=r"images/a\.png"):
        FolderSource(folder=tmp_path).catalog()


@pytest.fixture
def patches(write_photo, tmp_path):
    """System of folders with a Cyrillic name and spaces: five patches of sizes that all differ, with two further bands.

    Labels hold 0, 1, 2, 5 and 7; nir is 16-bit, kv is float.
    """
    draw = np.random.default_rng(5)
    masks = {}
    for role, name, size in (
        ("train", "снимок 1", (5, 9)),
        ("train", "снимок 2", (16, 4)),
        ("train", "снимок 3", (1, 1)),
        ("val", "a", (7, 7)),
        ("val", "b", (3, 11)),
    ):
        base = f"Набор данных/{role}"
        masks[role, name] = draw.choice(np.array([0, 1, 2, 5, 7], dtype=np.uint8), size)
        write_photo(f"{base}/images/{name}.TIF", draw.integers(0, 256, (*size, 3), dtype=np.uint8))
        write_photo(f"{base}/gt/{name}.tif", masks[role, name])
        write_photo(f"{base}/nir/{name}.tif", draw.integers(0, 65536, size, dtype=np.uint16))
        write_photo(f"{base}/kv/{name}.tif", draw.normal(size=size).astype(np.float32))
    return tmp_path / "Набор данных", masks


def counts(masks, role, values):
    pixels = np.concatenate([mask.ravel() for (split, _), mask in masks.items() if split == role])
    return tuple(int((pixels == value).sum()) for value in values)


@pytest.mark.parametrize("given", ["1 2 5", "1, 2,5", [1, 2, 5], "0 1 2 5", [0, 1, 2, 5]])
def test_a_class_list_makes_all_other_values_background(patches, tmp_path, given):
    folder, masks = patches
    prepared = prepared_from(
        tmp_path,
        source={"name": "folder", "folder": folder, "extra": ["nir", "kv"], "class_list": given},
        patch={"size": 6},
    )
    assert prepared.classes.names == ("background", "class_1", "class_2", "class_5")
    for role in ("train", "val"):
        background, *others = counts(masks, role, (0, 1, 2, 5))
        sevens = counts(masks, role, (7,))[0]
        assert prepared.pixel_counts[role] == (background + sevens, *others)
        assert prepared.unlisted_counts[role] == sevens
    assert [(band.name, band.dtype) for band in prepared.bands.items] == [
        ("red", "uint8"),
        ("green", "uint8"),
        ("blue", "uint8"),
        ("nir", "uint16"),
        ("kv", "float32"),
    ]


def test_bands_of_8_and_16_bits_and_floats_keep_their_values(patches, tmp_path):
    folder, _ = patches
    prepared = prepared_from(
        tmp_path,
        source={"name": "folder", "folder": folder, "extra": ["nir", "kv"], "class_list": 1},
        bands=["kv", "nir", "blue"],
        patch={"size": 6},
    )
    for position, sub in enumerate(("kv", "nir", "images")):
        planes = [np.asarray(Image.open(path)) for path in sorted((folder / "train" / sub).iterdir())]
        blue = [plane[..., 2] if plane.ndim == 3 else plane for plane in planes]
        whole = np.concatenate([plane.ravel().astype(np.float64) for plane in blue])
        assert prepared.normalisation.mean[position] == pytest.approx(whole.mean(), rel=1e-6)
        assert prepared.normalisation.std[position] == pytest.approx(whole.std(), rel=1e-6)


def test_labels_up_to_a_value(patches, tmp_path):
    folder, masks = patches
    source = {"name": "folder", "folder": folder, "max_mask_val": 7}
    prepared = prepared_from(tmp_path, source=source)
    assert prepared.classes.names == ("background", *(f"class_{value}" for value in range(1, 8)))
    assert prepared.pixel_counts["val"] == counts(masks, "val", range(8))
    # A value above says that the number is wrong: it is no background.
    with pytest.raises(LabelError, match=r"no class lists 7 \(\d+ pixels\)"):
        prepared_from(tmp_path, source={**source, "max_mask_val": 6})


def test_one_value_is_a_binary_task(tmp_path):
    classes = FolderSource(folder=tmp_path, class_list=255).known_classes()
    assert [(item.name, item.values) for item in classes.items] == [("background", (0,)), ("class_255", (255,))]
    assert FolderSource(folder=tmp_path).known_classes() is None


def test_a_listed_value_that_occurs_nowhere_is_said(patches, tmp_path):
    folder, _ = patches
    prepared = prepared_from(tmp_path, source={"name": "folder", "folder": folder, "class_list": "1 64"})
    assert any("class class_64 occurs in no label" in warning for warning in prepared.warnings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_list": "1", "max_mask_val": 3}, "`class_list` or `max_mask_val`, not both"),
        ({"class_list": "1 1"}, "names a value twice"),
        ({"class_list": "road"}, 'whole numbers such as "1 2 5", not "road"'),
        ({"class_list": "-1"}, 'whole numbers such as "1 2 5", not "-1"'),
        ({"class_list": [-1]}, "greater than or equal to 1"),
        ({"class_list": ""}, "at least 1 item"),
        ({"class_list": "0"}, "at least 1 item"),
        ({"max_mask_val": 0}, "greater than or equal to 1"),
        ({"max_mask_val": 1001}, "less than or equal to 1000"),
    ],
)
def test_lists_of_values_that_cannot_be(tmp_path, settings, message):
    with pytest.raises(ValidationError, match=message):
        FolderSource(folder=tmp_path, **settings)


def test_classes_may_rename_listed_values_but_not_contradict_them(tmp_path):
    source = {"name": "folder", "folder": tmp_path, "class_list": [64]}
    named = [{"name": "rest", "values": [0]}, {"name": "field", "values": [64]}]
    assert DataSettings.model_validate({"source": source, "classes": named}).classes.names == ("rest", "field")
    whole = DataSettings.model_validate({"source": source})
    assert DataSettings.model_validate(whole.model_dump()) == whole
    strict = DataSettings.model_validate({"source": source, "classes": {"unlisted": "error"}})
    assert (strict.classes.unlisted, strict.classes.names) == ("error", ("background", "class_64"))
    with pytest.raises(ValidationError, match="class_list says the classes background, class_64"):
        DataSettings.model_validate({"source": source, "classes": ["rest", "field"]})


def test_a_validation_folder_elsewhere(write_photo, tmp_path):
    for name in (
        "набор/images/a",
        "набор/images/b",
        "набор/test/images/c",
        "набор/val/images/d",
        "Проверка 2/images/a",
    ):
        write_photo(f"{name}.png", np.zeros((2, 3, 3), dtype=np.uint8))
        write_photo(f"{name.replace('images', 'gt')}.png", np.zeros((2, 3), dtype=np.uint8))
    source = FolderSource(folder=tmp_path / "набор", val_folder=tmp_path / "Проверка 2")
    check_source(source)
    listing = source.pairs()
    assert {pair.image_id: pair.split for pair in listing.pairs} == {
        "a": "train",
        "b": "train",
        "test/c": "test",
        "val/a": "val",
    }
    assert listing.pairs[-1].image == tmp_path / "Проверка 2/images/a.png"
    assert listing.notes == (f"left out: 1 validation images of {tmp_path / 'набор'}, since val_folder is given",)


def test_a_validation_folder_inside_never_trains(write_photo, tmp_path):
    for name in ("images/a", "held back/images/b"):
        write_photo(f"{name}.png", np.zeros((2, 3, 3), dtype=np.uint8))
        write_photo(f"{name.replace('images', 'gt')}.png", np.zeros((2, 3), dtype=np.uint8))
    listing = FolderSource(folder=tmp_path, val_folder=tmp_path / "held back").pairs()
    assert [(pair.image_id, pair.split) for pair in listing.pairs] == [("a", "train"), ("val/b", "val")]
    assert listing.notes == ()


def test_zion_is_found_by_its_folders_alone(real_data):
    source = FolderSource(folder=real_data / "zion_rgb_nir_tiles", extra=("nir",))
    check_source(source)
    entries = source.catalog().entries()
    assert [place.name for place in entries[0].stack] == ["red", "green", "blue", "nir"]
    classes = Classes(
        items=[{"name": f"class {value}", "values": [value]} for value in range(1, 9)], ignore_values=(0,)
    )
    for entry in entries:
        assert entry.image.parent.name == "rgb"
        mask = np.asarray(Image.open(real_data / "zion_rgb_nir_tiles" / "masks" / entry.image.name))
        assert (target_of(entry, classes).target == np.where(mask == 0, 255, mask - 1)).all()


def test_rgb_is_no_image_folder_beside_images(write_photo, tmp_path):
    for folder in ("images", "rgb", "gt"):
        write_photo(f"{folder}/a.png", np.zeros((2, 3) if folder == "gt" else (2, 3, 3), dtype=np.uint8))
    assert [pair.image.parent.name for pair in FolderSource(folder=tmp_path).pairs().pairs] == ["images"]
    extra = FolderSource(folder=tmp_path, extra=("rgb",)).pairs().pairs
    assert [path.parent.name for path in extra[0].extra] == ["rgb"]


@pytest.mark.parametrize("tile", ["Tile 1", "Tile 2", "Tile 3", "Tile 4", "Tile 7"])
def test_dubai_masks_by_palette_and_by_colour(real_data, tile):
    classes = Classes(
        items=[{"name": name, "colour": colour} for name, colour in DUBAI.items()],
        ignore_colours=["#9B9B9B", "#000000"],
    )
    entries = FolderSource(folder=real_data / "dubai" / tile).catalog().entries()
    assert len(entries) == 9
    for entry in entries[::4]:
        with Image.open(entry.label.file) as picture:
            assert picture.mode == ("P" if tile in {"Tile 2", "Tile 4"} else "RGB")
            colours = np.asarray(picture.convert("RGB")).astype(int) @ (65536, 256, 1)
        expected = np.full(colours.shape, 255)
        for number, colour in enumerate(DUBAI.values()):
            expected[colours == int(colour[1:], 16)] = number
        assert (target_of(entry, classes).target == expected).all()


def test_the_colours_of_dubais_own_list_are_not_those_of_its_masks(real_data):
    listed = json.loads((real_data / "dubai" / "classes.json").read_text())["classes"]
    classes = Classes(items=[{"name": item["title"], "colour": item["color"]} for item in listed])
    entry = FolderSource(folder=real_data / "dubai" / "Tile 1").catalog().entries()[0]
    with pytest.raises(LabelError, match=r"image_part_001.png: no class lists #\w{6} \(\d+ pixels\)"):
        target_of(entry, classes)


def test_cloud_chip_of_one_file_a_band(real_data):
    source = FolderSource(
        folder=real_data / "cloud38_sample",
        images="red_*.TIF",
        labels="gt_*.TIF",
        extra=("green_*.TIF", "blue_*.TIF", "nir_*.TIF"),
        class_list=255,
    )
    check_source(source)
    (entry,) = source.catalog()
    mask = np.asarray(Image.open(entry.label.file))
    assert set(np.unique(mask).tolist()) == {0, 255}
    assert (target_of(entry, source.known_classes()).target == (mask == 255)).all()


def test_further_validation_folders_from_a_text_file(write_photo, tmp_path):
    for name in ("набор/images/a", "одна/images/b", "две 2/images/b", "другая/images/c"):
        write_photo(f"{name}.png", np.zeros((2, 3, 3), dtype=np.uint8))
        write_photo(f"{name.replace('images', 'gt')}.png", np.full((2, 3), 64, dtype=np.uint8))
    (tmp_path / "sets.txt").write_text("одна\nдве 2, 5\n", encoding="utf-8")
    source = {"name": "folder", "folder": tmp_path / "набор", "val_folder": tmp_path / "другая", "class_list": "64"}
    prepared = prepared_from(tmp_path, source=source, validation_list=tmp_path / "sets.txt")
    # Folders without any letter of a to z give sets a name of their own; the validation folder joins none of them.
    assert prepared.pixel_counts == dict.fromkeys(("train", "val", "val_set", "val_2"), (0, 6))


def test_another_folder_brings_its_own_validation_images(tmp_path):
    source = FolderSource(folder=tmp_path, val_folder=tmp_path / "val", class_list=64)
    assert source.elsewhere(tmp_path / "b") == FolderSource(folder=tmp_path / "b", class_list=64)
