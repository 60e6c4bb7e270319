"""The table of images."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from affine import Affine

from terrazzo.data.catalog import COLUMNS, BandPlace, Catalog, ImageEntry
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.errors import DataError

PLAIN = ImageEntry("b", Path("/d/b c.png"), None, (), None, None, 3, 5)
FULL = ImageEntry(
    image_id="Tile 1/ä",
    image=Path("/daten/Tile 1/ä.tif"),
    label=RasterLabel(rasters=(Path("/daten/masks/ä.png"),)),
    extra=(Path("/daten/nir/ä.tif"),),
    split="train",
    region="Tile 1",
    height=10,
    width=20,
    crs='LOCAL_CS["somewhere",UNIT["metre",1]]',
    transform=(0.5, 0.0, 100.0, 0.0, -0.5, 200.0),
    stack=(BandPlace("red", 0, 0), BandPlace("nir", 1, 0)),
    bytes=123,
    modified_ns=1_700_000_000_123_456_789,
)


def test_images_are_ordered_by_name():
    assert [entry.image_id for entry in Catalog([PLAIN, replace(PLAIN, image_id="a")])] == ["a", "b"]


def test_entries_of_a_role():
    catalog = Catalog([PLAIN, FULL, replace(FULL, image_id="z", split="val")])
    assert [entry.image_id for entry in catalog.entries("val")] == ["z"]
    assert len(catalog.entries()) == len(catalog) == 3
    assert catalog.splits == ("train", "val")


def test_an_image_has_one_role():
    with pytest.raises(DataError, match='two images are called "b"'):
        Catalog([PLAIN, replace(PLAIN, split="val")])


def test_unknown_name():
    with pytest.raises(DataError, match='"nothing"'):
        Catalog([PLAIN]).entry("nothing")


def test_parquet_round_trip_keeps_every_field(tmp_path):
    path = tmp_path / "ein Ordner" / "catalog.parquet"
    Catalog([FULL, PLAIN]).save(path)
    loaded = Catalog.load(path)
    assert loaded.entry(FULL.image_id) == FULL
    assert loaded.entry("b") == PLAIN


def test_round_trip_of_images_without_label_region_or_role(tmp_path):
    Catalog([PLAIN]).save(tmp_path / "catalog.parquet")
    entry = Catalog.load(tmp_path / "catalog.parquet").entry("b")
    assert (entry.label, entry.region, entry.split, entry.crs, entry.stack) == (None, None, None, None, ())


def test_csv_on_demand(tmp_path):
    Catalog([FULL]).save(tmp_path / "catalog.csv")
    assert pd.read_csv(tmp_path / "catalog.csv")["height"].tolist() == [10]


def test_the_frame_holds_one_row_an_image():
    frame = Catalog([FULL, PLAIN]).frame
    assert list(frame.columns) == list(COLUMNS)
    assert frame["image_id"].tolist() == ["Tile 1/ä", "b"]


def test_grid_and_files():
    assert FULL.grid.transform == Affine(0.5, 0, 100, 0, -0.5, 200)
    assert (FULL.grid.height, FULL.grid.width) == (10, 20)
    assert FULL.grid.crs is not None
    assert PLAIN.grid.crs is None
    assert FULL.files == (FULL.image, FULL.extra[0])


def test_a_foreign_table_is_refused(tmp_path):
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "catalog.parquet")
    with pytest.raises(DataError, match="no catalog: its columns are x"):
        Catalog.load(tmp_path / "catalog.parquet")


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "catalog.parquet"
    Catalog([FULL]).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as a catalog"):
        Catalog.load(path)
    with pytest.raises(DataError, match="nowhere"):
        Catalog.load(tmp_path / "nowhere.parquet")
