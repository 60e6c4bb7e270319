"""Named validation sets: from the settings, and from a list of folders."""

import csv

import numpy as np
import pytest

from terrazzo.data.prepare import prepare_data
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.splitting.validation_sets import validation_sets
from terrazzo.errors import ConfigError, DataError


def settings(tmp_path, **changes):
    data = {"source": {"name": "folder", "folder": tmp_path / "data"}, "classes": ["a", "b"], "patch": {"size": 8}}
    return DataSettings.model_validate({**data, **changes})


def photos(write_photo, *names, value=0):
    for name in names:
        write_photo(f"{name[0]}/images/{name[1]}.png", np.full((10, 12, 3), value, dtype=np.uint8))
        write_photo(f"{name[0]}/masks/{name[1]}.png", np.arange(120, dtype=np.uint8).reshape(10, 12) % 2)


def test_sets_are_prepared_beside_the_data(tmp_path, write_photo):
    photos(write_photo, ("data/train", "a"), ("data/val", "b"), value=100)
    photos(write_photo, ("Übersee Stadt/train", "a"), ("Übersee Stadt/test", "c"), value=200)
    found = prepare_data(
        settings(
            tmp_path,
            validation={"city": {"source": {"name": "folder", "folder": tmp_path / "Übersee Stadt"}, "every": 2}},
        ),
        PrepareSettings(folder=tmp_path / "prepared"),
    )
    assert found.catalog.splits == ("train", "val", "val_city")
    # Whatever role their folders say, all of a set's images belong to it, and none trains.
    assert len(found.catalog.entries("val_city")) == 2
    assert all(entry.image_id.startswith("val_city/") for entry in found.catalog.entries("val_city"))
    assert found.normalisation.mean == (100.0, 100.0, 100.0)
    assert found.pixel_counts["val_city"] == (120, 120)
    assert len(found.index.rows("val_city")) == 8
    with (tmp_path / "prepared" / "splits.csv").open(encoding="utf-8") as file:
        reasons = {row["split"]: row["why"] for row in csv.DictReader(file)}
    assert reasons == {"train": "the layout", "val": "the layout", "val_city": "a set of data.validation"}


def test_a_set_that_changes_is_prepared_again(tmp_path, write_photo):
    photos(write_photo, ("data/train", "a"), ("data/val", "b"), ("more", "c"))
    data = settings(tmp_path, validation={"x": {"source": {"name": "folder", "folder": tmp_path / "more"}}})
    first = prepare_data(data, PrepareSettings(folder=tmp_path / "prepared"))
    photos(write_photo, ("more", "d"))
    second = prepare_data(data, PrepareSettings(folder=tmp_path / "prepared"))
    assert len(second.catalog) == len(first.catalog) + 1
    assert second.fingerprint != first.fingerprint


def test_fractions_and_folds_leave_sets_alone(tmp_path, write_photo):
    photos(write_photo, *[("data", f"{number}") for number in range(6)], ("more", "c"), ("more", "d"))
    data = settings(
        tmp_path,
        validation={"x": {"source": {"name": "folder", "folder": tmp_path / "more"}}},
        split={"folds": {"count": 3}},
        fold=0,
    )
    found = prepare_data(data, PrepareSettings(folder=tmp_path / "prepared"))
    assert [len(found.catalog.entries(split)) for split in ("train", "val", "val_x")] == [4, 2, 2]
    assert {entry.fold for entry in found.catalog.entries("val_x")} == {None}


def test_a_list_of_folders_names_sets_after_them(tmp_path):
    listed = tmp_path / "sets" / "list.txt"
    listed.parent.mkdir()
    listed.write_text(
        "\ufeff# where from, how often\nOld City, 3\n\n../Новый город\n/else/where/old-city\t5\nmean\na, b\n",
        encoding="utf-8",
    )
    found = validation_sets(settings(tmp_path, validation_list={"file": listed, "every": 2}))
    told = {name: (str(one.source.folder), one.every) for name, one in found.items()}
    base = str(tmp_path / "sets")
    assert told == {
        "old_city": (f"{base}/Old City", 3),
        "set": (f"{base}/../Новый город", 2),
        "old_city_2": ("/else/where/old-city", 5),
        "set_mean": (f"{base}/mean", 2),
        "a_b": (f"{base}/a, b", 2),
    }
    assert all(one.source.name == "folder" for one in found.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot be read"), (b"# nothing\n\n", "names no folder"), (b"\xff\xfe", "cannot be read")],
)
def test_lists_that_say_nothing(tmp_path, text, message):
    path = tmp_path / "list.txt"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(DataError, match=message):
        validation_sets(settings(tmp_path, validation_list=path))


def test_a_name_in_both_places(tmp_path):
    (tmp_path / "list.txt").write_text("city\n")
    given = {"city": {"source": {"name": "folder", "folder": tmp_path}}}
    with pytest.raises(ConfigError, match=r'lists a set "city", but data\.validation has one'):
        validation_sets(settings(tmp_path, validation_list=tmp_path / "list.txt", validation=given))


def test_a_set_without_labels_or_images_is_an_error(tmp_path, write_photo):
    photos(write_photo, ("data/train", "a"), ("data/val", "b"))
    (tmp_path / "empty").mkdir()
    data = settings(tmp_path, validation={"x": {"source": {"name": "folder", "folder": tmp_path / "empty"}}})
    with pytest.raises(DataError, match="empty"):
        prepare_data(data, PrepareSettings(folder=tmp_path / "prepared"))


def test_a_set_of_images_that_train_is_said(tmp_path, write_photo):
    photos(write_photo, ("data/train", "a"), ("data/train", "b"), ("data/val", "c"), ("more/x", "d"))
    (tmp_path / "more" / "linked").symlink_to(tmp_path / "data" / "train", target_is_directory=True)
    sets = {
        "same": {"source": {"name": "folder", "folder": tmp_path / "more" / "linked"}},
        "other": {"source": {"name": "folder", "folder": tmp_path / "more" / "x"}},
    }
    found = prepare_data(settings(tmp_path, validation=sets), PrepareSettings(folder=tmp_path / "prepared"))
    (note,) = [note for note in found.warnings if "of the data itself" in note]
    assert note.startswith("val_same holds 2 images")
