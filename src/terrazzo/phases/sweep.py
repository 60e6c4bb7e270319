"""The verb `sweep`: one configuration with many settings, each an ordinary run, and what they come to together."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrazzo.config import RunConfig, load_config
from terrazzo.errors import ConfigError
from terrazzo.phases.summary import plain
from terrazzo.phases.sweep_summary import SweepSummary, summarise
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.workforce.stopping import stop_on_signals
from terrazzo.storage import locked
from terrazzo.sweep.executors.executor import Executor
from terrazzo.sweep.executors.local import LocalExecutor
from terrazzo.sweep.executors.ray import RayExecutor
from terrazzo.sweep.executors.slots import share_out, usable_cores, visible_gpus
from terrazzo.sweep.executors.slurm import pending_job, submit, write_script
from terrazzo.sweep.grid import Space, read_space
from terrazzo.sweep.grid_search import GridSearch
from terrazzo.sweep.journal import (
    claim,
    ended,
    is_over,
    load_outcome,
    lock_folder,
    require_same_axes,
    settings_that_differ,
    write_sweep,
)
from terrazzo.sweep.planning import Placement, folds_of, load_all, load_trial
from terrazzo.sweep.results import begun_trials
from terrazzo.sweep.running import Sweeping
from terrazzo.sweep.search.optuna_search import OptunaSearch
from terrazzo.sweep.search.random_search import RandomSearch
from terrazzo.sweep.searching import Search
from terrazzo.sweep.settings import SweepSettings
from terrazzo.sweep.trial import Trial
from terrazzo.sweep.turns import is_held

__all__ = ["SweepPlan", "collect_sweep", "plan_sweep", "sweep"]


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that has been checked and in which nothing has been started.

    Attributes:
        source: File or recipe of the configuration; None where it was found.
        space: What varies.
        settings: How it is run.
        folder: The sweep's.
        first: The first trial's configuration.
        trials: All of them; empty where Optuna chooses them one after the other.
        configs: Configuration of each of these, by its name.
    """

    source: str | None
    space: Space
    settings: SweepSettings
    folder: Path
    first: RunConfig
    trials: tuple[Trial, ...] = ()
    configs: dict[str, RunConfig] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many trials there are, or will be."""
        return len(self.trials) or self.settings.trials or 0

    def search(self) -> Search:
        """Return the search, which asks from the beginning."""
        return _search(self.space, self.folder, self.settings, self.first)

    def config(self, trial: Trial) -> RunConfig:
        """Return a trial's configuration as it was loaded.

        Raises:
            ConfigError: Optuna has chosen values that do not go together.
        """
        return self.configs.get(trial.name) or load_trial(self.source, self.space, trial.varied)

    def placed(self, trial: Trial, *, threads: int | None = None) -> RunConfig:
        """Return a trial's configuration in its own run folder."""
        return Placement(self.space.keys, self.first, threads).place(trial, self.config(trial))

    def as_dict(self) -> dict[str, Any]:
        """Return what would be done, as plain data."""
        rows = []
        for trial in self.trials:
            outcome = load_outcome(trial)
            row = {"trial": trial.name, "state": "waiting" if outcome is None else str(outcome.state)}
            rows.append({**row, "prepared": str(self.placed(trial).prepare.folder)})
        return {
            "folder": str(self.folder),
            "search": self.settings.search,
            "executor": self.settings.executor,
            "number of trials": self.total,
            "varies": list(self.space.keys),
            "trials": plain(rows),
        }


def plan_sweep(
    source: str | None, arguments: Sequence[str], settings: SweepSettings, *, listener: Listener = silent
) -> SweepPlan:
    """Read and check a sweep: every trial's configuration is loaded; nothing is written.

    Args:
        source: File or recipe; found as for any command if None.
        arguments: KEY=VALUES each, see `terrazzo.sweep.grid`.
        settings: How it is run.
        listener: Receives progress.

    Raises:
        ConfigError: The mistakes of all trials at once; or the sweep's folder holds trials with other settings.
    """
    space = read_space(arguments, folds=lambda overrides: folds_of(load_config(source, *overrides)))
    combinations = space.grid() if settings.search == "grid" else space.corners()
    first = load_all(source, space, combinations, listener=listener)
    folder = Path(first[0].paths["runs"]) / (settings.name or f"{first[0].name}-sweep")
    plan = SweepPlan(source, space, settings, folder, first[0])
    if settings.search == "optuna":
        require_same_axes(folder, space.keys)
        return plan
    trials = _all(plan.search())
    varied = [trial.varied for trial in trials]
    loaded = first if settings.search == "grid" else load_all(source, space, varied, listener=listener)
    configs = {trial.name: config for trial, config in zip(trials, loaded, strict=True)}
    plan = SweepPlan(source, space, settings, folder, first[0], tuple(trials), configs)
    require_same_axes(folder, space.keys)
    _require_same_settings(plan)
    return plan


