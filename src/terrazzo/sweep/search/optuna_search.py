"""Search by Optuna: each setting follows from the results of those before it (tree-structured Parzen estimators).

Source: Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011 (TPE); Li et al., A System for Massively
    Parallel Hyperparameter Tuning, 2020 (successive halving without waiting).
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from terrazzo.errors import ConfigError
from terrazzo.sweep.grid import Space
from terrazzo.sweep.groups import is_repeat
from terrazzo.sweep.search.pruning import Pruning
from terrazzo.sweep.trial import Finished, Trial, TrialState, trial_of

__all__ = ["JOURNAL_FILE", "OptunaSearch"]

JOURNAL_FILE = "optuna.journal"
"""What was asked and told, a line each: a killed process loses at most the line that it was writing."""


class OptunaSearch:
    """Asks Optuna for settings and tells it what became of them.

    Args:
        space: What varies.
        folder: The sweep's, which nobody else works in; the journal lies there.
        trials: How many there are in all.
        seed: Of the sampler. With several trials at a time, the order in which they end matters as well.
        more_is_better: Of the figure that training watches.
        pruning: When trials are stopped early.

    Raises:
        ConfigError: Optuna is not installed, a seed or fold varies, or the journal is one of another search.
        StorageError: The journal is damaged.
    """

    def __init__(
        self, space: Space, folder: Path, *, trials: int, seed: int, more_is_better: bool, pruning: Pruning
    ) -> None:
        if importlib.util.find_spec("optuna") is None:
            raise ConfigError(
                'the search optuna needs the package "optuna", which is not installed; install terrazzo[optuna], or '
                "use the search random."
            )
        if repeated := [key for key in space.keys if is_repeat(key)]:
            raise ConfigError(
                f"{repeated[0]} varies, and Optuna would look for a lucky one; search with one value, and run the best "
                f"settings with several of {repeated[0]} in another sweep, or use the search random."
            )
        # Optuna is an extra, so that it is loaded by those who use it.
        from terrazzo.sweep.search.optuna_study import StudyFile

        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._trials = folder, trials
        self._study = StudyFile(folder / JOURNAL_FILE, space, seed=seed, more_is_better=more_is_better, pruning=pruning)
        self._asked = 0

    def ask(self, done: Sequence[Finished]) -> Trial | None:
        """Return the next trial, as `Search` says; None once there are enough, or nothing new is suggested."""
        del done
        varied = self._study.settings(self._asked) if self._asked < self._trials else None
        if varied is None:
            return None
        self._asked += 1
        return trial_of(self._asked - 1, varied, self._folder)

    def tell(self, trial: Trial, state: TrialState, value: float | None) -> None:
        """Hear that a trial has ended."""
        self._study.tell(trial.number, state, value)

    def prune(self, trial: Trial, epoch: int, value: float) -> bool:
        """Whether Optuna's pruner stops a trial."""
        return self._study.stops(trial.number, epoch, value)
