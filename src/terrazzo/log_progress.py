"""Progress as messages: what a listener is told is kept in log files too, and a stream of JSON lines has it instead."""

import logging
import time
from collections.abc import Callable

from terrazzo.logs import streams_json
from terrazzo.progress import Event, Listener

__all__ = ["Logged", "logged"]

_LOG = logging.getLogger("terrazzo.progress")


class Logged:
    """A listener that passes events on and keeps them: beginnings, ends, notes, and now and then how far a job is.

    Args:
        listener: Told of every event, unless standard error is a stream of JSON lines.
        interval_s: Least time between two messages of advance, in seconds.
        clock: Seconds since some moment.
    """

    def __init__(
        self, listener: Listener, *, interval_s: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._listener = listener
        self._interval_s = interval_s
        self._clock = clock
        self._last = clock()
        self._open: list[str] = []

    def __call__(self, event: Event) -> None:
        """Pass an event on, and keep it if it is time."""
        if event.kind == "start":
            self._open.append(event.job)
            self._last = self._clock() if len(self._open) == 1 else self._last
        if event.kind == "advance":
            if self._clock() - self._last >= self._interval_s:
                self._last = self._clock()
                self._keep(event, _counted(event))
        elif event.kind == "note":
            self._keep(event, event.message)
        elif len(self._open) == 1 or event.message:
            # Of jobs inside jobs, only what went wrong is worth a line.
            done = f"done, {_counted(event)}" if event.done else "done"
            self._keep(event, "begins" if event.kind == "start" else event.message or done)
        if event.kind == "finish" and event.job in self._open:
            self._open.remove(event.job)
        if not streams_json():
            self._listener(event)

    def close(self) -> None:
        """Let the listener leave the terminal as it was."""
        self._open.clear()
        close = getattr(self._listener, "close", None)
        if close is not None:
            close()

    @staticmethod
    def _keep(event: Event, message: str) -> None:
        progress = {"job": event.job, "done": event.done, "total": event.total, "unit": event.unit, **event.figures}
        extra = {"kept_only": True, "progress": progress, "seconds": round(event.seconds, 3)}
        _LOG.info("%s: %s", event.job, message, extra=extra)


def logged(listener: Listener) -> Logged:
    """Return a listener whose events are kept; one that keeps them already is returned as it is."""
    return listener if isinstance(listener, Logged) else Logged(listener)


def _counted(event: Event) -> str:
    of = "" if event.total is None else f" of {event.total}"
    figures = "".join(f", {name} {value:.4g}" for name, value in event.figures.items())
    return f"{event.done}{of} {event.unit}".rstrip() + figures
