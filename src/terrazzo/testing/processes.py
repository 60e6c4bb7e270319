"""What a network promises to those who train it in several processes: gradients that are the mean of theirs.

The processes are forked from one small server of their own, started once by the first check: torch is loaded once, and
nothing of the caller's process (threads, devices, random numbers) is inherited.
"""

import atexit
import functools
import json
import os
import select
import subprocess
import sys
import tempfile

from terrazzo.models.architecture import Architecture
from terrazzo.testing.verdict import require

__all__ = ["check_processes"]

TIMEOUT_S = 300.0


def check_processes(record: Architecture, *, bands: int, classes: int, size: tuple[int, int]) -> None:
    """Train two batches in two processes under DistributedDataParallel (gloo), and compare the gradients.

    Each process computes half of a batch. Checked are: every trainable parameter takes part in every batch (what DDP
    asks for), and the gradients are the mean of those of the halves, computed alone.

    Args:
        record: The architecture; its class must be importable, or lie at the top level of a file.
        bands: Input channels.
        classes: Output channels.
        size: Height and width of the images.

    Raises:
        AssertionError: A promise is broken.
        TypeError: Another process cannot find the class.
    """
    kind = type(record)
    module = sys.modules[kind.__module__]
    if "<locals>" in kind.__qualname__ or kind.__module__ == "__main__":
        raise TypeError(
            f"{kind.__qualname__} lies where no other process finds it; move it to the top of a file, or pass "
            "processes=False."
        )
    request = {
        "module": kind.__module__,
        "file": getattr(module, "__file__", None),
        "kind": kind.__qualname__,
        "settings": record.model_dump(mode="json"),
        "images": [2, bands, *size],
        "classes": classes,
    }
    with tempfile.TemporaryDirectory(prefix="terrazzo-processes-") as folder:
        told = _server().ask({**request, "folder": folder})
    require(not told, record, f"two processes that train together: {told}")


class _Server:
    """The process that others are forked from; it ends with its standard input."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "terrazzo.testing.ranks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: dict[str, object]) -> str:
        """Return what went wrong, or an empty string.

        Raises:
            RuntimeError: No answer came.
        """
        given, answers = self._process.stdin, self._process.stdout
        if given is None or answers is None:
            raise RuntimeError("the server of processes has no pipes")
        given.write(json.dumps(request) + "\n")
        given.flush()
        ready, _, _ = select.select([answers], [], [], TIMEOUT_S)
        line = answers.readline() if ready else ""
        if not line:
            self.close()
            raise RuntimeError(f"two processes gave no answer within {TIMEOUT_S:.0f} s, or their server has ended")
        return str(json.loads(line))

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(timeout=TIMEOUT_S)


@functools.cache
def _started() -> list[_Server]:
    """Return the place of this process's server; it is ended when this process ends."""
    place: list[_Server] = []

    def close() -> None:
        for server in place:
            server.close()

    atexit.register(close)
    return place


def _server() -> _Server:
    place = _started()
    if not (place and place[0].alive):
        place[:] = [_Server()]
    return place[0]
