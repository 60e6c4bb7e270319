"""What a process and all that it has started take: processor seconds, and memory in which shared pages count once."""

import contextlib
import os
import threading
from pathlib import Path

__all__ = ["LargestMemory", "family", "memory_mib", "processor_seconds"]


def family(process: int) -> list[int]:
    """Return a process and all that it has started, whoever started them for it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def processor_seconds(process: int) -> float:
    """Return what the processes that there are now have taken so far."""
    seconds = 0.0
    for one in family(process):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def memory_mib(process: int) -> float:
    """Return the resident memory of all of them; a page that several share counts once."""
    memory = 0.0
    for one in family(process):
        with contextlib.suppress(OSError):
            told = Path(f"/proc/{one}/smaps_rollup").read_text().partition("\nPss:")[2].split()
            memory += int(told[0]) / 1024 if told else 0.0
    return memory


class LargestMemory:
    """Looks again and again how much memory a family takes. Use as a context manager.

    Args:
        process: The first of them.
        pause: Seconds between two looks; each takes some hundredths of a core's second, and holds the processes up.

    Attributes:
        mib: The most that was seen.
    """

    def __init__(self, process: int, *, pause: float) -> None:
        self.mib = 0.0
        self._pause = pause
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "LargestMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.mib = max(self.mib, memory_mib(self._process))
            if self._ended.wait(self._pause):
                return
