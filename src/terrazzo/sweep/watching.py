"""How far a running trial has come: read from its log, told to a listener, and to the search that may stop it."""

import csv
from collections.abc import Iterator
from pathlib import Path

from terrazzo.config import RunConfig
from terrazzo.progress import Listener, Progress
from terrazzo.sweep.trial import Trial

__all__ = ["Watch", "best_value"]


def epochs_of(log: Path, figure: str) -> Iterator[tuple[int, float | None]]:
    """Yield each epoch of a `log.csv`, from 1, with a figure; None where it was not measured."""
    if not log.is_file():
        return
    with log.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            value = row.get(figure)
            yield int(row["epoch"]), float(value) if value else None


def best_value(trial: Trial, config: RunConfig) -> float | None:
    """Return the best value of the figure that training watches; None where it was never measured."""
    monitor = config.train.monitor
    values = [value for _, value in epochs_of(trial.folder / "log.csv", monitor.figure) if value is not None]
    return max(values, key=lambda value: monitor.sign * value, default=None)


class Watch:
    """One running trial, as a job with an epoch as its unit.

    Args:
        trial: Which one.
        config: Its configuration.
        listener: Receives progress.
    """

    def __init__(self, trial: Trial, config: RunConfig, listener: Listener) -> None:
        self.trial, self.config = trial, config
        self._log = trial.folder / "log.csv"
        self._seen: tuple[int, int] | None = None
        self._last = 0
        epochs = config.train.epochs_to_run if config.train.enable else None
        self._progress = Progress(trial.name, listener=listener, total=epochs, unit="epochs")
        self._progress.__enter__()

    @property
    def seconds(self) -> float:
        """Seconds since it was started."""
        return self._progress.seconds

    def news(self) -> list[tuple[int, float]]:
        """Return epoch, from 1, and watched figure of the epochs since the last call in which it was measured."""
        try:
            state = self._log.stat()
        except FileNotFoundError:
            return []
        # Each epoch puts a new file in place.
        if (mark := (state.st_ino, state.st_mtime_ns)) == self._seen:
            return []
        self._seen = mark
        figure = self.config.train.monitor.figure
        new = [row for row in epochs_of(self._log, figure) if row[0] > self._last]
        measured = [(epoch, value) for epoch, value in new if value is not None]
        if new:
            self._last = new[-1][0]
            figures = {figure: measured[-1][1]} if measured else {}
            self._progress.advance(self._last - self._progress.done, **figures)
        return measured

    def close(self) -> None:
        """Say that nothing more comes."""
        self._progress.__exit__(None, None, None)
