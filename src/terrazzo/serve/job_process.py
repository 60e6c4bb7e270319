"""The process that maps one job's scene: `python -m terrazzo.serve.job_process FOLDER`.

A process of its own, so that a scene that takes all memory, or a file that crashes a library, ends a job and not the
server. It maps as `terrazzo predict` does, goes on where an earlier start was stopped, says on standard output how far
it is (a JSON object a line), and ends as soon as its standard input does: it never outlives its server.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from terrazzo.errors import BundleError, LockedError, StoppedError, TerrazzoError
from terrazzo.phases.model_files import ModelFiles
from terrazzo.phases.predict import predict
from terrazzo.progress import Event
from terrazzo.record import load_plugin
from terrazzo.serve.job_record import JobTask, load_task

__all__ = ["FAILED", "STOPPED", "main"]

FAILED, STOPPED = 1, 3
"""Exit statuses: what was asked cannot be done; somebody asked to stop."""

_LEAST_SECONDS = 0.1
"""Between two lines of progress."""
_LOCK_SECONDS = 30.0
_POLITENESS = 5
"""By which direct answers come first."""
_OUT_OF_MEMORY_SCORE = "500"
"""By which the system ends this process before others."""


def main(folder: Path) -> int:
    """Map a job's scene and return the exit status.

    Args:
        folder: The job's.
    """
    _step_back()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _stop)
    told = _Teller()
    try:
        _map(load_task(folder), told)
    except (StoppedError, KeyboardInterrupt):
        return STOPPED
    except TerrazzoError as error:
        told.say({"error": str(error)})
        return FAILED
    return 0


def _map(task: JobTask, told: "_Teller") -> None:
    for plugin in task.plugins:
        load_plugin(plugin)
    files = ModelFiles(task.model, task.backbone)
    found = files.open(task.settings.backbone).fingerprint
    if found != task.fingerprint:
        raise BundleError(
            f"The model has changed since this job was asked for: its fingerprint was {task.fingerprint[:12]}... and "
            f"is {found[:12]}...; ask for the job again."
        )
    begun = time.monotonic()
    while True:
        try:
            predict(files, [task.scene], task.out, settings=task.settings, machine=task.machine, listener=told.listen)
        except LockedError:
            # The process of a killed server takes a moment to end.
            if time.monotonic() - begun > _LOCK_SECONDS:
                raise
            time.sleep(_LEAST_SECONDS)
        else:
            return


class _Teller:
    """Says on standard output how far the job is."""

    def __init__(self) -> None:
        self._last = 0.0
        self._lock = threading.Lock()

    def listen(self, event: Event) -> None:
        """Pass an event on, unless another of its kind has just been."""
        now = time.monotonic()
        if event.kind == "advance" and event.done != event.total and now - self._last < _LEAST_SECONDS:
            return
        self._last = now
        self.say(
            {
                "kind": event.kind,
                "done": event.done,
                "total": event.total,
                "unit": event.unit,
                "message": event.message,
                "seconds": round(event.seconds, 3),
            }
        )

    def say(self, content: Mapping[str, object]) -> None:
        """Write a line."""
        with self._lock, contextlib.suppress(OSError):
            sys.stdout.write(json.dumps(content, ensure_ascii=True) + "\n")
            sys.stdout.flush()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """End at once where the server has gone; whatever is unfinished is resumed."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    os._exit(STOPPED)


def _step_back() -> None:
    """Leave the processor and, where it runs out, the memory to the server."""
    with contextlib.suppress(OSError):
        os.nice(_POLITENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_SCORE)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
