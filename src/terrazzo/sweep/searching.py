"""What a search is: it says which trial comes next, hears how trials end, and may stop one early."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from terrazzo.sweep.trial import Finished, Trial, TrialState

__all__ = ["Search"]


@runtime_checkable
class Search(Protocol):
    """Chooses trials.

    A search is made anew at each start of a sweep and asked from the beginning. It then gives the trials that earlier
    starts had again, under the same numbers and with the same values, before any new one; the sweep recognises what is
    finished, tells it at once, and lets the others go on. All calls come from one thread.
    """

    def ask(self, done: Sequence[Finished]) -> Trial | None:
        """Return the next trial.

        Args:
            done: Those that have ended, in the order of their numbers.

        Returns:
            A trial whose number is one above the last one's; None where there is none for now. It is asked again when a
            trial ends; where none is running, None ends the sweep.
        """

    def tell(self, trial: Trial, state: TrialState, value: float | None) -> None:
        """Hear that a trial has ended.

        Args:
            trial: One that was asked for, each once.
            state: `finished`, `failed` or `pruned`.
            value: Best value of the figure that training watches; None where it has none.
        """

    def prune(self, trial: Trial, epoch: int, value: float) -> bool:
        """Whether to stop a trial: asked after each epoch that was validated.

        Args:
            trial: It is running.
            epoch: From 1, as in its `log.csv`. After a restart of the sweep earlier epochs are told once more.
            value: The figure that training watches, at that epoch.
        """
