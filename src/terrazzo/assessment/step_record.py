"""What a network answered after each step of each window of an image, kept until every way to stop has been judged."""

import math
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedRandom
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Float32, Int64

from terrazzo.models.halting import HaltingRule

__all__ = ["MEMORY_BYTES", "StepRecord", "WindowKey", "exit_steps"]

MEMORY_BYTES = 512 * 2**20
"""Logits up to this size are kept in memory; what is more goes to a file without a name in the temporary folder."""

WindowKey = tuple[int, int, int]
"""Row and column of a window, and which view of it."""


@dataclass(frozen=True)
class _Kept:
    """Where the logits of a window's steps lie.

    Attributes:
        shape: `step class y x`.
        held: They themselves, or their place in the file.
    """

    shape: tuple[int, ...]
    held: Float32[torch.Tensor, "step class y x"] | int


class StepRecord(AbstractContextManager["StepRecord"]):
    """Logits and halting probabilities of an image's windows; threads may write side by side.

    A window of h x w pixels takes 4 x steps x classes x ceil(h / s) x ceil(w / s) bytes, s being the network's own
    stride: 2.8 MB for six steps, seven classes and 512 pixels at stride 4.

    Args:
        memory: Bytes of logits that may be held in memory; the rest is on the disk until the record is closed.

    Attributes:
        halting: Of each window the probability to halt after each step: `step`, or `step y x` where cells halt.
        spilled: Bytes on the disk.
    """

    def __init__(self, memory: int = MEMORY_BYTES) -> None:
        self.halting: dict[WindowKey, torch.Tensor] = {}
        self.spilled = 0
        self._room = memory
        self._kept: dict[WindowKey, _Kept] = {}
        self._lock = threading.Lock()
        self._file: BufferedRandom | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.clear()
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[WindowKey]:
        """Yield the windows from top to bottom and from left to right."""
        return iter(sorted(self._kept))

    def keep(
        self,
        key: WindowKey,
        logits: Float32[torch.Tensor, "step class y x"],
        halting: Float32[torch.Tensor, "step *cell"],
    ) -> None:
        """Keep what a window was answered.

        Args:
            key: The window.
            logits: Of each step, at the network's own stride, in the host's memory.
            halting: Probability to halt after each step.
        """
        size = logits.numel() * logits.element_size()
        with self._lock:
            self.halting[key] = halting
            if size <= self._room:
                self._room -= size
                self._kept[key] = _Kept(tuple(logits.shape), logits)
                return
            file = self._opened()
            file.seek(self.spilled)
            file.write(np.ascontiguousarray(logits.numpy()).data)
            self._kept[key] = _Kept(tuple(logits.shape), self.spilled)
            self.spilled += size

    def logits(self, key: WindowKey, step: int) -> Float32[torch.Tensor, "1 class y x"]:
        """Return a window's logits after a step, counted from 1."""
        kept = self._kept[key]
        if isinstance(kept.held, torch.Tensor):
            return kept.held[step - 1 : step]
        size = 4 * math.prod(kept.shape[1:])
        content = bytearray(size)
        with self._lock:
            file = self._opened()
            file.seek(kept.held + (step - 1) * size)
            file.readinto(content)
        return torch.frombuffer(content, dtype=torch.float32).reshape(1, *kept.shape[1:])

    def _opened(self) -> BufferedRandom:
        """Return the file of what has no room in memory."""
        if self._file is None:
            file = tempfile.TemporaryFile(prefix="terrazzo-steps-")  # noqa: SIM115 - closed on exit
            if not isinstance(file, BufferedRandom):
                # Some systems wrap it; what is wrapped is what is wanted.
                file = file.file
            self._file = file
        return self._file


def exit_steps(halting: Float32[torch.Tensor, "window step"], rule: HaltingRule) -> Int64[torch.Tensor, " window"]:
    """Return the step after which each window stops, as the scene engine finds it while it runs.

    Args:
        halting: Probability to halt after each step; those before the rule's first and of its last decide nothing.
        rule: When a window is done.

    >>> exit_steps(torch.tensor([[0.9, 0.2, 0.7, 0.0], [0.0, 0.1, 0.2, 0.0]]), HaltingRule(0.7, first=2, last=4))
    tensor([3, 4])
    """
    needed = torch.full((len(halting),), rule.last, dtype=torch.int64)
    for step in range(rule.last - 1, rule.first - 1, -1):
        needed = torch.where(halting[:, step - 1] >= rule.threshold, step, needed)
    return needed
