"""The records of a run: log.csv, metadata.json, and what its trackers are opened with and told after training.

The history lives in the checkpoint: log.csv is made from it anew, and the files of local trackers are cut to the bytes
that belong to it, so that a run that was killed and taken up again leaves the records of one that never stopped.
"""

import contextlib
import csv
import importlib.metadata
import io
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from terrazzo.logs import redact
from terrazzo.storage import atomic_path, read_json, write_json, write_text
from terrazzo.tracking import Entry, TrackedRun, Tracker, Tracking
from terrazzo.training.checkpoint import read_state
from terrazzo.training.folder import RunFolder
from terrazzo.training.job import TrainingJob

__all__ = [
    "COLUMNS",
    "deliver",
    "open_tracking",
    "package_versions",
    "profiled",
    "track_phases",
    "write_log",
    "write_metadata",
]

COLUMNS = ("epoch", "lr", "train_loss", "val_loss", "val_miou", "val_avg_steps", "val_bf1", "seconds")
"""Columns that every log.csv begins with; empty where a figure does not apply."""

PACKAGES = (
    "terrazzo", "lightning-fabric", "numpy", "rasterio", "safetensors", "segmentation-models-pytorch", "timm", "torch",
)  # fmt: skip


def write_log(path: Path, history: Sequence[Mapping[str, float | int | None]]) -> None:
    """Write log.csv, whole or not at all.

    Args:
        path: Goal.
        history: One row an epoch; further figures follow the common columns in the order of the first row.
    """
    further = [name for name in (history[0] if history else {}) if name not in COLUMNS]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *further], restval="", lineterminator="\n")
    writer.writeheader()
    for row in history:
        writer.writerow({name: "" if value is None else value for name, value in row.items()})
    write_text(path, text.getvalue())


def open_tracking(job: TrainingJob, known: Mapping[str, int], history: Sequence[Mapping[str, Any]]) -> Tracking:
    """Open the trackers of a training.

    Args:
        job: Says which, and what the run is called.
        known: Bytes of the files of local trackers that belong to the checkpoint that it goes on from.
        history: Rows of the epochs that are done.
    """
    run = TrackedRun(job.name, job.folder, job.described, job.settings.monitor.figure, known=known)
    return Tracking(job.trackers, run, history=history)


def deliver(job: TrainingJob, history: Sequence[Mapping[str, Any]]) -> None:
    """Deliver what has not arrived yet of a finished run; local trackers have everything."""
    remote = replace(job, trackers=tuple(tracker for tracker in job.trackers if tracker.is_remote))
    if remote.trackers:
        open_tracking(remote, {}, history).close()


def track_phases(
    trackers: Sequence[Tracker], run: TrackedRun, phases: Sequence[tuple[str, Mapping[str, float]]]
) -> None:
    """Tell trackers of the phases that were done; a run that was trained elsewhere is not tracked.

    Args:
        trackers: Those that do not take phases are left out.
        run: The run.
        phases: Name of each, with its seconds and scores.
    """
    checkpoint = RunFolder(run.folder).last
    told = [tracker for tracker in trackers if tracker.takes_phases]
    if not told or not checkpoint.is_file():
        return
    state = read_state(checkpoint)
    with Tracking(told, replace(run, known=state.events), history=state.history) as tracking:
        for phase, values in phases:
            tracking.add(Entry("phase", dict(values), phase, state.epoch, state.updates))


def package_versions() -> dict[str, str]:
    """Return the versions of Terrazzo, Python and the packages that decide a result."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def write_metadata(path: Path, content: Mapping[str, Any]) -> None:
    """Write metadata.json, or note in it that the run was taken up again.

    Args:
        path: Goal.
        content: Facts of the run beside environment, versions, commit and command.
    """
    # A shell may have put a secret into an argument.
    command = [redact(argument) for argument in sys.argv]
    begun = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "command": command, "host": platform.node()}
    if path.is_file():
        earlier = read_json(path)
        write_json(path, {**earlier, "resumed": [*earlier.get("resumed", []), begun]})
        return
    environment: dict[str, Any] = {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
    }
    if torch.cuda.is_available():
        environment["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    facts = {**begun, "commit": _commit(Path.cwd()), "versions": package_versions(), "environment": environment}
    write_json(path, {**facts, **content, "resumed": []})


def _commit(folder: Path) -> str | None:
    """Return the Git commit of a folder, with "+" where files differ from it; None outside a repository."""
    answers = []
    for command in (["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"]):
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        answers.append(done.stdout.strip())
    return answers[0] + ("+" if answers[1] else "")


@contextlib.contextmanager
def profiled(path: Path | None) -> Iterator[None]:
    """Profile what happens inside into a Chrome trace; None profiles nothing."""
    if path is None:
        yield
        return
    with torch.profiler.profile() as profiler:
        yield
    with atomic_path(path) as temporary:
        profiler.export_chrome_trace(str(temporary))
