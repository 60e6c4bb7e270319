"""Messages of a run: to the terminal for a person, to files for later, and never with a secret in them."""

import functools
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from terrazzo.errors import StorageError
from terrazzo.record import Record

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "LoggingSettings",
    "Timing",
    "configure_logging",
    "console",
    "is_leader",
    "process_number",
    "redact",
    "streams_json",
    "timed",
]

_LOG = logging.getLogger("terrazzo")
_OWN = "terrazzo."
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL", re.IGNORECASE)
_URL_SECRET = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
# Shorter values are words such as "true" that stand in messages for other reasons.
_SHORTEST_SECRET = 6


class LoggingSettings(Record):
    """Which messages are shown, and where they are kept."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least grave message shown on the terminal; files hold everything from info on, and debug where asked."""
    timestamps: bool = True
    """Begin each line on the terminal with the time; the lines of files always do."""
    format: Literal["plain", "json"] = "plain"
    """Lines for a reader, or a JSON object a line for a program: on the terminal and in files."""
    file: Path | None = None
    """Further file that messages are added to; a run folder has its `log.txt` (as JSON, `log.jsonl`) in any case."""


_phases: list[str] = []
"""Phases under way, outermost first."""
_configured: dict[str, Any] = {"settings": LoggingSettings(), "folder": None}
"""What the last call of `configure_logging` asked for."""


def process_number() -> int:
    """Return this process's number among those of the run, 0 where it is the only one."""
    given = next((os.environ[name] for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), "0")
    return int(given) if given.isdigit() else 0


def is_leader() -> bool:
    """Whether this process speaks for the run: rank 0, or the only one."""
    return process_number() == 0


