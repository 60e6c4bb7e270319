"""Work that a device does on its own: what goes to it and comes back without waiting, and how long it worked."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Shaped

__all__ = ["DeviceMeter", "HostCopy", "uploaded"]


def uploaded(values: Shaped[torch.Tensor, "..."], device: torch.device) -> Shaped[torch.Tensor, "..."]:
    """Return values of the host on a device; to a GPU they are copied while the caller goes on.

    The copy reads page-locked memory, which torch gives to nobody else before the copy is done.
    """
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


class HostCopy:
    """Values of a device on their way to the host; whoever asks for them waits until they are there.

    Args:
        values: May be changed or freed after this: the copy has its place in the order of the device's work.
    """

    def __init__(self, values: Shaped[torch.Tensor, "..."]) -> None:
        self._arrived: Callable[[], None] | None = None
        if values.device.type != "cuda":
            self._host = values.to("cpu", copy=True)
            return
        self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        self._host.copy_(values, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call] # as torch has it
        event.record(torch.cuda.current_stream(values.device))
        self._arrived = event.synchronize

    def numpy(self) -> Shaped[np.ndarray, "..."]:
        """Return the values, which are the caller's own."""
        if self._arrived is not None:
            self._arrived()
        return np.asarray(self._host)


class DeviceMeter:
    """Sums the time for which a device worked on what is computed inside `with`; threads may share it.

    On a GPU the time is measured by events on its own stream, and nobody waits for it: what is not done yet when the
    sum is taken counts the next time. Elsewhere it is the wall time of each thread, added up.

    Args:
        device: Where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._begun = threading.local()
        self._running: list[tuple[Callable[[], bool], Callable[[], float]]] = []
        self._seconds = 0.0

    def __enter__(self) -> "DeviceMeter":
        self._begun.seconds = time.perf_counter()
        if self._device.type == "cuda":
            self._begun.event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call] # as torch has it
            self._begun.event.record(torch.cuda.current_stream(self._device))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._device.type == "cuda":
            begun, ended = self._begun.event, torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            ended.record(torch.cuda.current_stream(self._device))
            with self._lock:
                self._running.append((ended.query, lambda: begun.elapsed_time(ended) / 1000))
            return
        if self._device.type == "mps":
            torch.mps.synchronize()
        with self._lock:
            self._seconds += time.perf_counter() - self._begun.seconds

    def take(self) -> float:
        """Return the seconds measured since the last call, by whichever thread."""
        with self._lock:
            seconds, self._seconds = self._seconds, 0.0
            while self._running and self._running[0][0]():
                _, elapsed = self._running.pop(0)
                seconds += elapsed()
            return seconds
