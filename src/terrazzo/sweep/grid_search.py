"""The search that leaves nothing out: every combination of the axes, in order."""

from collections.abc import Sequence
from pathlib import Path

from terrazzo.sweep.grid import Space
from terrazzo.sweep.trial import Finished, Trial, TrialState, trial_of

__all__ = ["GridSearch"]


class GridSearch:
    """Asks for each trial of a grid once.

    Args:
        space: Its axes.
        folder: The sweep's.
    """

    def __init__(self, space: Space, folder: Path) -> None:
        self._waiting = (trial_of(number, varied, folder) for number, varied in enumerate(space.grid()))

    def ask(self, done: Sequence[Finished]) -> Trial | None:
        """Return the next trial; what others came to changes nothing."""
        del done
        return next(self._waiting, None)

    def tell(self, trial: Trial, state: TrialState, value: float | None) -> None:
        """Hear that a trial has ended, from which a grid learns nothing."""

    def prune(self, trial: Trial, epoch: int, value: float) -> bool:
        """Let every trial come to its end."""
        del trial, epoch, value
        return False
