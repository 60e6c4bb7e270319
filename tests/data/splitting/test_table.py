"""The table of roles, and its reasons."""

from pathlib import Path

import pytest

from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.settings import DataSettings
from terrazzo.data.splitting.table import reason, write_splits

SOURCE = {"name": "folder", "folder": "/data"}


def image(name, split, fold=None, area=None, region=None):
    return ImageEntry(name, Path(f"/{name}.png"), None, (), split, region, 8, 8, fold=fold, area=area)


def data(**settings):
    return DataSettings.model_validate({"source": SOURCE, "classes": ["a", "b"], **settings})


HALVES = {"train": 0.5, "val": 0.5}
FOLDS = {"split": {"folds": {"count": 3, "by": "region"}}, "fold": 2}


@pytest.mark.parametrize(
    ("settings", "entry", "said", "why"),
    [
        ({}, image("a", "val"), "val", "the layout"),
        ({}, image("a", "val"), None, "drawn, since nothing says a role"),
        ({"split": {"lists": {"train": "a.txt"}}}, image("a", "train"), "val", "data.split.lists"),
        ({"split": {"regions": {"train": ["x"]}}}, image("a", "train"), None, "its region in data.split.regions"),
        ({"split": {"fractions": HALVES}}, image("a", "train"), "train", "drawn by data.split.fractions"),
        ({"split": {"fractions": HALVES}}, image("a", "test"), "test", "the layout"),
        ({"split": {"blocks": {"size_m": 5}}}, image("a#val", "val"), None, "drawn by data.split.blocks"),
        ({"split": {"blocks": {"size_m": 5}}}, image("a", "test"), "test", "the layout"),
        ({"split": {"polygons": "p.gpkg"}}, image("a#val", "val"), "train", "its place in data.split.polygons"),
        (FOLDS, image("a", "val", fold=2), None, "data.split.folds by region: fold 2 selects"),
        (FOLDS, image("a", "train", fold=1), "train", "data.split.folds by region: fold 2 selects"),
        (FOLDS, image("a", "test"), "test", "the layout"),
        ({"fold": 1}, image("a", "val", fold=1), None, "its fold in the source: fold 1 selects"),
        ({"validation": {"x": {"source": SOURCE}}}, image("val_x/a", "val_x"), None, "a set of data.validation"),
        ({"validation_list": "l.txt"}, image("val_x/a", "val_x"), None, "data.validation_list"),
    ],
)
def test_reasons(settings, entry, said, why):
    assert reason(entry, data(**settings), said) == why


def test_parts_follow_what_is_said_of_their_image(tmp_path):
    area = BlockArea(part="val", shares=(("val", 1.0),), size=4)
    entries = [
        image("b, ö#val", "val", area=area, region="north, east"),
        image("a#1", "test"),
        image("a", "train", fold=3),
    ]
    path = tmp_path / "splits.csv"
    write_splits(path, entries, data(split={"blocks": {"size_m": 5}}), {"b, ö": None, "a": "train", "a#1": "test"})
    assert path.read_text(encoding="utf-8").splitlines() == [
        "image_id,region,fold,split,why",
        "a,,3,train,drawn by data.split.blocks",
        "a#1,,,test,the layout",
        '"b, ö#val","north, east",,val,drawn by data.split.blocks',
    ]
