"""The folders that Terrazzo writes to: whether it may, how much fits, how fast, and whether locks hold there."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from terrazzo.diagnosis.finding import Finding, Level, gibibytes

__all__ = ["check_disk"]

_MOUNTS = Path("/proc/self/mounts")
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "glusterfs", "fuse.s3fs"})
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_LITTLE, _HARDLY = 5 * 2**30, 2**29
_TRIAL = 8 * 2**20
_SLOW = 30e6


def check_disk(folders: Mapping[str, Path], *, needed: bool) -> list[Finding]:
    """Return findings about folders and the place of temporary files.

    Args:
        folders: Name, such as "runs", to path; a folder need not exist yet.
        needed: Whether a configuration names them, so that nothing works where one cannot be written.
    """
    worst = Level.FAULT if needed else Level.WARNING
    found = [_folder(name, path, worst) for name, path in folders.items()]
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        advice = "Set TMPDIR to a folder that can be written."
        return [*found, Finding("temporary files", Level.FAULT, str(error), advice)]
    return [*found, _folder("temporary files", temporary, Level.FAULT)]


def _folder(name: str, path: Path, worst: Level) -> Finding:
    path = path.expanduser().absolute()
    place = next(parent for parent in (path, *path.parents) if parent.exists())
    if not place.is_dir():
        return Finding(name, worst, f"{place} is a file, no folder", "Rename it, or choose another folder.")
    usage = shutil.disk_usage(place)
    kind = _file_system(place)
    facts: dict[str, object] = {
        "folder": str(path), "exists": path.exists(), "file_system": kind,
        "free_bytes": usage.free, "total_bytes": usage.total,
    }  # fmt: skip
    where = str(path) if path == place else f"{path} (to be made in {place})"
    try:
        speed, locks = _try(place)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        advice = "Free some room, or choose another folder." if full else "Change its rights, or choose another folder."
        return Finding(name, worst, f"{where} cannot be written: {error.strerror}", advice, facts)
    facts |= {"write_bytes_per_second": round(speed), "locks": locks}
    said = f"{where}: {gibibytes(usage.free)} free, writes {speed / 1e6:.0f} MB/s{f', {kind}' if kind else ''}"
    level, remedy = _judged(usage.free, speed, kind, locks=locks)
    return Finding(name, level, said, remedy, facts)


def _judged(free: int, speed: float, kind: str | None, *, locks: bool) -> tuple[Level, str | None]:
    """Return how grave it is, by the gravest of its parts, and what to do about that."""
    if not locks:
        return Level.WARNING, "Locks do not hold there: two processes may write one run. Choose a local disk."
    if free < _HARDLY:
        return Level.WARNING, "Free some room: a run with its checkpoints takes hundreds of MiB."
    if kind in _REMOTE:
        return Level.NOTE, "A network file system: read training images from a local copy, or set prepare.store."
    if free < _LITTLE:
        return Level.NOTE, "Little room: large scenes and tile stores may not fit; they are refused before they begin."
    if speed < _SLOW and kind not in _IN_MEMORY:
        return Level.NOTE, "A slow disk: maps of large scenes and tile stores will wait for it."
    return Level.FINE, None


def _try(place: Path) -> tuple[float, bool]:
    """Write, lock, flush, rename and remove a file.

    Returns:
        Bytes a second, the flush included, and whether a lock is refused to a second holder.

    Raises:
        OSError: It cannot be written or renamed.
    """
    descriptor, name = tempfile.mkstemp(prefix=".terrazzo-doctor-", dir=place)
    path = Path(name)
    try:
        try:
            locks = _lock_holds(descriptor, path)
            content = os.urandom(2**20)
            begun = time.perf_counter()
            for _ in range(_TRIAL // len(content)):
                os.write(descriptor, content)
            os.fsync(descriptor)
            seconds = time.perf_counter() - begun
        finally:
            os.close(descriptor)
        path = path.rename(path.with_suffix(".renamed"))
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    return _TRIAL / max(seconds, 1e-6), locks


def _lock_holds(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    second = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(second)


def _file_system(place: Path) -> str | None:
    """Return the kind of file system, by the longest mount point above a folder; None where the system tells none."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    resolved = place.resolve()
    best: tuple[int, str | None] = (-1, None)
    for words in _fields(lines):
        point = Path(words[1].encode("ascii", "surrogateescape").decode("unicode_escape", "replace"))
        if resolved.is_relative_to(point) and len(point.parts) >= best[0]:
            best = (len(point.parts), words[2])
    return best[1]


def _fields(lines: list[str]) -> Iterator[list[str]]:
    for line in lines:
        words = line.split(" ")
        if len(words) > 2:
            yield words
