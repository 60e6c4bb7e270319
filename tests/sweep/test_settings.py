"""Settings of a sweep."""

from typing import Any

import pytest
from pydantic import ValidationError

from terrazzo.sweep.search.pruning import Pruning
from terrazzo.sweep.settings import SlurmSettings, SweepSettings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trials": 3}, "needs --search random or optuna"),
        ({"search": "random"}, "needs --trials"),
        ({"search": "optuna", "trials": 3, "executor": "slurm"}, "submitted whole"),
        ({"search": "random", "trials": 3, "executor": "slurm", "pruning": Pruning()}, "do not know of each other"),
        ({"pruning": Pruning(by="median")}, "each trial to its end"),
        ({"name": "a/b"}, "pattern"),
        ({"name": ".."}, "pattern"),
        ({"name": ""}, "at least 1"),
        ({"slurm": {"lines": ["a\nb"]}}, "pattern"),
        ({"slurm": {"time": ""}}, "at least 1"),
    ],
)
def test_what_does_not_go_together(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SweepSettings.model_validate(given)


@pytest.mark.parametrize(
    ("given", "by"),
    [
        ({}, "none"),
        ({"search": "random", "trials": 3}, "median"),
        ({"search": "optuna", "trials": 3}, "median"),
        ({"search": "random", "trials": 3, "executor": "slurm"}, "none"),
        ({"search": "optuna", "trials": 3, "pruning": Pruning(by="halving")}, "halving"),
        ({"search": "random", "trials": 3, "executor": "slurm", "pruning": Pruning(by="none")}, "none"),
    ],
)
def test_who_is_pruned(given: dict[str, Any], by: str) -> None:
    assert SweepSettings.model_validate(given).prunes.by == by


def test_a_name_may_be_any_folder() -> None:
    assert SweepSettings(name="größe 2.0").name == "größe 2.0"
    assert SlurmSettings(lines=("module load cuda",)).lines == ("module load cuda",)
