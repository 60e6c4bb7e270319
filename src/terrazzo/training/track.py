"""The records of a run: log.csv, TensorBoard's event files and metadata.json.

The history lives in the checkpoint: log.csv is made from it anew, and event files are cut to the bytes that belong to
it, so that a run that was killed and taken up again leaves the records of one that never stopped.
"""

import contextlib
import csv
import importlib.metadata
import io
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch.utils.tensorboard import SummaryWriter

from terrazzo.storage import atomic_path, read_json, write_json, write_text

__all__ = ["COLUMNS", "Events", "package_versions", "profiled", "write_log", "write_metadata"]

COLUMNS = ("epoch", "lr", "train_loss", "val_loss", "val_miou", "val_avg_steps", "val_bf1", "seconds")
"""Columns that every log.csv begins with; empty where a figure does not apply."""

PACKAGES = ("terrazzo", "lightning", "numpy", "rasterio", "safetensors", "segmentation-models-pytorch", "timm", "torch")
EVENT_FILE = re.compile(r"events\.out\.tfevents\.(\d+)\.")


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


class Events:
    """TensorBoard's event files of a run.

    Args:
        folder: Where they lie.
        known: Bytes of each file that belong to the checkpoint that the run goes on from; what lies beyond is cut off,
            and files that are not named are removed.
    """

    def __init__(self, folder: Path, known: Mapping[str, int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _cut(folder, known)
        _wait_for_next_name(known)
        self._folder = folder
        self._writer = SummaryWriter(str(folder), flush_secs=30)

    def scalars(self, values: Mapping[str, float | int | None], step: int) -> None:
        """Add points to curves; None adds none."""
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)

    def pictures(self, name: str, pictures: Sequence[UInt8[np.ndarray, "y x 3"]], step: int) -> None:
        """Add pictures, called name/1, name/2, ..."""
        for number, picture in enumerate(pictures, start=1):
            self._writer.add_image(f"{name}/{number}", picture, step, dataformats="HWC")

    def sizes(self) -> dict[str, int]:
        """Put everything on the disk and return the bytes of each file."""
        self._writer.flush()
        sizes = {}
        for path in sorted(self._folder.glob("events.out.tfevents.*")):
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
                sizes[path.name] = os.fstat(handle.fileno()).st_size
        return sizes

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def _cut(folder: Path, known: Mapping[str, int]) -> None:
    """Remove what was written after the checkpoint."""
    for path in folder.glob("events.out.tfevents.*"):
        if path.name not in known:
            path.unlink()
        elif path.stat().st_size > known[path.name]:
            os.truncate(path, known[path.name])


def _wait_for_next_name(known: Mapping[str, int]) -> None:
    """Wait until a new file's name, which begins with the second, sorts behind those that exist: readers go by it."""
    stamps = [int(found.group(1)) for name in known if (found := EVENT_FILE.match(name))]
    newest = max(stamps, default=0)
    # A clock that was set back by more than this cannot be waited for.
    deadline = time.monotonic() + 2.0
    while int(time.time()) <= newest and time.monotonic() < deadline:
        time.sleep(0.02)


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
    begun = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "command": sys.argv, "host": platform.node()}
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
