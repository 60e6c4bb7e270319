"""What lies in a job's folder beside its record: results, what they came to, and how much room they take."""

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrazzo.errors import StorageError
from terrazzo.serve.job_record import map_of
from terrazzo.storage import read_json

__all__ = ["folder_bytes", "leave_record", "map_summary", "result_files", "without_folder"]

_OWN = frozenset({"job.json", "task.json"})


def result_files(folder: Path) -> list[Path]:
    """Return what a client may fetch, by name: all but records, the scene and what is hidden."""
    files = (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    return sorted(path for path in files if path.name not in _OWN and not path.name.startswith((".", "scene.")))


def leave_record(folder: Path) -> None:
    """Remove all that a cancelled job had, but its record."""
    for entry in folder.iterdir():
        if entry.name == "job.json":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def map_summary(folder: Path) -> Mapping[str, Any] | None:
    """Return what the map came to, without where it lies here; None where nothing says it."""
    with contextlib.suppress(StorageError, LookupError):
        found: dict[str, Any] = read_json(map_of(folder).with_suffix(".summary.json"))["maps"][0]
        layers = {name: Path(path).name for name, path in found["layers"].items()}
        return {**found, "scene": Path(found["scene"]).name, "out": Path(found["out"]).name, "layers": layers}
    return None


def without_folder(folder: Path, text: str) -> str:
    """Return a message without where the job lies here."""
    return text.replace(f"{folder.absolute()}/", "").replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files of a job; not of a scene that is only linked."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
