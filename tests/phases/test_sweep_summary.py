"""What `sweep` writes and tells."""

import csv
import io
import json
from pathlib import Path

from terrazzo.phases.sweep_summary import summarise
from terrazzo.sweep.trial import Finished, TrialState, trial_of


def row(split: str, miou: float) -> dict:
    counts = [[round(1000 * miou), 1000 - round(1000 * miou)], [0, 1000]]
    classes = [{"name": "field", "iou": miou}, {"name": "forest", "iou": None}]
    return {
        "split": split,
        "images": 2,
        "scores": {"miou": miou, "accuracy": 0.9, "classes": classes},
        "confusion": counts,
    }


def write(folder: Path) -> tuple[list, list]:
    trials, done = [], []
    for number, (model, seed, miou) in enumerate((("a", 1, 0.5), ("a", 2, 0.6), ("b", 1, 0.7), ("b", 2, 0.75))):
        trial = trial_of(number, {"model": model, "seed": seed}, folder)
        evaluation = trial.folder / "evaluate" / "val"
        evaluation.mkdir(parents=True)
        trial.save()
        (evaluation / "confusion.csv").touch()
        (evaluation / "summary.json").write_text(json.dumps(row("val", miou)))
        (trial.folder / "log.csv").write_text(f"epoch,val_miou,seconds\n1,{miou},2\n")
        trials.append(trial)
        done.append(Finished(trial=trial, state=TrialState.finished, seconds=5.0))
    failed = trial_of(4, {"model": "c", "seed": 1}, folder)
    return [*trials, failed], [*done, Finished(trial=failed, state=TrialState.failed, reason="it\nbroke")]


def test_files_and_words(tmp_path: Path) -> None:
    folder = tmp_path / "a größe"
    # Patches with other predictions but the same labels are compared.
    trials, done = write(folder)
    found = summarise(folder, trials, done, seconds=7.0)
    assert found.best == "model=b"
    assert found.states["failed"] == 1
    written = json.loads((folder / "sweep.json").read_text())
    assert written["ranked"] == ["model=b", "model=a"]
    rows = list(csv.DictReader(io.StringIO((folder / "results.csv").read_text(encoding="utf-8"))))
    assert [one["state"] for one in rows] == ["finished"] * 4 + ["failed"]
    assert rows[1] | {"model": "a", "seed": "2", "val miou": "0.600000", "val iou forest": ""} == rows[1]
    assert rows[4]["reason"] == "it\nbroke"
    assert rows[4]["val miou"] == ""
    told = found.told()
    assert told["trials"] == "4 finished, 1 failed"
    assert told["best"] == "model=b (by miou of val)"
    assert told["settings"][0] == {"setting": "model=b", "runs": "2 of 2", "val miou": "0.7250 ± 0.0354"}
    assert told["differences"][0]["wins"] == "0 of 2"
    assert told["not finished"] == [{"trial": "model=c,seed=1", "state": "failed", "reason": "it"}]
    assert found.report == folder / "report.html"
    assert "model=b" in found.report.read_text(encoding="utf-8")
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["best"] == "model=b"


def test_nothing_has_happened_yet(tmp_path: Path) -> None:
    trial = trial_of(0, {"seed": 1}, tmp_path)
    found = summarise(tmp_path, [trial], [], seconds=0.0)
    assert found.best is None
    assert found.told()["trials"] == "1 waiting"
    assert "No trial has finished" in found.report.read_text(encoding="utf-8")
