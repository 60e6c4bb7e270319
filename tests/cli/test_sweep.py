"""`terrazzo sweep`."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from terrazzo.errors import StoppedError
from terrazzo.progress import Progress
from terrazzo.sweep.settings import SweepSettings
from terrazzo.sweep.trial import Finished, TrialState, trial_of


@dataclass
class Sweeps:
    """Calls of the public functions, and what the sweep comes to."""

    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    failed: int = 0
    error: BaseException | None = None

    @property
    def states(self) -> dict[str, int]:
        return {"finished": 1, "failed": self.failed}

    def as_dict(self) -> dict[str, Any]:
        return {"folder": "runs/x-sweep", "seconds": 61.0}

    def plan(self, *arguments: Any, listener: Any) -> "Sweeps":
        self.calls.append(("plan", arguments))
        return self

    def run(self, plan: "Sweeps", *, listener: Any) -> "Sweeps":
        self.calls.append(("run", ()))
        with Progress("seed=1", listener=listener, total=3, unit="epochs"):
            if self.error is not None:
                raise self.error
        return self

    def collect(self, plan: "Sweeps") -> "Sweeps":
        self.calls.append(("collect", ()))
        return self

    def trial(self, folder: Path, *, listener: Any) -> Finished:
        self.calls.append(("trial", (folder,)))
        return Finished(trial=trial_of(0, {"seed": 1}, folder), state=TrialState.finished, value=0.5)


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    found = Sweeps()
    monkeypatch.setattr("terrazzo.phases.sweep.plan_sweep", found.plan)
    monkeypatch.setattr("terrazzo.phases.sweep.sweep", found.run)
    monkeypatch.setattr("terrazzo.phases.sweep.collect_sweep", found.collect)
    monkeypatch.setattr("terrazzo.phases.sweep_trial.run_trial", found.trial)
    return found


Invoke = Callable[..., Result]


def settings_of(sweeps: Sweeps) -> SweepSettings:
    settings: SweepSettings = sweeps.calls[0][1][2]
    return settings


def test_five_seeds_in_one_line(invoke: Invoke, sweeps: Sweeps) -> None:
    result = invoke("sweep", "deepglobe-trm", "seed=1,2,3,4,5")
    assert result.exit_code == 0, result.output
    assert sweeps.calls == [("plan", ("deepglobe-trm", ["seed=1,2,3,4,5"], SweepSettings())), ("run", ())]
    assert "sweep done in 1 min 01 s: runs/x-sweep" in result.stdout


def test_every_option_arrives(invoke: Invoke, sweeps: Sweeps) -> None:
    result = invoke(
        *("sweep", "seed=1,2", "--name", "größe", "--jobs", 2, "--executor", "slurm", "--search", "random"),
        *("--trials", 7, "--search-seed", 3, "--cpus", 4, "--figure", "iou road", "--submit", "--partition", "gpu"),
        *("--time", "1:00:00", "--gpus", 1, "--slurm-line", "#SBATCH --account=a", "--slurm-line", "module load x"),
    )
    assert result.exit_code == 0, result.output
    slurm = {"submit": True, "partition": "gpu", "time": "1:00:00", "gpus": 1, "cpus": 4}
    assert settings_of(sweeps) == SweepSettings.model_validate(
        {
            "name": "größe",
            "jobs": 2,
            "executor": "slurm",
            "search": "random",
            "trials": 7,
            "search_seed": 3,
            "cpus": 4,
            "figure": "iou road",
            "slurm": {**slurm, "lines": ["#SBATCH --account=a", "module load x"]},
        }
    )


@pytest.mark.parametrize(
    ("options", "by", "warmup"),
    [
        ((), "median", 0),
        (("--prune", "halving"), "halving", 0),
        (("--prune-after", "4"), "median", 4),
        (("--prune", "none"), "none", 0),
    ],
)
def test_pruning(options: tuple[str, ...], by: str, warmup: int, invoke: Invoke, sweeps: Sweeps) -> None:
    invoke("sweep", "seed=1,2", "--search", "optuna", "--trials", 3, *options)
    assert (settings_of(sweeps).prunes.by, settings_of(sweeps).prunes.warmup) == (by, warmup)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trials", "3"], "--trials needs --search random or optuna"),
        (["--search", "random"], "needs --trials"),
        (["--name", "a/b"], "name: String should match"),
        (["seed=1", "words"], '"words" is no setting'),
        (["--trial", "folder", "seed=1"], "it takes no configuration"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str, invoke: Invoke, sweeps: Sweeps) -> None:
    result = invoke("sweep", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert ("run", ()) not in sweeps.calls


def test_a_failed_trial_is_status_1(invoke: Invoke, sweeps: Sweeps) -> None:
    sweeps.failed = 1
    result = invoke("sweep", "seed=1,2", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == sweeps.as_dict()


def test_a_stop_is_status_130(invoke: Invoke, sweeps: Sweeps) -> None:
    sweeps.error = StoppedError("the same command goes on")
    result = invoke("sweep", "seed=1,2")
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr


def test_nothing_runs_where_only_the_plan_or_what_has_finished_is_asked_for(invoke: Invoke, sweeps: Sweeps) -> None:
    assert invoke("sweep", "seed=1,2", "--dry-run").exit_code == 0
    assert invoke("sweep", "seed=1,2", "--collect").exit_code == 0
    assert [name for name, _ in sweeps.calls] == ["plan", "plan", "collect"]


def test_one_trial_of_an_array(invoke: Invoke, sweeps: Sweeps) -> None:
    result = invoke("sweep", "--trial", "runs/x-sweep/trials/seed=1", "--json")
    assert sweeps.calls == [("trial", (Path("runs/x-sweep/trials/seed=1"),))]
    assert json.loads(result.stdout) == {
        "folder": "runs/x-sweep/trials/seed=1",
        "state": "finished",
        "value": 0.5,
        "seconds": 0.0,
        "reason": "",
    }
