"""A study of Optuna in a file that outlives killed processes, with ranges and results in Terrazzo's terms."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial

from terrazzo.errors import ConfigError, StorageError
from terrazzo.sweep.grid import Axis, Space, spelled
from terrazzo.sweep.search.drawing import finite_size
from terrazzo.sweep.search.pruning import Pruning
from terrazzo.sweep.trial import TrialState

__all__ = ["StudyFile"]

_STUDY = "sweep"
_NUMBER = "terrazzo_trial"
# Suggestions in a row that repeat earlier settings before a space counts as exhausted.
_MOST_REPEATED = 30


class StudyFile:
    """Asks Optuna for settings and keeps what it was told.

    Args:
        path: The journal; nobody else writes to it.
        space: What varies.
        seed: Of the sampler.
        more_is_better: Whether the figure is to be made large.
        pruning: When trials are stopped early.

    Raises:
        ConfigError: The journal is one of other ranges, or of another direction.
        StorageError: The journal is damaged.
    """

    def __init__(self, path: Path, space: Space, *, seed: int, more_is_better: bool, pruning: Pruning) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._path, self._space, self._seed = path, space, seed
        self._ranges = {"+".join(axis.keys): _range(axis) for axis in space.axes}
        directions = optuna.study.StudyDirection
        direction = directions.MAXIMIZE if more_is_better else directions.MINIMIZE
        _mend(path)
        try:
            self._storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
            self._study = optuna.create_study(
                study_name=_STUDY,
                storage=self._storage,
                direction=direction,
                pruner=_pruner(pruning),
                load_if_exists=True,
            )
            trials = self._study.get_trials(deepcopy=False)
        except (ValueError, KeyError) as error:
            raise StorageError(
                f"{path} is no journal of a search ({error}); start the sweep in another folder."
            ) from error
        if self._study.direction != direction:
            kinds = {directions.MAXIMIZE: "large", directions.MINIMIZE: "small"}
            raise ConfigError(
                f"{path} holds a search that makes its figure {kinds[self._study.direction]}, but train.monitor asks "
                f"for a {kinds[direction]} one; start another sweep."
            )
        self._places: dict[int, int] = {}
        for frozen in trials:
            self._learn(frozen)

    def settings(self, number: int) -> dict[str, Any] | None:
        """Return what a trial varies: the same as ever for one that is known, else what Optuna suggests.

        Args:
            number: Of the trial.

        Returns:
            Dotted key -> plain value; None where Optuna suggests nothing but settings that other trials have.
        """
        if number not in self._places and not self._suggest(number):
            return None
        return self._varied(self._at(self._places[number]).params)

    def tell(self, number: int, state: TrialState, value: float | None) -> None:
        """Keep how a trial ended; a trial that failed before and has finished now counts as finished.

        Args:
            number: Of the trial.
            state: `finished`, `failed` or `pruned`.
            value: Of the figure; what has none counts as failed.
        """
        frozen = self._at(self._places[number])
        known = value if value is not None and math.isfinite(value) else None
        names = optuna.trial.TrialState
        outcome = names.PRUNED if state is TrialState.pruned else names.COMPLETE if known is not None else names.FAIL
        if state is TrialState.failed:
            outcome = names.FAIL
        if not frozen.state.is_finished():
            self._study.tell(frozen.number, known if outcome == names.COMPLETE else None, state=outcome)
        elif frozen.state == names.FAIL and outcome == names.COMPLETE:
            # What has ended cannot be changed in a study; the same settings join it once more.
            again = optuna.trial.create_trial(
                state=outcome,
                value=known,
                params=frozen.params,
                distributions=frozen.distributions,
                intermediate_values=frozen.intermediate_values,
                user_attrs=frozen.user_attrs,
            )
            self._study.add_trial(again)
            self._places[number] = self._at(-1).number

    def stops(self, number: int, epoch: int, value: float) -> bool:
        """Whether the pruner stops a trial; what was told before a restart is not told twice.

        Args:
            number: Of the trial.
            epoch: From 1.
            value: Of the figure, at that epoch.
        """
        frozen = self._at(self._places[number])
        known = frozen.last_step
        if frozen.state.is_finished() or not math.isfinite(value) or (known is not None and epoch < known):
            return False
        if epoch != known:
            study = self._storage.get_study_id_from_name(_STUDY)
            trial = self._storage.get_trial_id_from_study_id_trial_number(study, frozen.number)
            self._storage.set_trial_intermediate_value(trial, epoch, value)
        return bool(self._study.pruner.prune(self._study, self._study.get_trials()[frozen.number]))

    def _suggest(self, number: int) -> bool:
        """Ask for a setting that no other trial has; whether there was one."""
        if len(self._places) >= math.prod(map(finite_size, self._space.axes)):
            return False
        taken = {spelled(self._varied(self._at(place).params)): place for place in self._places.values()}
        for _ in range(_MOST_REPEATED):
            # The draws depend on what was asked before, not on when the sweep was started.
            place = len(self._study.get_trials(deepcopy=False))
            entropy = np.random.SeedSequence([self._seed, place]).generate_state(1)[0]
            self._study.sampler = optuna.samplers.TPESampler(seed=int(entropy))
            asked = self._study.ask(self._ranges)
            varied = spelled(self._varied(asked.params))
            if varied not in taken:
                asked.set_user_attr(_NUMBER, number)
                self._places[number] = asked.number
                return True
            # A setting gives the same result again: the sampler learns that without a run.
            earlier = self._at(taken[varied])
            if earlier.state == optuna.trial.TrialState.COMPLETE:
                self._study.tell(asked, earlier.value)
            else:
                self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        return False

    def _learn(self, frozen: FrozenTrial) -> None:
        """Take up a trial of an earlier start."""
        number = frozen.user_attrs.get(_NUMBER)
        if number is None:
            # Killed between asking and starting: nobody has seen it.
            if not frozen.state.is_finished():
                self._study.tell(frozen.number, state=optuna.trial.TrialState.FAIL)
            return
        if frozen.distributions != self._ranges:
            raise ConfigError(
                f"{self._path} holds a search in other ranges: {_told(frozen.distributions)} instead of "
                f"{_told(self._ranges)}. Give the same ones, or start another sweep."
            )
        self._places[int(number)] = frozen.number

    def _at(self, place: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[place]

    def _varied(self, params: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for axis in self._space.axes:
            value = params["+".join(axis.keys)]
            parts = axis.choices[_labels(axis).index(value)] if axis.span is None else (_number(axis, value),)
            found |= zip(axis.keys, parts, strict=True)
        return found


def _range(axis: Axis) -> BaseDistribution:
    if axis.span is None:
        return CategoricalDistribution(_labels(axis))
    log = axis.span.scale == "log"
    if axis.span.whole:
        return IntDistribution(int(axis.span.low), int(axis.span.high), log=log)
    return FloatDistribution(axis.span.low, axis.span.high, log=log)


def _labels(axis: Axis) -> list[str]:
    return [", ".join(map(spelled, choice)) for choice in axis.choices]


def _number(axis: Axis, value: float | int) -> int | float:
    """Return a number as runs are given it: fractions with four digits, as in every range."""
    span = axis.span
    if span is None or span.whole:
        return int(value)
    if span.scale == "log":
        return span.at((math.log(value) - math.log(span.low)) / (math.log(span.high) - math.log(span.low)))
    return span.at((value - span.low) / (span.high - span.low))


def _pruner(pruning: Pruning) -> optuna.pruners.BasePruner:
    if pruning.by == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=pruning.startup, n_warmup_steps=pruning.warmup)
    if pruning.by == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=pruning.reduction)
    return optuna.pruners.NopPruner()


def _mend(path: Path) -> None:
    """Remove what a killed process leaves in a journal: half a line, and the lock. Whoever calls works here alone."""
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if not path.is_file():
        return
    try:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    except OSError as error:
        raise StorageError(f"{path} cannot be mended: {error.strerror}.") from error


def _told(ranges: Mapping[str, BaseDistribution]) -> str:
    return "; ".join(f"{name} {found!r}" for name, found in ranges.items())
