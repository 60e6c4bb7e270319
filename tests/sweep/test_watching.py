"""How far a running trial has come."""

from pathlib import Path
from typing import Any

import pytest

from terrazzo.config import RunConfig
from terrazzo.progress import Event
from terrazzo.sweep.trial import Trial, trial_of
from terrazzo.sweep.watching import Watch, best_value, epochs_of
from terrazzo.training.settings import Monitor, TrainSettings
from terrazzo.training.track import write_log


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return trial_of(0, {"seed": 1}, tmp_path)


def config(**train: Any) -> RunConfig:
    return RunConfig.model_construct(train=TrainSettings(epochs=4, **train))


def rows(*values: float | None) -> list[dict[str, float | int | None]]:
    return [
        {"epoch": epoch, "lr": 0.1, "train_loss": 1.0, "val_miou": value, "val_loss": value, "seconds": 1.0}
        for epoch, value in enumerate(values, start=1)
    ]


def test_new_epochs_are_told_once(trial: Trial) -> None:
    events: list[Event] = []
    watch = Watch(trial, config(), events.append)
    assert watch.news() == []
    write_log(trial.folder / "log.csv", rows(0.5, None))
    assert watch.news() == [(1, 0.5)]
    assert watch.news() == []
    write_log(trial.folder / "log.csv", rows(0.5, None, 0.25))
    assert watch.news() == [(3, 0.25)]
    watch.close()
    assert [(event.kind, event.done, event.total) for event in events] == [
        ("start", 0, 4),
        ("advance", 2, 4),
        ("advance", 3, 4),
        ("finish", 3, 4),
    ]
    assert events[2].figures == {"val_miou": 0.25}


@pytest.mark.parametrize(
    ("monitor", "best"),
    [
        (Monitor(), 0.75),
        (Monitor(figure="val_loss"), 0.25),
        (Monitor(mode="min"), 0.25),
        (Monitor(figure="other"), None),
    ],
)
def test_the_best_value_goes_by_what_training_watches(trial: Trial, monitor: Monitor, best: float | None) -> None:
    assert best_value(trial, config(monitor=monitor)) is None
    write_log(trial.folder / "log.csv", rows(0.5, 0.75, None, 0.25))
    assert best_value(trial, config(monitor=monitor)) == best


def test_a_log_without_rows(tmp_path: Path) -> None:
    write_log(tmp_path / "log.csv", [])
    assert list(epochs_of(tmp_path / "log.csv", "val_miou")) == []
