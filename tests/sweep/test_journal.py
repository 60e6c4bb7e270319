"""What a sweep's folder remembers."""

from pathlib import Path

import pytest

from terrazzo.config import RunConfig, load_config
from terrazzo.errors import ConfigError, StorageError, TrainingError
from terrazzo.sweep.journal import (
    claim,
    ended,
    is_over,
    load_outcome,
    require_same_axes,
    save_outcome,
    settings_that_differ,
    write_sweep,
)
from terrazzo.sweep.trial import OUTCOME_FILE, Finished, Trial, TrialState, trial_of

CONFIG = """
name: "seed=1"
paths: {data: data, prepared: prepared, runs: sweep/trials}
data:
  source: {name: folder, folder: "${paths.data}", images: "*.png", labels: "labels/*.png"}
  classes: [land, water]
model: {name: smp, encoder: resnet18}
"""


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return trial_of(0, {"seed": 1}, Path("sweep"))


def config(*overrides: str) -> RunConfig:
    return load_config("tiny.yaml", *overrides)


def checkpoint(trial: Trial) -> None:
    """Let a trial have begun."""
    path = trial.folder / "checkpoints" / "last.safetensors"
    path.parent.mkdir()
    path.touch()


def test_an_outcome_is_read_as_it_was_written(trial: Trial) -> None:
    assert load_outcome(trial) is None
    trial.folder.mkdir(parents=True)
    outcome = Finished(trial=trial, state=TrialState.failed, value=None, seconds=1.5, reason="größe\nis wrong")
    save_outcome(outcome)
    assert load_outcome(trial) == outcome
    assert ended([trial, trial_of(1, {"seed": 2}, Path("sweep"))]) == [outcome]
    (trial.folder / OUTCOME_FILE).write_text('{"state": "dreaming"}')
    with pytest.raises(StorageError, match="damaged"):
        load_outcome(trial)
    (trial.folder / OUTCOME_FILE).write_text("{")
    with pytest.raises(StorageError):
        load_outcome(trial)


@pytest.mark.parametrize(("state", "over"), [("finished", True), ("pruned", True), ("failed", False)])
def test_what_failed_is_tried_again(trial: Trial, state: str, over: bool) -> None:
    assert is_over(Finished(trial=trial, state=TrialState(state))) is over
    assert not is_over(None)


def test_a_folder_is_claimed_and_its_failure_forgotten(trial: Trial) -> None:
    trial.folder.mkdir(parents=True)
    save_outcome(Finished(trial=trial, state=TrialState.failed))
    claimed = claim(trial, config("seed=1"))
    assert load_config(trial.folder / "config.yaml") == claimed == config("seed=1")
    assert Trial.load(trial.folder) == trial
    assert load_outcome(trial) is None


def test_a_trial_that_has_begun_keeps_data_and_threads(trial: Trial) -> None:
    claim(trial, config("prepare.folder=first", "machine.threads=1", "paths.data=data"))
    # Nothing was trained: it may be told anything.
    again = claim(trial, config("prepare.folder=second", "machine.threads=2"))
    assert (again.prepare.folder, again.machine.threads) == (Path("second"), 2)
    checkpoint(trial)
    kept = claim(trial, config("prepare.folder=third", "machine.threads=3", "evaluate.limit=3"))
    assert (kept.prepare.folder, kept.machine.threads, kept.evaluate.limit) == (Path("second"), 2, 3)
    assert load_config(trial.folder / "config.yaml") == kept
    with pytest.raises(TrainingError, match=r"optimizer\.lr"):
        claim(trial, config("optimizer.lr=0.5"))


def test_other_settings_are_noticed(trial: Trial) -> None:
    assert settings_that_differ(trial, config(), over=True) == []
    claim(trial, config("machine.threads=2"))
    assert settings_that_differ(trial, config("optimizer.lr=0.5"), over=False) == [], "nothing has begun"
    assert settings_that_differ(trial, config("prepare.folder=x", "machine.workers=1"), over=True) == []
    (line,) = settings_that_differ(trial, config("optimizer.lr=0.5"), over=True)
    assert "optimizer.lr: 0.001 there, 0.5 given" in line
    (line,) = settings_that_differ(trial, config("machine.threads=3"), over=True)
    assert "machine.threads: 2 there, 3 given" in line
    (line,) = settings_that_differ(trial, config("evaluate.limit=3"), over=True)
    assert "evaluate.limit" in line
    checkpoint(trial)
    assert settings_that_differ(trial, config("evaluate.limit=3"), over=False) == [], "it may be judged otherwise"
    assert len(settings_that_differ(trial, config("optimizer.lr=0.5"), over=False)) == 1


def test_a_folder_holds_one_kind_of_sweep(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    require_same_axes(folder, ["seed"])
    write_sweep(folder, {"varies": ["seed"], "arguments": ["seed=1,2"]})
    require_same_axes(folder, ["seed"])
    with pytest.raises(ConfigError, match="holds a sweep over seed, and this one varies model"):
        require_same_axes(folder, ["model"])
    (folder / "sweep.yaml").write_text("- nothing")
    with pytest.raises(StorageError, match="another --name"):
        require_same_axes(folder, ["model"])
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").touch()
    with pytest.raises(ConfigError, match="is the folder of a run"):
        require_same_axes(run, ["seed"])
