"""How long a computation takes, and how much memory it needs, on a device that works on its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from terrazzo.host_memory import give_back_freed_memory

__all__ = ["MEMORY", "Latency", "peak_memory", "time_calls"]

MEMORY = {
    "cpu": "growth of the process's resident memory during a pass, at its peak; weights and images not included",
    "cuda": "torch.cuda.max_memory_allocated during a pass; weights and images included",
    "mps": "not measured",
}
"""What a figure of memory means, by kind of device."""

STATUS, MARKS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Makes Linux forget the largest resident memory so far; see proc(5)."""


@dataclass(frozen=True)
class Latency:
    """Wall time of a pass over repetitions, in milliseconds.

    Attributes:
        mean_ms: Mean.
        spread_ms: Standard deviation; 0 of a single pass.
        p50_ms: Median.
        p95_ms: What 95 in 100 passes stay below, between the nearest two.
    """

    mean_ms: float
    spread_ms: float
    p50_ms: float
    p95_ms: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Latency":
        """Return the figures of single times.

        >>> Latency.of([0.001, 0.003])
        Latency(mean_ms=2.0, spread_ms=1.0, p50_ms=2.0, p95_ms=2.9)
        """
        times = 1000 * np.asarray(seconds)
        figures = (times.mean(), times.std(), *np.percentile(times, [50, 95]))
        return cls(*(round(float(figure), 6) for figure in figures))


def time_calls(call: Callable[[], object], device: torch.device, *, warmup: int, repeats: int) -> Latency:
    """Time a computation, each pass by itself, until the device has really finished it.

    Args:
        call: The computation.
        device: Where it runs.
        warmup: Passes before the clock is started.
        repeats: Passes that are timed.
    """
    for _ in range(warmup):
        call()
    seconds = []
    for _ in range(repeats):
        _synchronise(device)
        begun = time.perf_counter()
        call()
        _synchronise(device)
        seconds.append(time.perf_counter() - begun)
    return Latency.of(seconds)


def peak_memory(call: Callable[[], object], device: torch.device) -> int | None:
    """Return the bytes that a computation needs at its peak, as `MEMORY` says; None where it cannot be known.

    On a processor this is Linux's own account of the process; elsewhere, and where that must not be reset, it is None.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device))
    if device.type != "cpu":
        return None
    give_back_freed_memory()
    try:
        MARKS.write_text(RESET_PEAK, encoding="ascii")
        before = _resident("VmRSS")
        call()
        return max(_resident("VmHWM") - before, 0)
    except OSError:
        return None


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _resident(field: str) -> int:
    """Return a field of the process's status in bytes."""
    for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"{STATUS} has no {field}")
