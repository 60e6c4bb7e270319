"""Images that a table lists."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from terrazzo.data.prepare import prepare_data
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.sources.table import TableSource
from terrazzo.errors import DataError
from terrazzo.testing import check_source

NAMES = ("img/a b.png", "img/é.png", "gt/a b.png", "gt/é.png", "nir/a b.tif", "nir/é.tif")


@pytest.fixture
def table(tmp_path):
    """Write a table beside empty files."""

    def write(text, name="split.csv", **settings):
        folder = tmp_path / "Данные 1"
        for file in NAMES:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        (folder / name).write_text(text, encoding="utf-8")
        return TableSource(table=folder / name, **settings)

    return write


def test_columns_by_their_usual_names(table):
    source = table(
        "image,label,split,fold,region,note\nimg/é.png,gt/é.png,val,1,Tal 2,x\nimg/a b.png,gt/a b.png,Training,0.0,,y\n"
    )
    first, second = source.pairs().pairs
    folder = source.table.parent
    assert (first.image_id, first.split, first.fold, first.region) == ("img/a b", "train", 0, None)
    assert (second.image_id, second.split, second.fold, second.region) == ("img/é", "val", 1, "Tal 2")
    assert (second.image, second.label.files, second.extra) == (folder / "img/é.png", (folder / "gt/é.png",), ())


def test_columns_of_other_names(table):
    source = table(
        "path;mask;is_train;near\nimg/é.png;gt/é.png;0;nir/é.tif\nimg/a b.png;gt/a b.png;1;nir/a b.tif\n",
        image="path",
        label="mask",
        split="is_train",
        extra=("near",),
        roles={"1": "train", "0": "val"},
    )
    pairs = source.pairs().pairs
    assert [(pair.split, pair.extra[0].name) for pair in pairs] == [("train", "a b.tif"), ("val", "é.tif")]


def test_without_roles(table):
    pairs = table("image,label\nimg/é.png,gt/é.png\n").pairs().pairs
    assert (pairs[0].split, pairs[0].fold, pairs[0].region) == (None, None, None)
    assert table("image,label,split\nimg/é.png,gt/é.png,\n").pairs().pairs[0].split is None


def test_paths_from_another_folder_and_with_backslashes(table):
    source = table("image,label\nimg\\é.png,.\\gt\\é.png\n", name="nested.csv")
    assert source.pairs().pairs[0].label.file == source.table.parent / "gt/é.png"
    lists = source.table.parent / "split"
    lists.mkdir()
    (lists / "x.csv").write_text("image,label\nimg/é.png,gt/é.png\n", encoding="utf-8")
    assert TableSource(table=lists / "x.csv", folder=source.table.parent).pairs().pairs[0].image_id == "img/é"


@pytest.mark.parametrize(
    "outside", ["../Данные 1/img/é.png", "img/../../Данные 1/img/é.png", "..\\Данные 1\\img\\é.png", None]
)
def test_paths_that_lead_out_of_the_folder(table, outside):
    source = table("image,label\n")
    text = outside or str(source.table.parent / "img/é.png")
    source = table(f"image,label\n{text},gt/é.png\n")
    with pytest.raises(DataError, match=r'split.csv, line 2: "image" is .* which leads out of'):
        source.pairs()
    allowed = source.model_copy(update={"allow_outside": True}).pairs().pairs
    assert [(pair.image_id, pair.image) for pair in allowed] == [("img/é", source.table.parent / "img/é.png")]


def test_an_image_elsewhere_is_called_by_its_whole_path(table, tmp_path):
    (tmp_path / "other.png").touch()
    source = table(f"image,label\n{tmp_path}/other.png,gt/é.png\n", allow_outside=True)
    assert source.pairs().pairs[0].image_id == str(tmp_path / "other").removeprefix("/")


def test_rows_whose_files_are_missing(table):
    text = "image,label\nimg/é.png,gt/é.png\nimg/z.png,gt/é.png\n,gt/a b.png\nimg/a b.png,\n"
    with pytest.raises(
        DataError, match=r'line 3: .*img/z.png does not exist; .*line 4: "image" is empty; .*line 5: "label"'
    ):
        table(text).pairs()
    listing = table(text, unmatched="skip").pairs()
    assert [pair.image_id for pair in listing.pairs] == ["img/é"]
    assert len(listing.notes) == 3
    many = "image,label\n" + "img/gone.png,gt/é.png\n" * 9
    with pytest.raises(DataError, match="4 more rows"):
        table(many, unmatched="skip").pairs()


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("image,labl\na,b\n", {}, 'has no column "label". Did you mean "labl"'),
        ("image,label\na,b\n", {"split": "role"}, r'no column "role"\..* It has image, label; data.source.split names'),
        ("image,label\na,b\n", {"extra": ("nir",)}, 'no column "nir"'),
        ("image,label\n", {}, "lists no image"),
        (
            "image,label,split\nimg/é.png,gt/é.png,trian\n",
            {},
            'line 2: "trian" is no role; roles are train, .*data.source.roles',
        ),
        ("image,label,fold\nimg/é.png,gt/é.png,-1\n", {}, 'line 2: "-1" is no fold'),
        ("image,label,fold\nimg/é.png,gt/é.png,1.5\n", {}, 'line 2: "1.5" is no fold'),
        (
            "image,label\nimg/é.png,gt/é.png\nimg/./é.png,gt/é.png\n",
            {},
            "line 3: the image img/é stands in .*line 2, too",
        ),
    ],
)
def test_tables_that_cannot_be_used(table, text, settings, message):
    with pytest.raises(DataError, match=message):
        table(text, **settings).pairs()


def test_one_column_for_two_things(tmp_path):
    with pytest.raises(ValidationError, match='column "image" cannot be two things'):
        TableSource(table=tmp_path / "x.csv", label="image")


def test_prepared_from_parquet_with_a_band_in_files_of_its_own(write_photo, tmp_path):
    draw = np.random.default_rng(3)
    masks = {}
    for name, size in (("a", (7, 9)), ("b", (12, 5)), ("c", (1, 1))):
        write_photo(f"x/{name}.png", draw.integers(0, 256, (*size, 3), dtype=np.uint8))
        write_photo(f"nir/{name}.tif", draw.integers(0, 60000, size, dtype=np.uint16))
        masks[name] = draw.integers(0, 2, size, dtype=np.uint8)
        write_photo(f"y/{name}.png", masks[name])
    frame = pd.DataFrame(
        {
            "image": [f"x/{name}.png" for name in masks],
            "label": [f"y/{name}.png" for name in masks],
            "nir": [f"nir/{name}.tif" for name in masks],
            "split": ["train", "train", "val"],
        }
    )
    frame.to_parquet(tmp_path / "images.parquet")
    source = TableSource(table=tmp_path / "images.parquet", extra=("nir",))
    check_source(source)
    prepared = prepare_data(
        DataSettings.model_validate({"source": source, "classes": ["no", "yes"], "patch": {"size": 4}}),
        PrepareSettings(folder=tmp_path / "prepared"),
    )
    train = np.concatenate([masks["a"].ravel(), masks["b"].ravel()])
    assert prepared.pixel_counts["train"] == ((train == 0).sum(), (train == 1).sum())
    assert prepared.bands.names == ("red", "green", "blue", "nir")
    assert prepared.bands.items[3].dtype == "uint16"


def test_a_real_table_without_header(real_data):
    folder = real_data / "geotiff_label_raster_tiles"
    source = TableSource(table=folder / "tiles.csv", header=False, image="1", label="2")
    check_source(source)
    entries = source.catalog().entries()
    assert [(entry.image.name, entry.label.file.name) for entry in entries] == [
        ("tiled_image_1.tif", "tiled_label_1.tif"),
        ("tiled_image_2.tif", "tiled_label_2.tif"),
    ]
    with Image.open(folder / "tiled_image_1.tif") as picture:
        assert picture.size == (entries[0].width, entries[0].height)


def test_a_table_is_no_layout_of_another_folder(table, tmp_path):
    assert table("image,label\n").elsewhere(tmp_path) is None
