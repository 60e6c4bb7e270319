"""Writing that survives a crash: atomic files and folders, locks, room on the disk, fingerprints.

A path that exists is whole: everything is written under a temporary name beside its goal, flushed to the disk, and
renamed. A temporary left by a killed process is never read and is swept by the next writer.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from terrazzo.errors import LockedError, SpaceError, StorageError

__all__ = [
    "atomic_path",
    "fingerprint",
    "hash_file",
    "is_full",
    "locked",
    "read_json",
    "require_space",
    "scratch_folder",
    "sweep",
    "write_bytes",
    "write_json",
    "write_text",
]

TEMPORARY_MARK = ".partial-"
_TEMPORARY = re.compile(r"^\..*\.partial-(\d+)-(?:([0-9a-f]{6})-)?[0-9a-f]{8}(\..*)?$", re.DOTALL)
# Whether a process of another machine lives is not to be seen from here: what it wrote last tells.
_FORSAKEN_SECONDS = 3 * 24 * 3600
# Temporaries that this process writes now: after a restart in a container an old one can bear our own number.
_OPEN: set[str] = set()
_HELD: set[int] = set()
# How often a lock is sought in a folder that others remove.
_ATTEMPTS = 100
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def atomic_path(goal: Path) -> Iterator[Path]:
    """Yield a temporary path beside `goal`; on success flush it and rename it onto `goal`, else remove it.

    The temporary keeps the goal's suffix, since several libraries choose a format by it. It may be made a file or a
    folder; a folder replaces an earlier one only where none exists.

    Args:
        goal: Path that appears whole or not at all. Its folder is created.

    Raises:
        StorageError: Nothing was written, its folder cannot be made, or the rename failed.
        SpaceError: The disk is full; nothing is left of what was begun.
    """
    _make_folder(goal.parent)
    temporary = goal.with_name(f".{goal.stem}{TEMPORARY_MARK}{_writer()}{goal.suffix}")
    _OPEN.add(temporary.name)
    try:
        try:
            yield temporary
        except OSError as error:
            if is_full(error):
                reason = os.strerror(error.errno or errno.ENOSPC)
                raise SpaceError(
                    f"{goal} cannot be written: {reason}; free some room or choose another disk."
                ) from error
            raise
        if not temporary.exists():
            raise StorageError(f"Nothing was written for {goal}.")
        try:
            _flush(temporary)
            temporary.replace(goal)
            _flush(goal.parent)
        except OSError as error:
            raise StorageError(f"{goal} cannot be put in place: {error.strerror}.") from error
    finally:
        _OPEN.discard(temporary.name)
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_folder(goal: Path) -> Iterator[Path]:
    """Yield a new folder beside `goal` for what is needed on the way to it; it is removed on exit.

    Args:
        goal: Path on whose disk there is room.

    Raises:
        StorageError: The folder cannot be made.
    """
    stem = goal.stem.removeprefix(".").partition(TEMPORARY_MARK)[0]
    folder = goal.with_name(f".{stem}{TEMPORARY_MARK}{_writer()}.scratch")
    _OPEN.add(folder.name)
    try:
        _make_folder(folder)
        yield folder
    finally:
        _OPEN.discard(folder.name)
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror}.") from error


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


def write_json(goal: Path, content: object) -> None:
    """Write readable JSON whole or not at all; keys keep their order, NaN is refused."""
    write_text(goal, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 - whoever reads knows what the file holds
    """Read a JSON file.

    Raises:
        StorageError: The file is missing, unreadable or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read as JSON: {error}.") from error


def _writer() -> str:
    """Return what tells a temporary's writer: process, machine, and a word of its own."""
    return f"{os.getpid()}-{_machine()}-{uuid.uuid4().hex[:8]}"


def _machine() -> str:
    """Return this machine's name in six digits; several may write into one folder of a shared storage."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def sweep(folder: Path) -> None:
    """Remove temporaries that dead processes left in a folder (not in its subfolders).

    Those of other machines are removed once nothing was written to them for three days.
    """
    for entry in folder.iterdir() if folder.is_dir() else ():
        found = _TEMPORARY.match(entry.name)
        if found is None or entry.name in _OPEN or _lives(entry, owner=int(found[1]), machine=found[2]):
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _lives(entry: Path, *, owner: int, machine: str | None) -> bool:
    """Return whether a temporary's writer may still be at work."""
    if machine in {None, _machine()}:
        return owner != os.getpid() and Path(f"/proc/{owner}").exists()
    try:
        latest: float = max(path.stat().st_mtime for path in (entry, *(entry.iterdir() if entry.is_dir() else ())))
    except OSError:
        # Its writer has just put it in place, or is about to.
        return True
    return time.time() - latest < _FORSAKEN_SECONDS


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the system frees it when the process ends, however it ends.

    Args:
        folder: Created if missing; `.lock` inside it is the lock and names its holder.

    Raises:
        LockedError: Another process holds it.
        StorageError: The folder cannot be made or written.
    """
    descriptor = _open_lock(folder)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        if descriptor in _HELD:
            _HELD.discard(descriptor)
            os.close(descriptor)


def _open_lock(folder: Path) -> int:
    """Open and lock `.lock` in a folder, and return its descriptor, which is among the held ones.

    Whoever held the folder before may remove it between our opening and our locking. What we then have is the lock of a
    file that nobody else will ever open; so the file that bears the name must be ours, or all begins anew.
    """
    path = folder / ".lock"
    for _ in range(_ATTEMPTS):
        _make_folder(folder)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"{folder} cannot be locked: {error.strerror}.") from error
        _HELD.add(descriptor)
        ours = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = _is_at(descriptor, path)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise LockedError(
                f"{folder} is in use by process {holder}; wait for it, stop it, or choose another folder."
            ) from error
        except OSError as error:
            raise StorageError(f"{folder} cannot be locked: {error.strerror}.") from error
        finally:
            if not ours:
                _HELD.discard(descriptor)
                os.close(descriptor)
        if ours:
            return descriptor
    raise StorageError(
        f"{folder} cannot be locked: it disappears as soon as it is made; is another process removing it?"
    )


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that bears the name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _let_go() -> None:
    """Give up a parent's locks in a forked child: a loader process must not hold what its killed parent held."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()
    _OPEN.clear()


os.register_at_fork(after_in_child=_let_go)


def is_full(error: OSError) -> bool:
    """Whether a file could not be written for want of room: the disk's, the user's, or the file's own."""
    return error.errno in _FULL


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


def fingerprint(content: object) -> str:
    """Return a SHA-256 of plain data (what JSON can hold), independent of the order of keys.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