@functools.cache
def console() -> "Console":
    """The one console on standard error, shared so that messages and progress bars do not tear each other."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def redact(text: str) -> str:
    """Return text without the values of environment variables that hold secrets, and without passwords in addresses.

    >>> redact("pushing to https://maps:hunter2@example.org/x")
    'pushing to https://maps:***@example.org/x'
    """
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return _URL_SECRET.sub(r"\1***@", text)


class _Redacted(logging.Formatter):
    """Formats a record, its traceback included, and takes the secrets out."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Json(logging.Formatter):
    """Formats a record as a JSON object in one line, secrets taken out of its texts.

    Args:
        timestamps: Whether it says when.
    """

    def __init__(self, *, timestamps: bool = True) -> None:
        super().__init__()
        self._timestamps = timestamps

    def format(self, record: logging.LogRecord) -> str:
        content: dict[str, Any] = {}
        if self._timestamps:
            content["time"] = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        content |= {"level": record.levelname.lower(), "logger": record.name, "message": redact(record.getMessage())}
        if process_number():
            content["process"] = process_number()
        phase = getattr(record, "phase", _phases[-1] if _phases else None)
        content |= {} if phase is None else {"phase": phase}
        for name in ("seconds", "progress"):
            if (value := getattr(record, name, None)) is not None:
                content[name] = value
        if record.exc_info:
            content["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(content, ensure_ascii=False, default=str)


class _StandardError(logging.Handler):
    """Writes to whatever standard error is at that moment, since progress bars replace it while they show."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except (OSError, ValueError):  # a closed terminal must not end a run
            self.handleError(record)


def configure_logging(settings: LoggingSettings, folder: Path | None = None) -> None:
    """Send the messages of logger "terrazzo" to the terminal and to files; what an earlier call set up is replaced.

    Only the leading process speaks. Of the others, errors alone are shown, with the process's number, and kept in
    `log-process-N.txt` of the run folder.

    Args:
        settings: Level, form and a further file.
        folder: Run folder, whose `log.txt` gets every message from info on. None: that of the run of which this is a
            phase, else none.

    Raises:
        StorageError: A log file cannot be opened.
    """
    if folder is None and _phases:
        folder = _configured["folder"]
    for handler in [handler for handler in _LOG.handlers if (handler.name or "").startswith(_OWN)]:
        _LOG.removeHandler(handler)
        handler.close()
    _configured.update(settings=settings, folder=folder)
    suffix = "jsonl" if settings.format == "json" else "txt"
    if not is_leader():
        _add(_other_process_handler(settings), "terminal", logging.ERROR)
        if folder is not None:
            own = folder / f"log-process-{process_number()}.{suffix}"
            # Opened with the first error: a folder where all went well has none.
            _add(_file_handler(own, settings, delay=True), f"file {own}", logging.ERROR)
        _LOG.setLevel(logging.ERROR)
        return
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    _add(_terminal_handler(settings), "terminal", level)
    for path in [folder / f"log.{suffix}" if folder else None, settings.file]:
        if path is not None:
            _add(_file_handler(path, settings), f"file {path}", min(level, logging.INFO))
    _LOG.setLevel(min(handler.level for handler in _LOG.handlers))


def streams_json() -> bool:
    """Whether standard error is a stream of JSON lines, into which no other line should fall."""
    return _configured["settings"].format == "json" and not console().is_terminal


def _add(handler: logging.Handler, name: str, level: int) -> None:
    handler.set_name(_OWN + name)
    handler.setLevel(level)
    _LOG.addHandler(handler)


def _terminal_handler(settings: LoggingSettings) -> logging.Handler:
    handler: logging.Handler
    if settings.format == "json":
        handler = _StandardError()
        handler.setFormatter(_Json(timestamps=settings.timestamps))
    elif console().is_terminal:
        from rich.highlighter import NullHighlighter
        from rich.logging import RichHandler

        handler = RichHandler(
            console=console(),
            show_time=settings.timestamps,
            show_path=False,
            highlighter=NullHighlighter(),
            log_time_format="%H:%M:%S",
        )
        handler.setFormatter(_Redacted("%(message)s"))
    else:
        handler = _StandardError()
        time_part = "%(asctime)s " if settings.timestamps else ""
        handler.setFormatter(_Redacted(f"{time_part}%(levelname)s %(message)s", "%H:%M:%S"))
    # Whoever shows progress has shown these.
    handler.addFilter(lambda record: streams_json() or not hasattr(record, "kept_only"))
    return handler


def _other_process_handler(settings: LoggingSettings) -> logging.Handler:
    handler = _StandardError()
    plain = _Redacted(f"%(asctime)s process {process_number()} %(levelname)s %(message)s", "%H:%M:%S")
    handler.setFormatter(_Json() if settings.format == "json" else plain)
    return handler


def _file_handler(path: Path, settings: LoggingSettings, *, delay: bool = False) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8", delay=delay)
    except OSError as error:
        raise StorageError(f"The log {path} cannot be opened: {error.strerror}; name another logging.file.") from error
    plain = _Redacted("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_Json() if settings.format == "json" else plain)
    return handler


@dataclass
class Timing:
    """How long a phase took.

    Attributes:
        name: The phase.
        seconds: Wall time; 0 until the phase has ended.
    """

    name: str
    seconds: float = 0.0


@contextmanager
def timed(name: str, *, into: MutableMapping[str, float] | None = None) -> Iterator[Timing]:
    """Log that a phase begins and ends, and how long it took, also where it fails.

    Args:
        name: The phase.
        into: Mapping that gets `name -> seconds`; a phase entered twice adds up.

    >>> seconds = {}
    >>> with timed("prepare", into=seconds) as timing:
    ...     pass
    >>> seconds["prepare"] == timing.seconds
    True
    """
    timing = Timing(name)
    begun = time.monotonic()
    _phases.append(name)
    _LOG.info("%s: begins.", name)
    outcome = "stopped"
    try:
        yield timing
        outcome = "done"
    except BaseException as error:
        # The terminal is told by the command.
        _LOG.error("%s: %s", name, str(error) or type(error).__name__, extra={"kept_only": True})
        raise
    finally:
        timing.seconds = time.monotonic() - begun
        if into is not None:
            into[name] = into.get(name, 0.0) + timing.seconds
        _LOG.info("%s: %s after %.1f s.", name, outcome, timing.seconds, extra={"seconds": round(timing.seconds, 3)})
        _phases.remove(name)
