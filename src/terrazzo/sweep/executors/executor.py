"""What runs trials side by side: it starts them, says which have ended, and stops them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from terrazzo.sweep.trial import Trial

__all__ = ["Ended", "Executor"]


@dataclass(frozen=True)
class Ended:
    """A trial whose process is no more.

    Attributes:
        trial: Which one.
        fault: What became of a process that could not say it itself, as a sentence; empty where all went well.
        stopped: Whether it was asked to stop.
    """

    trial: Trial
    fault: str = ""
    stopped: bool = False


@runtime_checkable
class Executor(Protocol):
    """Runs trials, each in a process of its own; called from one thread."""

    @property
    def threads(self) -> int | None:
        """Threads of a trial's arithmetic; None where its configuration may decide."""

    @property
    def described(self) -> str:
        """Where trials run and how many at a time, as a part of a sentence."""

    def room(self) -> bool:
        """Whether another trial may start now."""

    def start(self, trial: Trial) -> None:
        """Start a trial whose run folder has been written."""

    def ended(self) -> Sequence[Ended]:
        """Return the trials that have ended since the last call."""

    def stop(self, trial: Trial) -> None:
        """Ask a trial to stop; it is among those that have ended a little later."""

    def close(self) -> None:
        """Stop whatever still runs and wait for it; it can go on later."""
