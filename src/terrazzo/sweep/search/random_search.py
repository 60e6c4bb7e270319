"""Random search: settings drawn independently, each once, the same ones however often the sweep is started anew."""

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from terrazzo.errors import ConfigError
from terrazzo.sweep.grid import Axis, Space, spelled
from terrazzo.sweep.groups import is_repeat
from terrazzo.sweep.results import read_curve
from terrazzo.sweep.search.drawing import drawn, finite_size
from terrazzo.sweep.search.pruning import MedianRule, Pruning
from terrazzo.sweep.trial import Finished, Trial, TrialState, trial_of

__all__ = ["RandomSearch"]


_MOST_REPEATED = 1000


class RandomSearch:
    """Draws settings from ranges and lists; seeds and folds are not drawn: each setting runs with all of them.

    Every draw depends on the seed and its own number alone, so that a sweep that is started again goes on with the
    same settings.

    Args:
        space: What varies.
        folder: The sweep's.
        trials: How many runs there are in all, seeds and folds counted.
        seed: Of the draws.
        more_is_better: Of the figure that training watches.
        pruning: When trials are stopped early.

    Raises:
        ConfigError: The pruning is one that random search does not have.

    Source: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, 2012.
    """

    def __init__(
        self, space: Space, folder: Path, *, trials: int, seed: int, more_is_better: bool, pruning: Pruning
    ) -> None:
        if pruning.by == "halving":
            raise ConfigError(
                "random search stops trials by the median or not at all; halving needs the search optuna."
            )
        self._folder, self._trials, self._seed = folder, trials, seed
        self._rule = MedianRule(pruning, more_is_better=more_is_better) if pruning.by == "median" else None
        self._order = space.keys
        self._drawn = tuple(axis for axis in space.axes if not _repeats(axis))
        self._repeats = tuple(axis for axis in space.axes if _repeats(axis))
        if spans := [axis.keys[0] for axis in self._repeats if axis.span is not None]:
            raise ConfigError(f"{spans[0]} repeats settings, so it takes a list of values, such as {spans[0]}=1,2,3.")
        self._varied = self._all()
        self._asked = 0

    def ask(self, done: Sequence[Finished]) -> Trial | None:
        """Return the next trial, as `Search` says; None once there are enough, or every setting had its turn."""
        if self._asked >= self._trials:
            return None
        varied = next(self._varied, None)
        if varied is None:
            return None
        self._asked += 1
        return trial_of(self._asked - 1, varied, self._folder)

    def tell(self, trial: Trial, state: TrialState, value: float | None) -> None:
        """Hear that a trial has ended; the median is made of those that finished."""
        if self._rule is not None and state is TrialState.finished:
            self._rule.finished(_repeat(trial), {round(epoch): known for epoch, known in read_curve(trial.folder)})

    def prune(self, trial: Trial, epoch: int, value: float) -> bool:
        """Whether the median stops a trial."""
        return self._rule is not None and self._rule.stops(trial.number, _repeat(trial), epoch, value)

    def _all(self) -> Iterator[dict[str, Any]]:
        """Yield what each trial varies: each setting with all of its seeds and folds, the last fastest."""
        repeats = [axis.choices for axis in self._repeats]
        for setting in self._settings():
            for chosen in itertools.product(*repeats):
                own = [*zip(self._drawn, setting, strict=True), *zip(self._repeats, chosen, strict=True)]
                values = {key: part for axis, parts in own for key, part in zip(axis.keys, parts, strict=True)}
                yield {key: values[key] for key in self._order}

    def _settings(self) -> Iterator[tuple[tuple[Any, ...], ...]]:
        """Yield settings, none twice, until there are no others."""
        seen: set[str] = set()
        size = math.prod(map(finite_size, self._drawn))
        number = last = -1
        # Fractions are rounded, so that a narrow range may hold fewer than are drawn.
        while len(seen) < size and (math.isfinite(size) or number - last < _MOST_REPEATED):
            number += 1
            generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, number])))
            setting = tuple(drawn(axis, generator) for axis in self._drawn)
            if (name := spelled(setting)) not in seen:
                seen.add(name)
                last = number
                yield setting


def _repeats(axis: Axis) -> bool:
    return all(map(is_repeat, axis.keys))


def _repeat(trial: Trial) -> str:
    return spelled({key: value for key, value in trial.varied.items() if is_repeat(key)})
