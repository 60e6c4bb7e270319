"""One protocol of progress events, shown by a terminal now and streamed by a server later.

Code that takes long receives a `Listener` and reports through `Progress`; it never prints. An event is plain data:
which job, what happened, how much of how much, and figures worth showing.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

__all__ = ["Event", "Listener", "Progress", "silent"]


@dataclass(frozen=True)
class Event:
    """One thing that happened in a long job.

    Attributes:
        kind: `start` opens a job, `advance` moves it, `note` says something, `finish` closes it.
        job: Name of the job, such as "train" or "map scene.tif".
        done: Units finished so far.
        total: Units in all; None where unknown.
        unit: What is counted, such as "patches".
        message: One line for a reader; empty where the figures say it.
        figures: Values worth showing, by name.
        seconds: Seconds since the job's start.
    """

    kind: Literal["start", "advance", "note", "finish"]
    job: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    message: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


T = TypeVar("T")

Listener = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Drop the event: for callers that show nothing."""


class Progress:
    """A job under way: opens on entry, closes on exit, and tells a listener in between.

    >>> events = []
    >>> with Progress("count", listener=events.append, total=2, unit="pixels") as progress:
    ...     progress.advance()
    ...     progress.advance(loss=0.5)
    >>> [(event.kind, event.done) for event in events]
    [('start', 0), ('advance', 1), ('advance', 2), ('finish', 2)]
    """

    def __init__(self, job: str, *, listener: Listener = silent, total: int | None = None, unit: str = "") -> None:
        self.job = job
        self.total = total
        self.unit = unit
        self.done = 0
        self._listener = listener
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the job began."""
        return time.monotonic() - self._begun

    def __enter__(self) -> "Progress":
        self._begun = time.monotonic()
        self._tell("start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        self._tell("finish", message="" if kind is None else f"stopped: {str(error) or kind.__name__}")

    def advance(self, units: int = 1, **figures: float) -> None:
        """Report that `units` more are done, with figures worth showing."""
        self.done += units
        self._tell("advance", figures=figures)

    def note(self, message: str) -> None:
        """Say one line."""
        self._tell("note", message=message)

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, advancing by one after each is worked on."""
        for item in items:
            yield item
            self.advance()

    def _tell(
        self,
        kind: Literal["start", "advance", "note", "finish"],
        message: str = "",
        figures: Mapping[str, float] | None = None,
    ) -> None:
        self._listener(Event(kind, self.job, self.done, self.total, self.unit, message, figures or {}, self.seconds))
