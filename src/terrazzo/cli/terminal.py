"""What a person sees: progress bars on a terminal, a line now and then elsewhere, and a summary at the end."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from terrazzo.logs import redact
from terrazzo.progress import Event

__all__ = ["Bars", "Lines", "View", "duration", "output", "progress_view", "show_summary", "show_table"]


@runtime_checkable
class View(Protocol):
    """A listener that can be told that nothing more comes."""

    def __call__(self, event: Event) -> None:
        """Show an event."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def duration(seconds: float) -> str:
    """Return a time span for a reader.

    >>> duration(0.42), duration(75.0), duration(7322.0)
    ('0.4 s', '1 min 15 s', '2 h 02 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _figures(event: Event) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in event.figures.items())


def _counted(event: Event) -> str:
    of = "" if event.total is None else f" of {event.total}"
    return f"{event.done}{of} {event.unit}".rstrip()


def _closing(event: Event) -> str:
    if event.message:
        # Why is said once, by the command, after the last of its jobs has stopped.
        return f"{event.job}: {event.message.partition(':')[0]} after {duration(event.seconds)}"
    counted = f", {_counted(event)}" if event.done else ""
    return f"{event.job}: done in {duration(event.seconds)}{counted}"


class Lines:
    """Shows progress where no terminal is: each outer job's beginning and end, and a line now and then between.

    Args:
        write: Takes one line without its end.
        interval_s: Least time between two lines of advance, in seconds.
        clock: Seconds since some moment.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        interval_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._interval_s = interval_s
        self._clock = clock
        self._last = clock()
        self._open: list[str] = []

    def __call__(self, event: Event) -> None:
        """Show an event, if it is time."""
        if event.kind == "start":
            if not self._open:
                self._write(f"{event.job}: begins" + (f", {_counted(event)}" if event.total is not None else ""))
                self._last = self._clock()
            self._open.append(event.job)
        elif event.kind == "note":
            self._write(f"{event.job}: {event.message}")
        elif event.kind == "finish":
            if event.job in self._open:
                self._open.remove(event.job)
            if not self._open or event.message:
                self._write(_closing(event))
        elif self._clock() - self._last >= self._interval_s:
            self._last = self._clock()
            self._write(self._advanced(event))

    def close(self) -> None:
        """Forget jobs that were left open."""
        self._open.clear()

    @staticmethod
    def _advanced(event: Event) -> str:
        parts = [f"{event.job}: {_counted(event)}", duration(event.seconds)]
        if event.total and event.done:
            parts.append(f"{duration(event.seconds * (event.total - event.done) / event.done)} left")
        return ", ".join([*parts, *filter(None, [_figures(event)])])


class Bars:
    """Shows a bar for each open job, and keeps a line for each outer job that has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[counted]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if event.kind == "note":
            self._say(f"{event.job}: {event.message}")
        elif event.kind == "finish":
            self._finish(event)
        else:
            if event.job not in self._tasks:
                self._progress.start()
                self._tasks[event.job] = self._progress.add_task(event.job, counted="", figures="")
            self._progress.update(
                self._tasks[event.job], total=event.total, completed=event.done, counted=_counted(event)
            )
            if event.figures:
                self._progress.update(self._tasks[event.job], figures=_figures(event))

    def close(self) -> None:
        """Take the bars away."""
        self._progress.stop()
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()

    def _finish(self, event: Event) -> None:
        if event.job in self._tasks:
            self._progress.remove_task(self._tasks.pop(event.job))
        if not self._tasks:
            self._progress.stop()
        if not self._tasks or event.message:
            self._say(_closing(event))

    def _say(self, line: str) -> None:
        self._console.print(redact(line), markup=False, soft_wrap=True)


class _Nothing:
    """Shows nothing: for processes that do not lead."""

    def __call__(self, event: Event) -> None:
        """Drop an event."""

    def close(self) -> None:
        """Have nothing to take away."""


def progress_view(console: Console, *, shown: bool = True) -> View:
    """Return bars for a terminal and lines for anything else.

    Args:
        console: Where to show.
        shown: False for a process that leaves the showing to another.
    """
    if not shown:
        return _Nothing()
    if console.is_terminal:
        return Bars(console)
    return Lines(lambda line: console.print(redact(line), markup=False, soft_wrap=True))


def output() -> Console:
    """The console on standard output; wide where no terminal wraps it."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(key)} {_cell(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_cell(item) for item in value)
    return str(value)


def _words(key: object) -> str:
    return str(key).replace("_", " ")


def _rows(value: object) -> list[Mapping[str, Any]]:
    """Return the rows of what is best read as a table, or nothing."""
    if isinstance(value, Mapping) and value and all(isinstance(item, Mapping) for item in value.values()):
        return [{"name": key, **item} for key, item in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return list(value) if all(isinstance(item, Mapping) for item in value) else []
    return []


def _is_matrix(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def show_summary(command: str, content: Mapping[str, Any]) -> None:
    """Print a summary on standard output: first what was done and where, then figures and paths, tables last.

    Matrices are left to `summary.json`.
    """
    console = output()
    took = f" in {duration(float(content['seconds']))}" if isinstance(content.get("seconds"), float | int) else ""
    where = f": {content['folder']}" if content.get("folder") else ""
    console.print(f"{command} done{took}{where}", markup=False, soft_wrap=True, style="bold")
    _show_fields(console, {key: value for key, value in content.items() if key not in {"seconds", "folder"}})


def _show_fields(console: Console, content: Mapping[str, Any]) -> None:
    lines = {key: value for key, value in content.items() if not (_rows(value) or _is_matrix(value))}
    nested = {
        key: value for key, value in lines.items() if isinstance(value, Mapping) and any(map(_rows, value.values()))
    }
    width = max((len(_words(key)) for key in lines if key not in nested), default=0)
    for key, value in lines.items():
        if key not in nested and value not in ([], {}, ()):
            console.print(f"  {_words(key).ljust(width)}  {_cell(value)}", markup=False, soft_wrap=True)
    for value in nested.values():
        _show_fields(console, {key: item for key, item in value.items() if content.get(key) != item})
    for key, value in content.items():
        if rows := _rows(value):
            show_table(rows, title=_words(key), console=console)


def show_table(rows: Sequence[Mapping[str, Any]], *, title: str = "", console: Console | None = None) -> None:
    """Print rows as a table on standard output; the keys of the first row are the columns."""
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for key in rows[0]:
        number = all(isinstance(row.get(key), int | float | None) for row in rows)
        table.add_column(_words(key), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(key))) for key in rows[0]))
    (console or output()).print(table)
