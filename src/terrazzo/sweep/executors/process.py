"""One trial's process: an ordinary run in its own run folder, tied to whoever started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from terrazzo.sweep.trial import Trial

__all__ = ["OUTPUT_FILE", "TrialProcess", "trial_command"]

OUTPUT_FILE = "output.txt"
"""File of a run folder with everything that the trial's processes printed."""

# How long a trial that was asked to stop may take before it is killed, and how often that is looked at.
_PATIENCE_SECONDS = 30.0
_GLANCE_SECONDS = 0.5


def trial_command(folder: Path, *options: str) -> list[str]:
    """Return the command that runs a trial.

    Args:
        folder: Its run folder.
        *options: Further ones.
    """
    # Without -P a folder `torch` in the working directory would be imported.
    return [sys.executable, "-P", "-m", "terrazzo.cli", "sweep", "--trial", str(folder), *options]


class TrialProcess:
    """Starts a trial's process.

    Args:
        trial: Its run folder has been written.
        cores: Numbers of the cores that it keeps to; empty for all.
        environment: Changes to this process's environment.
    """

    def __init__(
        self, trial: Trial, *, cores: Sequence[int] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.trial = trial
        self._asked: float | None = None
        options = ["--attached"]
        if cores:
            options += ["--cores", ",".join(map(str, cores))]
        with (trial.folder / OUTPUT_FILE).open("ab") as output:
            self._process = subprocess.Popen(
                trial_command(trial.folder, *options),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                # Ctrl-C on the terminal is for the sweep, which asks its trials to stop.
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._asked is not None

    @property
    def fault(self) -> str:
        """How an ended process ended, as a sentence; empty for a good end."""
        status = self._process.returncode
        if not status:
            return ""
        where = f"see {self.trial.folder / OUTPUT_FILE}"
        if status > 0:
            return f"its process ended with status {status}; {where}"
        name = signal.Signals(-status).name
        memory = ", as the system does where memory runs out" if -status == signal.SIGKILL else ""
        return f"its process was ended by {name}{memory}; {where}"

    def stop(self) -> None:
        """Ask it to stop: locks are freed, temporary files removed."""
        self._asked = self._asked or time.monotonic()
        if self.running:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; return whether it came."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def hurry(self) -> None:
        """Kill a process that was asked to stop long ago."""
        if self._asked is not None and time.monotonic() - self._asked > _PATIENCE_SECONDS:
            self.kill()

    def end(self) -> None:
        """Wait for the end of a process that was asked to stop, and kill it where it takes too long."""
        while not self.wait(_GLANCE_SECONDS):
            self.hurry()
        self.release()

    def kill(self) -> None:
        """End it and its loader processes at once."""
        if self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def release(self) -> None:
        """Let go of an ended process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
