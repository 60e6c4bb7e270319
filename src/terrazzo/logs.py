"""Messages of a run: to the terminal for a person, to files for later, and never with a secret in them."""

import functools
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from terrazzo.errors import StorageError
from terrazzo.record import Record

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LoggingSettings", "Timing", "configure_logging", "console", "is_leader", "redact", "timed"]

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
    file: Path | None = None
    """Further file that messages are added to; a run folder has its `log.txt` in any case."""


def is_leader() -> bool:
    """Whether this process speaks for the run: rank 0, or the only one."""
    rank = next((os.environ[name] for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), "0")
    return rank == "0"


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


class _StandardError(logging.Handler):
    """Writes to whatever standard error is at that moment, since progress bars replace it while they show."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except (OSError, ValueError):  # a closed terminal must not end a run
            self.handleError(record)


def configure_logging(settings: LoggingSettings, folder: Path | None = None) -> None:
    """Send the messages of logger "terrazzo" to the terminal and to files; what an earlier call set up is replaced.

    Only the leading process speaks; the others stay silent.

    Args:
        settings: Level, form and a further file.
        folder: Run folder, whose `log.txt` gets every message from info on; None where there is none.

    Raises:
        StorageError: A log file cannot be opened.
    """
    for handler in [handler for handler in _LOG.handlers if (handler.name or "").startswith(_OWN)]:
        _LOG.removeHandler(handler)
        handler.close()
    if not is_leader():
        _add(logging.NullHandler(), "silent", logging.CRITICAL)
        return
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    _add(_terminal_handler(settings), "terminal", level)
    for path in [folder / "log.txt" if folder else None, settings.file]:
        if path is not None:
            _add(_file_handler(path), f"file {path}", min(level, logging.INFO))
    _LOG.setLevel(min(handler.level for handler in _LOG.handlers))


def _add(handler: logging.Handler, name: str, level: int) -> None:
    handler.set_name(_OWN + name)
    handler.setLevel(level)
    _LOG.addHandler(handler)


def _terminal_handler(settings: LoggingSettings) -> logging.Handler:
    handler: logging.Handler
    if console().is_terminal:
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
        return handler
    handler = _StandardError()
    time_part = "%(asctime)s " if settings.timestamps else ""
    handler.setFormatter(_Redacted(f"{time_part}%(levelname)s %(message)s", "%H:%M:%S"))
    return handler


def _file_handler(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"The log {path} cannot be opened: {error.strerror}; name another logging.file.") from error
    handler.setFormatter(_Redacted("%(asctime)s %(levelname)s %(name)s: %(message)s"))
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
    _LOG.info("%s: begins.", name)
    outcome = "stopped"
    try:
        yield timing
        outcome = "done"
    finally:
        timing.seconds = time.monotonic() - begun
        if into is not None:
            into[name] = into.get(name, 0.0) + timing.seconds
        _LOG.info("%s: %s after %.1f s.", name, outcome, timing.seconds)
