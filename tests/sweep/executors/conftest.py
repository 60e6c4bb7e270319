"""Trials whose processes do something quick instead of a run."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from terrazzo.sweep.trial import Trial, trial_of

BEGINNING = """
import os, signal, sys, time
from pathlib import Path
from terrazzo.sweep.executors.attachment import end_with_starter, use_cores
folder, options = Path(sys.argv[1]), sys.argv[2:]
if "--attached" in options:
    end_with_starter()
if "--cores" in options:
    use_cores(options[options.index("--cores") + 1])
"""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let every trial run a few lines of Python, which know `folder`."""

    def put(code: str) -> None:
        def command(folder: Path, *options: str) -> list[str]:
            return [sys.executable, "-P", "-c", BEGINNING + code, str(folder), *options]

        monkeypatch.setattr("terrazzo.sweep.executors.process.trial_command", command)
        monkeypatch.setattr("terrazzo.sweep.executors.slurm.trial_command", command)

    return put


@pytest.fixture
def make_trial(tmp_path: Path) -> Callable[[int], Trial]:
    """Make a trial with its run folder."""

    def make(number: int = 0) -> Trial:
        trial = trial_of(number, {"seed": number}, tmp_path / "größe sweep")
        trial.folder.mkdir(parents=True)
        trial.save()
        return trial

    return make
