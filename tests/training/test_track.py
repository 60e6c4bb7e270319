import csv
import sys

import numpy as np
import pytest

import terrazzo
from terrazzo.storage import read_json
from terrazzo.training import track
from terrazzo.training.track import COLUMNS, package_versions, profiled, write_log, write_metadata

ROW = {"epoch": 1, "lr": 0.1, "train_loss": 1 / 3, "val_loss": None, "val_iou_a, b": 0.5, "val_miou": 0.25}


def test_the_log_begins_with_the_common_columns(tmp_path):
    write_log(tmp_path / "log.csv", [ROW, ROW | {"epoch": 2}])
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0])[:8] == COLUMNS
    assert tuple(rows[0])[8:] == ("val_iou_a, b",)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[0]["train_loss"]) == 1 / 3
    assert (rows[0]["val_loss"], rows[0]["val_bf1"], rows[0]["val_avg_steps"]) == ("", "", "")


def test_the_columns_of_the_contract_are_first_and_in_order():
    assert COLUMNS[:7] == ("epoch", "lr", "train_loss", "val_loss", "val_miou", "val_avg_steps", "val_bf1")


def test_a_run_without_epochs_has_a_log_without_rows(tmp_path):
    write_log(tmp_path / "log.csv", [])
    assert (tmp_path / "log.csv").read_text().splitlines() == [",".join(COLUMNS)]


def test_metadata_names_what_made_the_run_and_each_new_start(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["terrazzo", "train", "mine.yaml"])
    path = tmp_path / "metadata.json"
    write_metadata(path, {"seed": 3})
    first = read_json(path)
    assert first["command"] == ["terrazzo", "train", "mine.yaml"]
    assert first["seed"] == 3
    assert first["resumed"] == []
    assert first["versions"]["terrazzo"] == terrazzo.__version__
    assert first["environment"]["cores"] >= 1
    monkeypatch.setattr(sys, "argv", ["terrazzo", "run"])
    write_metadata(path, {"seed": 4})
    second = read_json(path)
    assert second["seed"] == 3
    assert [start["command"] for start in second["resumed"]] == [["terrazzo", "run"]]


def test_the_commit_is_that_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_metadata(tmp_path / "metadata.json", {})
    assert read_json(tmp_path / "metadata.json")["commit"] is None
    monkeypatch.setattr(track.subprocess, "run", missing_git)
    assert track._commit(tmp_path) is None


def missing_git(*_arguments, **_settings):
    raise FileNotFoundError("git")


def test_versions_name_what_decides_results():
    versions = package_versions()
    assert {"terrazzo", "python", "torch", "numpy", "rasterio"} <= set(versions)
    assert all(versions.values())


@pytest.mark.filterwarnings("ignore")
def test_a_profile_is_a_chrome_trace(tmp_path):
    with profiled(tmp_path / "profile.json"):
        np.zeros(3)
    assert "traceEvents" in read_json(tmp_path / "profile.json")


def test_no_profile_is_written_without_a_path(tmp_path):
    with profiled(None):
        pass
    assert list(tmp_path.iterdir()) == []