def sweep(plan: SweepPlan, *, listener: Listener = silent) -> SweepSummary:
    """Run the trials of a sweep that are not over, and put together what all came to.

    Called again after whatever end, it goes on: finished trials stay, others take up their checkpoints, those that
    failed are tried again.

    Args:
        plan: As of `plan_sweep`.
        listener: Receives progress.

    Returns:
        Every trial with its state, and the figures of all; also `sweep.json` and `report.html` in the sweep's folder.

    Raises:
        ConfigError: The machine or the cluster lacks what is asked for.
        LockedError: Another process runs this sweep.
        StoppedError: Somebody asked to stop.
    """
    begun = time.monotonic()
    with locked(plan.folder):
        _write(plan)
        if plan.settings.executor == "slurm":
            _hand_to_slurm(plan, listener)
            return _summary(plan, plan.trials, begun)
        stop = threading.Event()
        executor = _executor(plan)

        def begin(trial: Trial) -> RunConfig:
            config = plan.placed(trial, threads=executor.threads)
            if differing := settings_that_differ(trial, plan.placed(trial), over=False):
                raise ConfigError(_conflict(plan.folder, {trial.name: differing}))
            return claim(trial, config)

        sweeping = Sweeping(plan.search(), executor, begin, stop=stop, total=plan.total, listener=listener)
        with stop_on_signals(stop):
            with Progress("plan", listener=listener) as progress:
                progress.note(f"{plan.total} trials into {plan.folder}, {executor.described}")
            sweeping.run()
        return _summary(plan, sweeping.trials, begun)


def collect_sweep(plan: SweepPlan) -> SweepSummary:
    """Put together what has finished, and start nothing: while a sweep runs, or after its array has."""
    begun = time.monotonic()
    # Asking Optuna would make it choose, and open a journal that a running sweep writes.
    return _summary(plan, plan.trials or begun_trials(plan.folder), begun)


def _search(space: Space, folder: Path, settings: SweepSettings, first: RunConfig) -> Search:
    if settings.search == "grid":
        return GridSearch(space, folder)
    kind = RandomSearch if settings.search == "random" else OptunaSearch
    return kind(
        space,
        folder,
        trials=settings.trials or 1,
        seed=settings.search_seed,
        more_is_better=first.train.monitor.sign > 0,
        pruning=settings.prunes,
    )


def _all(search: Search) -> list[Trial]:
    """Return the trials of a search that waits for no results."""
    trials: list[Trial] = []
    while (trial := search.ask(())) is not None:
        trials.append(trial)
    return trials


def _require_same_settings(plan: SweepPlan) -> None:
    """Refuse to mix trials that were run with other settings among these.

    Raises:
        ConfigError: Some were.
    """
    found: dict[str, list[str]] = {}
    for trial in plan.trials:
        if trial.folder.is_dir():
            over = is_over(load_outcome(trial))
            if differing := settings_that_differ(trial, plan.placed(trial), over=over):
                found[trial.name] = differing
    if found:
        raise ConfigError(_conflict(plan.folder, found))


def _conflict(folder: Path, found: dict[str, list[str]]) -> str:
    lines = [f"{name}: {'; '.join(differing)}" for name, differing in found.items()]
    told = "\n  ".join(lines[:10] + ([f"and {len(lines) - 10} more"] if len(lines) > 10 else []))
    return (
        f"{folder} holds trials that were run with other settings than those asked for now; give this sweep another "
        f"--name, ask for the same settings, or remove the folders of these trials:\n  {told}"
    )


def _executor(plan: SweepPlan) -> Executor:
    settings, machine = plan.settings, plan.first.machine
    if settings.executor == "ray":
        return RayExecutor(machine, jobs=settings.jobs, cpus=settings.cpus)
    gpus = () if machine.accelerator == "cpu" else visible_gpus(os.environ)
    slots = share_out(machine, jobs=settings.jobs, gpus=gpus, cores=usable_cores())
    # More slots than trials would leave cores idle.
    count = min(len(slots), max(plan.total, 1))
    return LocalExecutor(share_out(machine, jobs=count, gpus=gpus, cores=usable_cores()))


def _hand_to_slurm(plan: SweepPlan, listener: Listener) -> None:
    """Write the array script of the trials that are not over, and submit it where that is asked for.

    Raises:
        ConfigError: The last array is still in the queue, or SLURM refused this one.
    """
    with Progress("slurm", listener=listener) as progress:
        waiting = [trial for trial in plan.trials if not is_over(load_outcome(trial))]
        waiting = [trial for trial in waiting if not is_held(lock_folder(trial.folder))]
        if not waiting:
            progress.note("no trial waits; this is what has finished")
            return
        if (job := pending_job(plan.folder)) is not None:
            raise ConfigError(
                f"SLURM still has job {job} of this sweep; wait for it, or `scancel {job}`. What has finished so far: "
                "the same command with --collect."
            )
        for trial in waiting:
            claim(trial, plan.placed(trial, threads=plan.settings.slurm.cpus))
        script = write_script(plan.folder, waiting, plan.settings.slurm, jobs=plan.settings.jobs)
        several = f"{len(waiting)} trial{'' if len(waiting) == 1 else 's'}"
        if plan.settings.slurm.submit:
            submitted = submit(script)
            progress.note(f"submitted job {submitted.job} with {several}; afterwards: the same command with --collect")
        else:
            progress.note(f"wrote {script} for {several}; submit it with `sbatch {script}`, or add --submit")


def _write(plan: SweepPlan) -> None:
    """Write down what was asked for."""
    write_sweep(
        plan.folder,
        {
            "configuration": plan.source,
            "arguments": [one.text for one in plan.space.assignments],
            "varies": list(plan.space.keys),
            "search": plan.settings.search,
            "trials": [trial.name for trial in plan.trials] or plan.settings.trials,
        },
    )


def _summary(plan: SweepPlan, trials: Sequence[Trial], begun: float) -> SweepSummary:
    seconds = time.monotonic() - begun
    return summarise(plan.folder, trials, ended(trials), seconds=seconds, figure=plan.settings.figure)
