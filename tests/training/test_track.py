import csv
import sys
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import terrazzo
from terrazzo.storage import read_json
from terrazzo.training import track
from terrazzo.training.track import COLUMNS, Events, package_versions, profiled, write_log, write_metadata

ROW = {"epoch": 1, "lr": 0.1, "train_loss": 1 / 3, "val_loss": None, "val_iou_a, b": 0.5, "val_miou": 0.25}


def read_scalars(folder) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


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


def test_scalars_and_pictures_come_back(tmp_path):
    events = Events(tmp_path / "tb", {})
    events.scalars({"loss": 0.5, "nothing": None}, 3)
    events.pictures("worst", [np.zeros((4, 6, 3), dtype=np.uint8)] * 2, 1)
    events.close()
    assert read_scalars(tmp_path / "tb") == {"loss": [(3, 0.5)]}
    found = EventAccumulator(str(tmp_path / "tb"), size_guidance={"images": 0}).Reload()
    assert found.Tags()["images"] == ["worst/1", "worst/2"]
    assert [(image.height, image.width) for image in found.Images("worst/1")] == [(4, 6)]


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path):
    first = Events(tmp_path, {})
    first.scalars({"loss": 1.0}, 1)
    known = first.sizes()
    first.scalars({"loss": 2.0}, 2)
    first.close()
    second = Events(tmp_path, known)
    second.scalars({"loss": 2.5}, 2)
    later = second.sizes()
    second.scalars({"loss": 9.0}, 3)
    second.close()
    third = Events(tmp_path, later)
    third.scalars({"loss": 3.0}, 3)
    third.close()
    assert read_scalars(tmp_path) == {"loss": [(1, 1.0), (2, 2.5), (3, 3.0)]}


def test_files_that_no_checkpoint_knows_are_removed(tmp_path):
    lost = Events(tmp_path, {})
    lost.scalars({"loss": 1.0}, 1)
    lost.close()
    again = Events(tmp_path, {})
    again.scalars({"loss": 7.0}, 1)
    again.close()
    assert read_scalars(tmp_path) == {"loss": [(1, 7.0)]}
    assert len(list(tmp_path.iterdir())) == 1


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    Events(tmp_path, {}).close()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_new_file_sorts_behind_the_known_ones(tmp_path):
    names = []
    known: dict[str, int] = {}
    for _ in range(3):
        events = Events(tmp_path, known)
        known = events.sizes()
        events.close()
        names.append(max(known))
    assert names == sorted(names)
    assert len(set(names)) == 3


def test_a_clock_set_back_is_not_waited_for_long(tmp_path):
    begun = time.monotonic()
    Events(tmp_path, {"events.out.tfevents.99999999999.host.1.0": 5}).close()
    assert time.monotonic() - begun < 4


def test_sizes_are_those_on_the_disk(tmp_path):
    events = Events(tmp_path, {})
    events.scalars({"loss": 1.0}, 1)
    sizes = events.sizes()
    assert sizes == {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    events.close()


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
