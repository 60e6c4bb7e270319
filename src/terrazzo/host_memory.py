"""How much memory this machine has left, and how much this process holds."""

import ctypes
import gc
import os
import resource
import sys
from pathlib import Path

__all__ = ["free_memory", "give_back_freed_memory", "resident_memory"]

_MACHINE = Path("/proc/meminfo")
_PROCESS = Path("/proc/self/statm")
# A container, or a job of a batch system, may be given less than the machine has: version 2 and version 1 of Linux's
# control groups.
_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory.stat")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.stat"),
    ),
)


def free_memory() -> int:
    """Return the bytes of the host's memory that a job can take without anything being swapped out."""
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    if _MACHINE.is_file():
        for line in _MACHINE.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                available = int(value.split()[0]) * 1024
    return min([available, *(left for group in _LIMITS if (left := _left_in_group(*group)) is not None)])


def resident_memory() -> int:
    """Return the bytes of memory that this process holds; what is free again is given back to the system before."""
    give_back_freed_memory()
    if _PROCESS.is_file():
        return int(_PROCESS.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    # The most that it ever held: elsewhere the system tells no more. macOS counts bytes, others kibibytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def give_back_freed_memory() -> None:
    """Return what is freed but still held, or only waits to be freed: else it is reused, and no need shows.

    The allocator of glibc keeps what was freed; others have no call for this.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _left_in_group(limit: Path, used: Path, statistics: Path) -> int | None:
    """Return what a control group has left; None where there is none, or no limit."""
    try:
        most, taken = limit.read_text(encoding="ascii").strip(), int(used.read_text(encoding="ascii"))
        lines = statistics.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    if not most.isdigit():
        return None
    # Cached files count as used, and are given up for whoever needs memory.
    files = dict(line.split() for line in lines if line.count(" ") == 1)
    cached = int(files.get("inactive_file", files.get("total_inactive_file", 0)))
    return max(int(most) - taken + cached, 0)
