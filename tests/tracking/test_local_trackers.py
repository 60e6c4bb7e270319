"""CSV tables and JSON lines, cut to checkpoints."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from terrazzo.tracking import Csv, Entry, JsonLines, TrackedRun, Tracker, Tracking

MATRIX = {"classes": ["wood", 'roof, "flat"'], "counts": [[3, 1], [0, 4]]}


def epoch(number: int, miou: float | None = 0.5) -> list[Entry]:
    figures = {"lr": 0.1, "train_loss": 0.25, "val_miou": miou}
    return [
        Entry("update", {"loss": 0.5 / number, "lr": 0.1}, epoch=number, update=2 * number),
        Entry("epoch", figures, epoch=number, update=2 * number),
        Entry("confusion", MATRIX, "val", number, 2 * number),
    ]


def tables(folder: Path) -> dict[str, list[dict[str, str]]]:
    found = {}
    for path in sorted((folder / "csv").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found[path.stem] = list(csv.DictReader(file))
    return found


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "track.jsonl").read_text(encoding="utf-8")
    return [{key: value for key, value in json.loads(line).items() if key != "time"} for line in text.splitlines()]


def tell(trackers: list[Tracker], run: TrackedRun, entries: list[Entry], **settings: Any) -> dict[str, int]:
    tracking = Tracking(trackers, run, **settings)
    for entry in entries:
        tracking.add(entry)
    sizes = tracking.sizes()
    tracking.close()
    return sizes


def test_tables_hold_settings_updates_epochs_matrices_and_phases(tracked: TrackedRun) -> None:
    phase = Entry("phase", {"seconds": 2.5, "evaluate/test_miou": 0.5}, "evaluate test", 2, 4)
    summary = Entry("summary", {"best_epoch": 1}, epoch=2, update=4)
    tell([Csv()], tracked, [*epoch(1), *epoch(2, None), summary, phase])
    found = tables(tracked.folder)
    assert {row["setting"]: row["value"] for row in found["hyperparameters"]}["train.epochs"] == "2"
    assert found["updates"] == [
        {"update": "2", "epoch": "1", "loss": "0.5", "lr": "0.1"},
        {"update": "4", "epoch": "2", "loss": "0.25", "lr": "0.1"},
    ]
    assert [row["val_miou"] for row in found["epochs"]] == ["0.5", ""]
    assert list(found["epochs"][0]) == ["epoch", "lr", "train_loss", "val_miou"]
    assert found["confusion"][1] == {
        "epoch": "1", "split": "val", "label": "wood", "prediction": 'roof, "flat"', "pixels": "1"
    }  # fmt: skip
    assert len(found["confusion"]) == 8
    assert found["summary"] == [{"figure": "best_epoch", "value": "1"}]
    assert found["phases"][1] == {"phase": "evaluate test", "figure": "evaluate/test_miou", "value": "0.5"}


def test_lines_hold_all_but_pictures(tracked: TrackedRun) -> None:
    tell([JsonLines()], tracked, [*epoch(1, None), Entry("pictures", {}, "worst", 1, 2)])
    found = lines(tracked.folder)
    assert [line["kind"] for line in found] == ["hyperparameters", "update", "epoch", "confusion"]
    assert found[2] == {
        "kind": "epoch", "epoch": 1, "update": 2, "values": {"lr": 0.1, "train_loss": 0.25, "val_miou": None}
    }  # fmt: skip
    assert found[3]["values"] == MATRIX


@pytest.mark.parametrize("trackers", [[Csv(), JsonLines()]])
def test_what_came_after_the_checkpoint_is_made_again_and_is_there_once(
    trackers: list[Tracker], tracked: TrackedRun
) -> None:
    whole = replace(tracked, folder=tracked.folder.parent / "whole")
    tell(trackers, whole, [*epoch(1), *epoch(2), *epoch(3)])
    known = tell(trackers, tracked, epoch(1))
    tell(trackers, replace(tracked, known=known), epoch(2))  # killed before its checkpoint
    tell(trackers, replace(tracked, known=known), [*epoch(2), *epoch(3)])
    assert lines(tracked.folder) == lines(whole.folder)
    assert tables(tracked.folder) == tables(whole.folder)


def test_without_a_checkpoint_everything_begins_anew(tracked: TrackedRun) -> None:
    tell([Csv(), JsonLines()], tracked, [*epoch(1), *epoch(2)])
    tell([Csv(), JsonLines()], tracked, epoch(1))
    assert [line["kind"] for line in lines(tracked.folder)] == ["hyperparameters", "update", "epoch", "confusion"]
    assert len(tables(tracked.folder)["epochs"]) == 1


def test_a_tracker_that_joins_late_gets_settings_and_all_epochs(tracked: TrackedRun) -> None:
    known = tell([JsonLines()], tracked, epoch(1))
    history = [{"epoch": 1, "lr": 0.1, "train_loss": 0.25, "val_miou": 0.5}]
    tell([JsonLines(), Csv()], replace(tracked, known=known), epoch(2), history=history)
    assert [row["epoch"] for row in tables(tracked.folder)["epochs"]] == ["1", "2"]
    assert [line["kind"] for line in lines(tracked.folder)].count("epoch") == 2
