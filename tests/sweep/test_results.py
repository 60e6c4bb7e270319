"""What a trial's run folder says: read as it is written, and whatever is missing or damaged is named."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from terrazzo.sweep.results import begun_trials, read_curve, read_trial, read_trials
from terrazzo.sweep.trial import TrialState, trial_of


def test_a_finished_trial(tmp_path: Path, folders: SimpleNamespace) -> None:
    trial = trial_of(0, {"seed": 1}, tmp_path)
    folders.write_run(trial, level=0.8)
    found = read_trial(trial, folders.ended(trial))
    assert list(found.splits) == ["test", "val"]
    val = found.splits["val"]
    assert val.images == 3
    assert val.whole
    assert val.names == ("miou", "accuracy", "mean_accuracy", "frequency_weighted_iou", "boundary_iou", "ece",
                         "iou field", "iou forest", "iou open water")  # fmt: skip
    right = val.confusion.trace() / val.confusion.sum()
    assert val.value("accuracy") == pytest.approx(right)
    known = [val.value(f"iou {name}") for name in folders.classes]
    assert val.value("miou") == pytest.approx(sum(known) / 3)
    assert val.value("loss") is None
    assert val.value("iou nothing") is None
    assert (found.monitor, found.more_is_better, found.epochs, found.seconds) == ("val_miou", True, 6, 70.0)
    assert found.best == max(value for _, value in found.curve)
    assert found.curve == read_curve(trial.folder)
    assert found.overlap == 0.25
    assert found.data == "abc"
    assert found.problems == ()


def test_a_figure_that_shall_be_small(tmp_path: Path, folders: SimpleNamespace) -> None:
    trial = trial_of(0, {}, tmp_path)
    folders.write_run(trial, level=0.8, monitor="val_loss")
    found = read_trial(trial, folders.ended(trial, seconds=0.0))
    assert not found.more_is_better
    assert found.best == min(value for _, value in found.curve)
    assert found.seconds == pytest.approx(63.0)


@pytest.mark.parametrize("state", ["failed", "pruned"])
def test_what_has_not_finished_has_no_scores_but_its_reason(
    tmp_path: Path, folders: SimpleNamespace, state: str
) -> None:
    trial = trial_of(0, {"seed": 1}, tmp_path)
    folders.write_run(trial, level=0.8)
    found = read_trial(trial, folders.ended(trial, TrialState(state), "because"))
    assert found.splits == {}
    assert (found.state, found.reason, found.epochs) == (TrialState(state), "because", 6)


def test_every_trial_is_listed(tmp_path: Path, folders: SimpleNamespace) -> None:
    trials = folders.trials_of(tmp_path, [{"seed": seed} for seed in range(3)])
    for trial in trials[:2]:
        folders.write_run(trial, level=0.5)
    found = read_trials(trials[1:], [folders.ended(trials[0])])
    assert [one.state for one in found] == [TrialState.finished, TrialState.running, TrialState.waiting]
    assert math.isnan(found[2].overlap)
    assert [trial.number for trial in begun_trials(tmp_path)] == [0, 1]


def test_the_same_images_have_one_identity_in_any_order(tmp_path: Path, folders: SimpleNamespace) -> None:
    judged = []
    for number, names in enumerate((["a", "b"], ["b", "a"], ["a", "c"])):
        trial = trial_of(number, {"seed": number}, tmp_path)
        folders.write_run(trial, level=0.7 + 0.05 * number, splits={"val": names})
        judged.append(read_trial(trial, folders.ended(trial)).splits["val"].judged)
    assert judged[0] == judged[1] != judged[2]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_text(path.read_text()[:40]),
    "list": lambda path: path.write_text("[]"),
    "text": lambda path: path.write_text(path.read_text().replace('"images": 3', '"images": "many"')),
    "shape": lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "confusion": [[1, 2]]})),
    "missing": lambda path: path.unlink(),
    "counts": lambda path: path.with_name("confusions.safetensors").write_bytes(b"\x10"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_evaluation_is_named(tmp_path: Path, folders: SimpleNamespace, kind: str) -> None:
    trial = trial_of(0, {"seed": 1}, tmp_path)
    folders.write_run(trial, level=0.8)
    DAMAGE[kind](trial.folder / "evaluate" / "val" / "summary.json")
    found = read_trial(trial, folders.ended(trial))
    assert list(found.splits) == ["test"]
    assert len(found.problems) == 1
    assert "val" in found.problems[0]
    assert "evaluate this trial again" in found.problems[0]


@pytest.mark.parametrize("name", ["metadata.json", "data.json", "log.csv"])
@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b'{"images": {"train": "x"}}'])
def test_other_damage_stops_nothing(tmp_path: Path, folders: SimpleNamespace, name: str, content: bytes) -> None:
    trial = trial_of(0, {"seed": 1}, tmp_path)
    folders.write_run(trial, level=0.8)
    (trial.folder / name).write_bytes(content)
    assert read_trial(trial, folders.ended(trial)).splits["val"].images == 3
