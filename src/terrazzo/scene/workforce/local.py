"""Several processes of this machine on one scene: one a GPU, or some that share the processor's cores.

Each takes a strip as it gets free. One that ends before its time, killed for want of memory say, is replaced, and its
strips are dealt again.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from terrazzo.errors import WorkerError
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.strips import Strip
from terrazzo.scene.workforce.dealing import Dealing
from terrazzo.scene.workforce.failure import Failure
from terrazzo.scene.workforce.headway import Headway
from terrazzo.scene.workforce.job import SceneJob
from terrazzo.scene.workforce.places import Place, places_of
from terrazzo.scene.workforce.process import serve

__all__ = ["LocalWorkforce"]

LARGEST_LOSSES = 3
"""Workers that may end over one strip, or before they have one, until the job is given up."""

# How long the coordinator sleeps at most before it looks whether it is asked to stop.
_GLANCE_SECONDS = 0.2
_SCENE = "scene"
# Loaded once, by the server of processes.
_PRELOADED = [serve.__module__]


class LocalWorkforce:
    """Computes strips in processes of this machine.

    As with every start method but fork, a script that uses it keeps its own work under `if __name__ == "__main__":`.

    Args:
        workers: Processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(
        self,
        job: SceneJob,
        strips: Sequence[Strip],
        *,
        done: Callable[[StripRecord], None],
        advance: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Compute strips, as `Workforce` says; `done` is called in the calling thread."""
        if not strips:
            return
        coordinator = _Coordinator(job, strips, done, Headway(advance), stop)
        try:
            for place in places_of(min(self._workers, len(strips)), job.header.decisions):
                coordinator.start(place)
            coordinator.run()
        finally:
            coordinator.end()


@dataclass(eq=False)
class _Worker:
    """A process, as the coordinator sees it.

    Attributes:
        name: What it is called here.
        place: What of the machine it has.
        process: The process.
        connection: To it.
        asks: Whether it waits for an answer.
        dismissed: Whether it was told that there is nothing more.
        began: Whether it has asked for a strip ever.
    """

    name: str
    place: Place
    process: BaseProcess
    connection: Connection
    asks: bool = False
    dismissed: bool = False
    began: bool = False

    def answer(self, strip: int | None) -> None:
        """Answer with a strip, or with none. Where the process has ended meanwhile, that is noticed elsewhere."""
        self.asks = False
        try:
            self.connection.send_bytes(json.dumps({"strip": strip}).encode())
        except OSError:
            return


@dataclass
class _Coordinator:
    """Deals strips, takes records, and replaces workers that end.

    Attributes:
        job: The scene.
        strips: Which of its strips.
        done: Takes each record.
        headway: Counts windows.
        stop: Once set, no further strip is dealt.
    """

    job: SceneJob
    strips: Sequence[Strip]
    done: Callable[[StripRecord], None]
    headway: Headway
    stop: threading.Event
    _dealing: Dealing = field(init=False)
    _workers: list[_Worker] = field(default_factory=list)
    _suspects: set[int] = field(default_factory=set)
    _names: "count[int]" = field(default_factory=count)
    _early_ends: int = 0

    def __post_init__(self) -> None:
        # Processes of one machine are equally fast; none computes a strip that another one is at.
        self._dealing = Dealing(losses=LARGEST_LOSSES, slowness=None)
        self._dealing.add(_SCENE, {strip.number: len(strip.rows) for strip in self.strips})

    def start(self, place: Place) -> None:
        """Start a worker."""
        # A process that was forked cannot use CUDA; on a processor the server of processes is sooner ready.
        method = "forkserver" if self.job.header.decisions.device == "cpu" else "spawn"
        context = multiprocessing.get_context(method)
        if isinstance(context, multiprocessing.context.ForkServerContext):
            context.set_forkserver_preload(_PRELOADED)
        ours, theirs = context.Pipe()
        # Nothing may outlive this process: it is a daemon, and follows its parent where that is killed.
        process = context.Process(  # type: ignore[attr-defined]
            target=serve,
            args=(theirs, self.job.model_dump_json(), place.model_dump_json(), dict(os.environ)),
            daemon=True,
        )
        process.start()
        # The end of the process closes the last copy, which is how it is noticed.
        theirs.close()
        self._workers.append(_Worker(f"worker {next(self._names)}", place, process, ours))

    def run(self) -> None:
        """Deal and take until every worker is done."""
        while self._workers:
            ready = wait([worker.connection for worker in self._workers], timeout=_GLANCE_SECONDS)
            for worker in list(self._workers):
                if worker.connection in ready:
                    self._hear(worker)
            if self.stop.is_set():
                self._dealing.withdraw(_SCENE)
            for worker in self._workers:
                if worker.asks:
                    self._answer(worker)

    def end(self) -> None:
        """End all processes at once."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers = []

    def _hear(self, worker: _Worker) -> None:
        """Take one message, or notice that the process has ended."""
        try:
            message: dict[str, Any] = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._ended(worker)
            return
        kind = message["kind"]
        if kind == "next":
            worker.asks = worker.began = True
            self._early_ends = 0
        elif kind == "advance":
            self.headway.advance(worker.name, message["windows"])
        elif kind == "done":
            self._finished(worker, StripRecord.model_validate(message["record"]))
        else:
            raise Failure.model_validate(message["failure"]).error()

    def _answer(self, worker: _Worker) -> None:
        """Deal a strip where there is one.

        A strip over which a worker ended is computed alone, so that it is known which one is at fault. A worker that
        holds strips is never kept waiting: it finishes them only once it hears that none follows for now.
        """
        holds = bool(self._dealing.held(worker.name))
        if worker.dismissed or (holds and self._suspects):
            worker.answer(None)
            return
        task = self._dealing.next(worker.name, time.monotonic())
        if task is not None:
            worker.answer(task.strip)
        elif holds:
            worker.answer(None)
        elif not self._dealing.left(_SCENE) or self.stop.is_set():
            worker.dismissed = True
            worker.answer(None)
        # Else it stands by, since another worker's strips may come back.

    def _finished(self, worker: _Worker, record: StripRecord) -> None:
        self.headway.settle(worker.name, record.figures.windows + record.figures.skipped)
        task = next(task for task in self._dealing.held(worker.name) if task.strip == record.strip)
        self._dealing.finished(worker.name, task, time.monotonic())
        self._suspects.discard(record.strip)
        self.done(record)

    def _ended(self, worker: _Worker) -> None:
        """Bury a worker, and replace it where it has left work."""
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join()
        if worker.dismissed:
            return
        self.headway.lose(worker.name)
        held = [task.strip for task in self._dealing.held(worker.name)]
        self._suspects.update(held)
        given_up = [task.strip for task in self._dealing.lost(worker.name)]
        reason = _reason(worker.process.exitcode)
        self._clear_away(held)
        if given_up:
            raise WorkerError(f"{self._name(given_up[0])}: {LARGEST_LOSSES} workers ended over it, the last {reason}.")
        if not worker.began:
            self._early_ends += 1
            if self._early_ends >= LARGEST_LOSSES:
                raise WorkerError(f"{LARGEST_LOSSES} workers ended before they began, the last {reason}.")
        if not self.stop.is_set() and len(self._workers) < self._dealing.left(_SCENE):
            self.start(worker.place)

    def _clear_away(self, strips: Sequence[int]) -> None:
        """Remove what a worker that ended has left of strips that are not finished."""
        for number in strips:
            for path in self.job.folder.glob(f"{number:06d}-*.strip"):
                path.unlink(missing_ok=True)

    def _name(self, number: int) -> str:
        strip = next(strip for strip in self.strips if strip.number == number)
        return f"Strip {number} of {self.job.scene.path} (rows {strip.above.start} to {strip.below.stop - 1})"


def _reason(status: int | None) -> str:
    """Say how a process ended."""
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        hint = "; most often for want of memory: try fewer predict.workers or a smaller predict.batch_size"
        return f"killed by {name}{hint if -status == signal.SIGKILL else ''}"
    return f"with status {status}"
