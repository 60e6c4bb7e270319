"""What Linux's control groups leave to this process: containers and jobs of batch systems have less than the machine.

Both versions are read: the group of this process and every group above it count, since each may set a limit.
"""

from pathlib import Path
from typing import NamedTuple

__all__ = ["MemoryGroup", "memory_groups", "processor_quota"]

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


class MemoryGroup(NamedTuple):
    """The files of one group that tell of its memory.

    Attributes:
        limit: Bytes that it may hold, or the word `max`.
        used: Bytes that it holds.
        statistics: What they are made of.
    """

    limit: Path
    used: Path
    statistics: Path


def memory_groups() -> tuple[MemoryGroup, ...]:
    """Return the groups that limit this process's memory, the outermost first; their files need not exist."""
    unified = [
        MemoryGroup(folder / "memory.max", folder / "memory.current", folder / "memory.stat") for folder in _folders("")
    ]
    first = [
        MemoryGroup(folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes", folder / "memory.stat")
        for folder in _folders("memory")
    ]
    return (*unified, *first)


def processor_quota() -> float | None:
    """Return how many processors' time this process may use; None where nothing limits it."""
    found = [_quota(*_words(folder / "cpu.max")) for folder in _folders("")]
    found += [
        _quota(*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us"))
        for folder in _folders("cpu")
    ]
    return min((quota for quota in found if quota is not None), default=None)


def _folders(controller: str) -> list[Path]:
    """Return the folders of this process's groups, from the outermost to its own.

    Args:
        controller: Name of a controller of version 1; empty for version 2, which has one tree for all.
    """
    root = _ROOT / controller if controller else _ROOT
    folders = [root]
    for part in Path(_own_group(controller)).parts[1:]:
        if part == "..":  # outside what the container may see
            break
        folders.append(folders[-1] / part)
    return folders


def _own_group(controller: str) -> str:
    """Return the path of this process's group below the tree's root; `/` where the system tells none."""
    try:
        lines = _OWN.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "/"
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers.split(",") == [""] if not controller else controller in controllers.split(","):
            return path or "/"
    return "/"


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def _quota(*words: str) -> float | None:
    """Return a quota and its period, both in microseconds, as processors; None where it is no limit."""
    if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[1]):
        return None
    return int(words[0]) / int(words[1])
