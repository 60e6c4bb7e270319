"""JSON lines: everything that happens in a run, one line each, for programs to read."""

import json
from typing import ClassVar, Literal

from terrazzo.tracking.entry import Entry
from terrazzo.tracking.line_file import LineFile
from terrazzo.tracking.tracker import Track, TrackedRun, Tracker

__all__ = ["JsonLines"]

FILE = "track.jsonl"


class JsonLines(Tracker):
    """`track.jsonl` in the run folder: a line each logged update, epoch, confusion matrix and phase."""

    name: Literal["jsonl"] = "jsonl"
    """Name in the table of trackers."""

    is_remote: ClassVar[bool] = False

    def open(self, run: TrackedRun) -> Track:
        """Begin the file, or cut it to what the checkpoint knows."""
        return _Lines(run)


class _Lines(Track):
    """The open file."""

    takes_pictures: ClassVar[bool] = False

    def __init__(self, run: TrackedRun) -> None:
        known = run.known.get(FILE)
        self._is_new = known is None
        self._file = LineFile(run.folder / FILE, known)

    @property
    def is_new(self) -> bool:
        """Whether it has no entry of this run yet."""
        return self._is_new

    def write(self, entry: Entry) -> None:
        """Add a line; pictures lie in the run folder's `samples`."""
        if entry.kind != "pictures":
            self._file.add(json.dumps(entry.plain(), ensure_ascii=False, allow_nan=False))

    def sizes(self) -> dict[str, int]:
        """Put everything on the disk and return its bytes."""
        return {FILE: self._file.size()}

    def close(self, status: str) -> None:
        """Close the file."""
        del status
        self._file.close()
