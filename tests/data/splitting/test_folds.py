"""Folds: whole groups, even shares, and turns that read nothing again."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrazzo.data import prepare as module
from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.measuring import ImageFacts
from terrazzo.data.prepare import prepare_data
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.splitting.folds import assign_folds, deal
from terrazzo.data.splitting.settings import FoldSettings
from terrazzo.data.statistics import Moments
from terrazzo.errors import DataError


def image(name, split=None, region=None, fold=None):
    return ImageEntry(name, Path(f"/data/{name}.png"), None, (), split, region, 8, 8, fold=fold)


def facts(*class_pixels):
    return ImageFacts(Moments(0, (), ()), class_pixels, 0, {}, np.zeros((0, len(class_pixels) + 1), dtype=np.int64))


def spread(sizes, found, count, quantity):
    """Largest difference between the folds' shares of a quantity."""
    total = sum(size[quantity] for size in sizes.values())
    shares = [sum(sizes[name][quantity] for name, fold in found.items() if fold == one) for one in range(count)]
    return (max(shares) - min(shares)) / total


@given(
    st.dictionaries(st.text(max_size=4), st.tuples(*[st.integers(1, 50).map(float)] * 3), min_size=5, max_size=30),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_every_group_has_one_fold_and_no_fold_is_empty(sizes, count, seed):
    found = deal(sizes, count, seed=seed)
    assert set(found) == set(sizes)
    assert set(found.values()) == set(range(count))
    backwards = dict(sorted(sizes.items(), reverse=True))
    assert deal(backwards, count, seed=seed) == found


def test_rare_classes_are_dealt_to_all_folds():
    """Six of sixty images hold a rare class: by numbers alone some fold gets none of it."""
    draw = np.random.default_rng(3)
    sizes = {f"{n}": (1.0, float(draw.integers(900, 1100)), 50.0 if n % 10 == 0 else 0.0) for n in range(60)}
    stratified = deal(sizes, 3, seed=0)
    plain = deal({name: size[:1] for name, size in sizes.items()}, 3, seed=0)
    assert spread(sizes, stratified, 3, 2) == 0
    assert spread(sizes, plain, 3, 2) > 0.1
    assert spread(sizes, stratified, 3, 1) < 0.02
    assert spread(sizes, stratified, 3, 0) == 0


def test_seeds_deal_equal_groups_otherwise():
    sizes = {str(number): (1.0,) for number in range(20)}
    assert deal(sizes, 4, seed=0) != deal(sizes, 4, seed=1)
    assert spread(sizes, deal(sizes, 4, seed=1), 4, 0) == 0


def test_a_region_is_never_divided():
    entries = [image(f"{n}", region=f"region {n % 7}") for n in range(40)]
    found = assign_folds(entries, [facts(n, 1) for n in range(40)], FoldSettings(count=3, by="region"), 1)
    folds = {entry.region: {other.fold for other in found if other.region == entry.region} for entry in found}
    assert all(len(one) == 1 for one in folds.values())
    assert {entry.fold for entry in found if entry.split == "val"} == {1}
    assert {entry.fold for entry in found if entry.split == "train"} == {0, 2}


def test_parts_of_an_image_stay_together():
    area = BlockArea(part="x", shares=(("x", 1.0),), size=1)
    entries = [replace(image(f"{n}#{part}"), area=area) for n in range(9) for part in ("train", "val")]
    found = assign_folds(entries, [facts(1)] * 18, FoldSettings(count=3), 0)
    assert all(one.fold == other.fold for one, other in zip(found[::2], found[1::2], strict=True))


def test_what_judges_stays_apart():
    entries = [image("a"), image("b", "val"), image("c", "train"), image("d", "test"), image("e", "val_city")]
    found = assign_folds(entries, [facts(1)] * 5, FoldSettings(count=3), 2)
    assert [entry.split for entry in found[3:]] == ["test", "val_city"]
    assert [entry.fold for entry in found[3:]] == [None, None]
    assert sorted(entry.fold for entry in found[:3]) == [0, 1, 2]


def test_folds_of_the_source_are_used_as_they_are():
    entries = [image("a", fold=5), image("b", "train", fold=0), image("c", fold=0)]
    found = assign_folds(entries, [facts(1)] * 3, None, 5)
    assert [(entry.fold, entry.split) for entry in found] == [(5, "val"), (0, "train"), (0, "train")]


def test_the_rest_of_a_group_joins_its_given_fold():
    entries = [image("a", region="x", fold=1), image("b", region="x"), image("c", region="y"), image("d", region="z")]
    found = assign_folds(entries, [facts(1)] * 4, FoldSettings(count=2, by="region"), 0)
    assert [entry.fold for entry in found][:2] == [1, 1]
    assert found[2].fold == found[3].fold == 0


@pytest.mark.parametrize(
    ("entries", "folds", "selects", "message"),
    [
        ([image("a", fold=1), image("b")], None, 1, r"nothing says which fold /data/b\.png is in"),
        ([image("a", fold=1)], None, 0, r"no image is in fold 0 \(data\.fold\); folds are 1"),
        ([image("a"), image("b")], FoldSettings(count=3), 0, r"count is 3, but there are 2 groups"),
        ([image("a", region="x"), image("b")], FoldSettings(count=2, by="region"), 0, r"b\.png lies in no region"),
        ([image("a", fold=4), image("b")], FoldSettings(count=2), 0, r"a\.png into fold 4.*folds are 0 to 1"),
    ],
)
def test_folds_that_cannot_be(entries, folds, selects, message):
    with pytest.raises(DataError, match=message):
        assign_folds(entries, [facts(1)] * len(entries), folds, selects)


@pytest.fixture
def measured(monkeypatch):
    names = []

    def spy(entry, *given, real=module.measure_image, **named):
        names.append(entry.image_id)
        return real(entry, *given, **named)

    monkeypatch.setattr(module, "measure_image", spy)
    return names


def photos(write_photo, count=7):
    draw = np.random.default_rng(0)
    for number in range(count):
        write_photo(f"Daten ö/images/{number}.png", draw.integers(0, 256, (20, 13, 3), dtype=np.uint8))
        write_photo(f"Daten ö/masks/{number}.png", draw.integers(0, 2, (20, 13), dtype=np.uint8))


def turn(tmp_path, fold, **changes):
    data = {
        "source": {"name": "folder", "folder": tmp_path / "Daten ö"},
        "classes": ["a", "b"],
        "patch": {"size": 8, "stride": 10},
        "split": {"folds": {"count": 3, "stratify": True}},
        "fold": fold,
        **changes,
    }
    return prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=tmp_path / "prepared"))


