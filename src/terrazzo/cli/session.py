"""One command's life: progress while it works, its summary or one clear line at the end, and its exit status."""

import errno
import json
import logging
import signal
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import typer

from terrazzo.errors import ConfigError, StoppedError, TerrazzoError

__all__ = ["Reported", "Session", "exit_status"]

_INTERRUPTED = 128 + signal.SIGINT


@runtime_checkable
class Reported(Protocol):
    """What every public verb returns."""

    def as_dict(self) -> dict[str, Any]:
        """Return figures, seconds and paths as plain data."""


@runtime_checkable
class Told(Protocol):
    """A summary of which a reader at a terminal wants to know less than a program."""

    def told(self) -> dict[str, Any]:
        """Return what to show."""


def exit_status(error: BaseException) -> int:
    """Return the exit status that an error stands for.

    >>> exit_status(ConfigError("train.epochs is -1")), exit_status(KeyboardInterrupt()), exit_status(OSError())
    (2, 130, 1)
    """
    if isinstance(error, KeyboardInterrupt | StoppedError):
        return _INTERRUPTED
    return 2 if isinstance(error, ConfigError) else 1


class Session:
    """Runs one command: shows its progress on standard error and ends it with a status, never with a bare traceback.

    Args:
        command: The command's name, for the summary.
        as_json: Print summaries as JSON, and nothing else on standard output.
        debug: Show tracebacks.
    """

    def __init__(self, command: str, *, as_json: bool = False, debug: bool = False) -> None:
        from terrazzo.cli.terminal import progress_view
        from terrazzo.log_progress import logged
        from terrazzo.logs import console, is_leader

        self.command = command
        self.as_json = as_json
        self.debug = debug
        self.console = console()
        self.listener = logged(progress_view(self.console, shown=is_leader()))
        self._speaks = is_leader()

    def __enter__(self) -> "Session":
        return self

    def finish(self, summary: Reported) -> None:
        """Show what was done, where it lies and how long it took."""
        self.show(summary.told() if isinstance(summary, Told) and not self.as_json else summary.as_dict())

    def show(self, content: Mapping[str, Any]) -> None:
        """Show plain data: as JSON, or as lines and tables for a reader."""
        from terrazzo.cli.terminal import show_summary

        self.listener.close()
        if not self._speaks:
            return
        if self.as_json:
            typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
        else:
            show_summary(self.command, content)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Turn an error into one line and a status.

        Raises:
            typer.Exit: With the status, where there was an error.
        """
        self.listener.close()
        if error is None or isinstance(error, typer.Exit | SystemExit):
            return
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            return  # whoever read our output has gone; Typer leaves quietly
        if self.debug:
            self.console.print("".join(traceback.format_exception(error)), markup=False, soft_wrap=True)
        self._explain(error)
        raise typer.Exit(exit_status(error)) from error

    def _explain(self, error: BaseException) -> None:
        from terrazzo.logs import redact

        if isinstance(error, KeyboardInterrupt):
            message = "Interrupted."
        elif isinstance(error, TerrazzoError):
            message = str(error)
        else:
            hint = "" if self.debug else " Run the same command with --debug to see where it arose."
            message = f"{self.command} failed unexpectedly, {type(error).__name__}: {error}.{hint}"
            _log_to_files(error)
        self.console.print(f"Error: {redact(message)}", style="bold red", markup=False, soft_wrap=True)


def _log_to_files(error: BaseException) -> None:
    """Keep an unexpected error's traceback in the run's log files, where there are any."""
    record = logging.LogRecord(
        "terrazzo", logging.ERROR, __file__, 0, "failed unexpectedly", None, (type(error), error, error.__traceback__)
    )
    for handler in logging.getLogger("terrazzo").handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
    sys.stderr.flush()
