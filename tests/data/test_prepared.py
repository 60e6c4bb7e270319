"""Prepared data on disk: whole or refused."""

import json

import pytest

from terrazzo.data.prepare import open_prepared
from terrazzo.data.prepared import CATALOG_FILE, PATCHES_FILE, PREPARED_FILE, load_prepared, save_prepared
from terrazzo.errors import DataError


@pytest.fixture
def saved(make_prepared):
    prepared = make_prepared((40, 30), (8, 9), step=12)
    save_prepared(prepared, inputs="inputs")
    return prepared


def test_round_trip(saved):
    loaded, inputs = load_prepared(saved.folder)
    assert inputs == "inputs"
    for name in ("bands", "classes", "normalisation", "pixel_counts", "warnings", "fingerprint", "resolution_m"):
        assert vars(loaded)[name] == vars(saved)[name]
    assert (loaded.patch_size, loaded.max_ignored_share) == (16, 0.9)
    assert list(loaded.catalog) == list(saved.catalog)
    assert len(loaded.index) == len(saved.index)
    assert loaded.training_rows() == saved.training_rows()


def test_training_rows_leave_out_what_is_mostly_ignored(saved):
    shares = saved.index.frame["ignored_share"]
    limit = float(shares.median())
    strict = type(saved)(**{**vars(saved), "max_ignored_share": limit})
    assert strict.training_rows() == [row for row in range(len(shares)) if shares[row] <= limit]
    assert 0 < len(strict.training_rows()) < len(shares)


def test_an_unprepared_folder(tmp_path):
    with pytest.raises(DataError, match="run `terrazzo prepare` first"):
        open_prepared(tmp_path)


@pytest.mark.parametrize("name", [CATALOG_FILE, PATCHES_FILE])
@pytest.mark.parametrize("change", ["remove", "truncate", "replace"])
def test_a_folder_that_is_not_whole_is_refused(saved, name, change):
    path = saved.folder / name
    if change == "remove":
        path.unlink()
    elif change == "truncate":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.write_bytes(path.read_bytes().replace(b"image", b"imege"))
    with pytest.raises(DataError, match=rf"{name}.* is not the file"):
        open_prepared(saved.folder)


def test_a_changed_description_is_refused(saved):
    path = saved.folder / PREPARED_FILE
    content = json.loads(path.read_text())
    content["normalisation"]["mean"][0] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="was changed after it was written"):
        open_prepared(saved.folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "null"])
def test_a_damaged_description_is_refused(saved, text):
    (saved.folder / PREPARED_FILE).write_text(text)
    with pytest.raises(DataError, match="damaged prepared data"):
        open_prepared(saved.folder)


def test_another_format_is_refused(saved):
    path = saved.folder / PREPARED_FILE
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(DataError, match="format 99"):
        open_prepared(saved.folder)
