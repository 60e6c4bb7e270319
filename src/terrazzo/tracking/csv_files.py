"""CSV files: a table of updates, of epochs, of confusion matrices, of settings and of what the run came to.

Lightning's CSV logger is not used: it removes its file when a run is taken up again, and writes it anew, not
atomically, whenever a column joins.
"""

import csv
import io
from collections.abc import Sequence
from typing import ClassVar, Literal

from terrazzo.tracking.entry import Entry
from terrazzo.tracking.line_file import LineFile
from terrazzo.tracking.tracker import Track, TrackedRun, Tracker

__all__ = ["Csv"]

FOLDER = "csv"
HEADS = {
    "hyperparameters": ("setting", "value"),
    "update": ("update", "epoch", "loss", "lr"),
    "confusion": ("epoch", "split", "label", "prediction", "pixels"),
    "summary": ("figure", "value"),
    "phase": ("phase", "figure", "value"),
}
"""Columns by kind; those of epochs are the figures of the first one."""
NAMES = {
    "hyperparameters": "hyperparameters.csv",
    "update": "updates.csv",
    "epoch": "epochs.csv",
    "confusion": "confusion.csv",
    "summary": "summary.csv",
    "phase": "phases.csv",
}


class Csv(Tracker):
    """Tables in the run folder's `csv`: updates, epochs, confusion matrices, settings, summary and phases."""

    name: Literal["csv"] = "csv"
    """Name in the table of trackers."""

    is_remote: ClassVar[bool] = False

    def open(self, run: TrackedRun) -> Track:
        """Begin the tables, or cut them to what the checkpoint knows."""
        return _Tables(run)


class _Tables(Track):
    """The open files, each begun with its first row."""

    takes_pictures: ClassVar[bool] = False

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._files: dict[str, LineFile] = {}
        self._columns: list[str] = []
        for kind, name in NAMES.items():
            path, known = run.folder / FOLDER / name, run.known.get(f"{FOLDER}/{name}")
            if known is None:
                path.unlink(missing_ok=True)
                continue
            self._files[kind] = LineFile(path, known)
            if kind == "epoch":
                with path.open(encoding="utf-8", newline="") as file:
                    self._columns = next(csv.reader(file), [])

    @property
    def is_new(self) -> bool:
        """Whether it has no entry of this run yet."""
        return not self._files

    def write(self, entry: Entry) -> None:
        """Add the entry's rows to its table."""
        if entry.kind in NAMES:
            for row in self._rows(entry):
                self._add(entry.kind, row)

    def _rows(self, entry: Entry) -> list[Sequence[object]]:
        values = entry.values
        if entry.kind == "update":
            return [(entry.update, entry.epoch, values["loss"], values["lr"])]
        if entry.kind == "epoch":
            if not self._columns:
                self._columns = ["epoch", *values]
            return [[entry.epoch, *(values.get(name) for name in self._columns[1:])]]
        if entry.kind == "confusion":
            names, counts = values["classes"], values["counts"]
            return [
                (entry.epoch, entry.name, label, prediction, pixels)
                for label, row in zip(names, counts, strict=True)
                for prediction, pixels in zip(names, row, strict=True)
            ]
        before = (entry.name,) if entry.kind == "phase" else ()
        return [(*before, name, value) for name, value in values.items()]

    def _add(self, kind: str, row: Sequence[object]) -> None:
        if kind not in self._files:
            self._files[kind] = LineFile(self._run.folder / FOLDER / NAMES[kind], None)
            self._files[kind].add(_line(HEADS.get(kind, self._columns)))
        self._files[kind].add(_line(row))

    def sizes(self) -> dict[str, int]:
        """Put everything on the disk and return the bytes of each file."""
        return {f"{FOLDER}/{NAMES[kind]}": file.size() for kind, file in self._files.items()}

    def close(self, status: str) -> None:
        """Close the files."""
        del status
        for file in self._files.values():
            file.close()


def _line(row: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(["" if value is None else value for value in row])
    return text.getvalue()