def test_the_next_fold_reads_no_image_again(tmp_path, write_photo, measured):
    photos(write_photo)
    first = turn(tmp_path, 0)
    assert len(measured) == 7
    turns = [first, turn(tmp_path, 1), turn(tmp_path, 2)]
    assert len(measured) == 7
    selects = [{entry.image_id for entry in one.catalog.entries("val")} for one in turns]
    assert set.union(*selects) == {str(number) for number in range(7)}
    assert sum(map(len, selects)) == 7
    assert [[entry.fold for entry in one.catalog] for one in turns[1:]] == [[entry.fold for entry in first.catalog]] * 2
    assert len({one.fingerprint for one in turns}) == 3
    assert len({one.normalisation for one in turns}) == 3
    assert set(first.index.frame["fold"]) == {0, 1, 2}


def test_with_a_guard_a_fold_is_read_once(tmp_path, write_photo, measured):
    photos(write_photo, 3)
    split = {"blocks": {"size_pixels": 5, "guard_pixels": 1}, "folds": {"count": 2, "by": "block"}}
    turn(tmp_path, 0, split=split)
    turn(tmp_path, 1, split=split)
    measured.clear()
    turn(tmp_path, 0, split=split)
    turn(tmp_path, 1, split=split)
    assert measured == []


def test_every_role_is_recorded_with_its_reason(tmp_path, write_photo):
    photos(write_photo)
    found = turn(tmp_path, 1)
    with (found.folder / "splits.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image_id", "region", "fold", "split", "why"]
    assert [row["image_id"] for row in rows] == [str(number) for number in range(7)]
    assert all((row["split"] == "val") == (row["fold"] == "1") for row in rows)
    assert {row["why"] for row in rows} == {"data.split.folds by image: fold 1 selects"}
