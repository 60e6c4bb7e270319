"""A courier: one thread for one remote tracker, which delivers the journal and never holds up the training."""

import logging
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from terrazzo.logs import redact
from terrazzo.storage import fingerprint, read_json, write_json
from terrazzo.tracking.journal import Journal
from terrazzo.tracking.tracker import RefusedEntryError, Track, TrackedRun, Tracker

__all__ = ["Courier"]

_LOG = logging.getLogger(__name__)

_OFTEN = 50
"""Entries after which it is noted how far delivery came, where many wait."""


class Courier:
    """Delivers the entries of a journal to one tracker, in order, each once.

    How far it came stands in a file, so that the next start goes on there. After a failure it says so once, waits and
    tries again: first a second, then longer and longer, a minute at most.

    Args:
        tracker: Where to.
        run: The run.
        journal: What.
        folder: Where the file lies.
        longest_pause_s: Between two tries, in seconds.
    """

    def __init__(
        self, tracker: Tracker, run: TrackedRun, journal: Journal, folder: Path, *, longest_pause_s: float = 60.0
    ) -> None:
        self.name = tracker.name
        self._tracker = tracker
        self._journal = journal
        self._longest_pause_s = longest_pause_s
        # Another project or server is another run there, which gets everything from the beginning.
        self._place = folder / f"{tracker.name}-{fingerprint(tracker.model_dump(mode='json'))[:8]}.json"
        state: Any = read_json(self._place) if self._place.is_file() else {"identity": uuid.uuid4().hex, "delivered": 0}
        self.delivered: int = state["delivered"]
        """Entries that have arrived for good."""
        self._sent = self.delivered
        self._run = replace(run, identity=state["identity"])
        self._keep(self.delivered)
        self._status: str | None = None
        self._is_away = False
        self._track: Track | None = None
        self._thread = threading.Thread(target=self._work, name=f"terrazzo-{tracker.name}", daemon=True)

    def _keep(self, delivered: int) -> None:
        """Note on the disk how far it came."""
        write_json(self._place, {"identity": self._run.identity, "delivered": delivered})
        self.delivered = delivered

    @property
    def waiting(self) -> int:
        """Entries that have not arrived yet."""
        return len(self._journal) - self.delivered

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def order_end(self, status: str) -> None:
        """Ask for an end: what can be delivered is delivered, and the track is closed."""
        with self._journal.changed:
            self._status = status
            self._journal.changed.notify_all()

    def wait(self, deadline: float) -> None:
        """Wait for the end, until a moment of the monotonic clock; warn where something did not arrive."""
        self._thread.join(timeout=max(0.0, deadline - time.monotonic()))
        if self.waiting or self._thread.is_alive():
            _LOG.warning(
                "%s: %d of %d entries have not arrived. They lie in %s, and the same command delivers them.",
                self.name,
                self.waiting,
                len(self._journal),
                self._place.parent,
            )

    def _work(self) -> None:
        pause_s = 1.0
        while True:
            try:
                self._deliver()
                pause_s = 1.0
                if self._status is not None and self._sent == len(self._journal):
                    self._close(self._status)
                    return
            except Exception as error:  # noqa: BLE001 - whatever a library raises must not end a training
                self._say_away(error)
                if self._status is not None:
                    return
                self._pause(pause_s)
                pause_s = min(2 * pause_s, self._longest_pause_s)

    def _deliver(self) -> None:
        """Write what there is, then wait for more or for the end."""
        if self._track is None:
            self._track = self._tracker.open(self._run)
            self._sent = self.delivered
        while self._sent < len(self._journal):
            entry = self._journal.entry(self._sent + 1)
            try:
                self._track.write(entry)
            except RefusedEntryError as error:
                _LOG.warning("%s does not take %s: %s", self.name, entry.identity, redact(str(error)))
            self._sent += 1
            self._say_back()
            if (self._sent % _OFTEN == 0 or self._sent == len(self._journal)) and self._track.secure():
                self._keep(self._sent)
        with self._journal.changed:
            self._journal.changed.wait_for(lambda: self._sent < len(self._journal) or self._status is not None)

    def _close(self, status: str) -> None:
        if self._track is not None:
            self._track.close(status)
        self._keep(self._sent)

    def _pause(self, seconds: float) -> None:
        """Wait, unless the end is asked for."""
        with self._journal.changed:
            self._journal.changed.wait_for(lambda: self._status is not None, timeout=seconds)

    def _say_away(self, error: Exception) -> None:
        """Warn once, and open the track anew at the next try."""
        self._track = None
        _LOG.debug("%s failed", self.name, exc_info=True)
        if not self._is_away:
            self._is_away = True
            told = " ".join(f"{type(error).__name__}: {error}".split())
            _LOG.warning("%s cannot be reached (%s); training goes on, and it is tried again.", self.name, told[:500])

    def _say_back(self) -> None:
        if self._is_away:
            self._is_away = False
            _LOG.info("%s is reached again.", self.name)
