"""All trackers of a run: local ones are written at once and cut to checkpoints, remote ones are served by couriers."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from terrazzo.tracking.courier import Courier
from terrazzo.tracking.entry import Entry
from terrazzo.tracking.journal import Journal
from terrazzo.tracking.tracker import Track, TrackedRun, Tracker, hyperparameters

__all__ = ["Tracking", "epoch_entry"]

_LOG = logging.getLogger(__name__)

FOLDER = "tracking"
"""Of the run folder: the journal, and how far each remote tracker has got."""


class Tracking:
    """What a run is recorded by. Without trackers it takes everything and does nothing.

    Args:
        trackers: Which.
        run: The run.
        history: Rows of the epochs that are done, for trackers that join a run which has begun.
        farewell_s: Longest wait at the end for entries to arrive, in seconds.
    """

    def __init__(
        self,
        trackers: Sequence[Tracker] = (),
        run: TrackedRun | None = None,
        *,
        history: Sequence[Mapping[str, Any]] = (),
        farewell_s: float = 60.0,
    ) -> None:
        self._farewell_s = farewell_s
        self._tracks: list[Track] = []
        self._couriers: list[Courier] = []
        self._journal: Journal | None = None
        if run is None:
            return
        begun = [Entry("hyperparameters", hyperparameters(run.config))]
        begun += [epoch_entry(row) for row in history]
        remote = [tracker for tracker in trackers if tracker.is_remote]
        if remote:
            folder = run.folder / FOLDER
            self._journal = Journal(folder)
            for entry in begun:
                self._journal.add(entry)
            self._couriers = [Courier(tracker, run, self._journal, folder) for tracker in remote]
        for tracker in trackers:
            if not tracker.is_remote:
                track = tracker.open(run)
                self._tracks.append(track)
                for entry in begun if track.is_new else ():
                    track.write(entry)
        for courier in self._couriers:
            courier.start()

    @property
    def shows_pictures(self) -> bool:
        """Whether a tracker takes pictures."""
        return bool(self._couriers) or any(track.takes_pictures for track in self._tracks)

    def add(self, entry: Entry) -> None:
        """Tell every tracker."""
        for track in self._tracks:
            track.write(entry)
        if self._journal is not None:
            self._journal.add(entry)

    def sizes(self) -> dict[str, int]:
        """Put everything on the disk and return the bytes of each file of local trackers, for the checkpoint."""
        if self._journal is not None:
            self._journal.secure()
            self._journal.forget_pictures(min(courier.delivered for courier in self._couriers))
        return {name: size for track in self._tracks for name, size in track.sizes().items()}

    def close(self, status: str = "finished") -> None:
        """End all tracks; entries that have not arrived are waited for a while.

        Args:
            status: `finished`, `failed` or `stopped`.
        """
        for track in self._tracks:
            track.close(status)
        for courier in self._couriers:
            courier.order_end(status)
        deadline = time.monotonic() + self._farewell_s
        for courier in self._couriers:
            courier.wait(deadline)
        if self._journal is not None:
            self._journal.forget_pictures(min(courier.delivered for courier in self._couriers))
            self._journal.close()
        self._tracks, self._couriers, self._journal = [], [], None

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End all tracks, as finished, failed, or, after an interruption, stopped."""
        if kind is None:
            self.close("finished")
        else:
            self.close("failed" if issubclass(kind, Exception) else "stopped")


def epoch_entry(row: Mapping[str, Any], *, update: int = 0) -> Entry:
    """Return the entry of a row of log.csv."""
    values = {name: value for name, value in row.items() if name != "epoch"}
    return replace(Entry("epoch", values), epoch=int(row["epoch"] or 0), update=update)
