"""How much memory this machine has left, and how much this process holds."""

import ctypes
import gc
import os
import resource
import sys
from pathlib import Path

from terrazzo.control_groups import MemoryGroup, memory_groups

__all__ = ["free_memory", "give_back_freed_memory", "limited_memory", "resident_memory"]

_MACHINE = Path("/proc/meminfo")
_PROCESS = Path("/proc/self/statm")


def free_memory() -> int:
    """Return the bytes of the host's memory that a job can take without anything being swapped out."""
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    if _MACHINE.is_file():
        for line in _MACHINE.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                available = int(value.split()[0]) * 1024
    return min([available, *(left for group in memory_groups() if (left := _left_in_group(group)) is not None)])


def limited_memory() -> tuple[int, int | None]:
    """Return the bytes of the machine's memory, and the least limit that a container or batch system sets; or None."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [limit for group in memory_groups() if (limit := _limit(group.limit)) is not None and limit < total]
    return total, min(limits, default=None)


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


def _limit(file: Path) -> int | None:
    try:
        most = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(most) if most.isdigit() else None


def _left_in_group(group: MemoryGroup) -> int | None:
    """Return what a control group has left; None where there is none, or no limit."""
    most = _limit(group.limit)
    if most is None:
        return None
    try:
        taken = int(group.used.read_text(encoding="ascii"))
        lines = group.statistics.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    # Cached files count as used, and are given up for whoever needs memory.
    files = dict(line.split() for line in lines if line.count(" ") == 1)
    cached = int(files.get("inactive_file", files.get("total_inactive_file", 0)))
    return max(most - taken + cached, 0)
