"""Whom a foreman leads, and what it is ordered: workers that can be started and called, and scenes."""

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.workforce.job import SceneJob

__all__ = ["Crew", "Order", "WorkerGoneError"]


class WorkerGoneError(Exception):
    """A worker ended, or cannot be reached."""


@runtime_checkable
class Crew(Protocol):
    """Starts workers and calls them; every method returns at once but `wait`."""

    size: int

    def hire(self) -> Any:  # noqa: ANN401 - a handle that only the crew understands
        """Start a worker; where there is no place for it yet, it begins once there is."""
        ...

    def dismiss(self, worker: Any) -> None:  # noqa: ANN401
        """End a worker, whatever it does."""
        ...

    def call(self, worker: Any, request: str) -> Any:  # noqa: ANN401
        """Begin an exchange with a worker."""
        ...

    def wait(self, calls: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Return the calls that have come back, at the latest after so many seconds."""
        ...

    def reply(self, call: Any) -> str:  # noqa: ANN401
        """Return what a call came back with.

        Raises:
            WorkerGoneError: The worker ended.
        """
        ...


@dataclass(frozen=True)
class Order:
    """A scene whose strips are to be computed.

    Attributes:
        name: Unlike that of any other.
        job: The scene.
        windows: Windows of each of its missing strips.
        token: What the coordinator has written into the journal's folder.
        events: Takes what is to be called in the thread that maps the scene; None at the end.
        done: Takes each record there.
    """

    name: str
    job: SceneJob
    windows: dict[int, int]
    token: str
    events: "queue.Queue[Callable[[], None] | None]"
    done: Callable[[StripRecord], None]

    def fail(self, error: BaseException) -> None:
        """Have an error raised in the thread that maps the scene."""

        def failed() -> None:
            raise error

        self.events.put(failed)
