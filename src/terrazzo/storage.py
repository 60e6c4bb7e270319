"""Writing that survives a crash: atomic files and folders, locks, room on the disk, fingerprints.

A path that exists is whole: everything is written under a temporary name beside its goal, flushed to the disk, and
renamed. A temporary left by a killed process is never read and is swept by the next writer.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from terrazzo.errors import LockedError, SpaceError, StorageError

__all__ = [
    "atomic_path",
    "fingerprint",
    "hash_file",
    "locked",
    "read_json",
    "require_space",
    "sweep",
    "write_bytes",
    "write_json",
    "write_text",
]

TEMPORARY_MARK = ".partial-"


@contextlib.contextmanager
def atomic_path(goal: Path) -> Iterator[Path]:
    """Yield a temporary path beside `goal`; on success flush it and rename it onto `goal`, else remove it.

    The temporary keeps the goal's suffix, since several libraries choose a format by it. It may be made a file or a
    folder; a folder replaces an earlier one only where none exists.

    Args:
        goal: Path that appears whole or not at all. Its folder is created.

    Raises:
        StorageError: Nothing was written, or the rename failed.
    """
    goal.parent.mkdir(parents=True, exist_ok=True)
    temporary = goal.with_name(f".{goal.stem}{TEMPORARY_MARK}{os.getpid()}-{uuid.uuid4().hex[:8]}{goal.suffix}")
    try:
        yield temporary
        if not temporary.exists():
            raise StorageError(f"Nothing was written for {goal}.")
        _flush(temporary)
        temporary.replace(goal)
        _flush(goal.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Ask the system to put a file or a folder's entries on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(goal: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_path(goal) as temporary:
        temporary.write_bytes(content)


def write_text(goal: Path, content: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    write_bytes(goal, content.encode())


def write_json(goal: Path, content: Any) -> None:
    """Write readable JSON whole or not at all; keys keep their order, NaN is refused."""
    write_text(goal, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StorageError: The file is missing, unreadable or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read as JSON: {error}.") from error


def sweep(folder: Path) -> None:
    """Remove temporaries that dead processes left in a folder (not in its subfolders)."""
    for entry in folder.glob(f".*{TEMPORARY_MARK}*") if folder.is_dir() else ():
        owner = entry.name.partition(TEMPORARY_MARK)[2].partition("-")[0]
        if owner.isdigit() and Path(f"/proc/{owner}").exists():
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the system frees it when the process ends, however it ends.

    Args:
        folder: Created if missing; `.lock` inside it is the lock and names its holder.

    Raises:
        LockedError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(
                f"{folder} is in use by process {_holder(handle)}; wait for it, stop it, or choose another folder."
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _holder(handle: IO[str]) -> str:
    handle.seek(0)
    return handle.read().strip() or "unknown"


def require_space(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Refuse to begin what cannot fit.

    Args:
        folder: Where it will be written; its nearest existing parent is asked.
        needed_bytes: Bytes that will be written.
        purpose: Noun for the message, such as "the class map".

    Raises:
        SpaceError: Fewer bytes are free.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise SpaceError(
            f"{folder} has {free / 2**30:.2f} GiB free, but {purpose} needs {needed_bytes / 2**30:.2f} GiB; "
            "free some room or choose another disk."
        )


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint(content: Any) -> str:
    """Return a SHA-256 of plain data (what JSON can hold), independent of the order of keys.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
