"""Direct answers in processes of their own, so that no core waits while another one runs Python.

In one process a lane that computes needs Python's lock between any two operations of the network, and so does every
thread that reads an image or writes an answer: a sixth of the processor's time was lost. Where each core has a process,
an image is read, computed and written there in one thread. What takes more than one group of windows is answered by the
server's own process, on all its lanes. The bits are the same: what was decided for one process holds for all.
"""

import contextlib
import json
import logging
import multiprocessing
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from terrazzo.host_memory import free_memory
from terrazzo.scene.workforce.failure import Failure
from terrazzo.scene.workforce.job import loaded_plugins
from terrazzo.serve.answer_process import Asked, Setting, answer_questions
from terrazzo.serve.answering import Answer, Question, answer
from terrazzo.serve.batching import Ticket, WindowQueue
from terrazzo.serve.models import Models
from terrazzo.serve.problems import Problem
from terrazzo.serve.settings import ServeSettings

__all__ = ["AnswerProcesses", "process_count"]

_LOG = logging.getLogger(__name__)

LARGEST_LOSSES = 3
"""Processes that may end before they are ready, one after the other, until no further one is tried."""

_PROCESS_BYTES = 400 * 2**20
"""Memory of a process beside its weights: what kernels and images take, since code is shared."""
_SHARE_OF_MEMORY = 4
_GLANCE_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0
"""How long an answer that nobody waits for any more may go on, until its process is ended."""
_STOPPED = "The server stopped working on this answer."
# Loaded once, by the server of processes, whose memory the others share; of the packages that networks are made of
# those that this process needed.
_PRELOADED = (answer_questions.__module__,)
_NETWORKS = ("segmentation_models_pytorch", "timm", "torchvision", "transformers", "onnxruntime")


def process_count(models: Models, settings: ServeSettings, *, free: int) -> int:
    """Return how many processes answer small images.

    Args:
        models: Who answers.
        settings: What is asked for.
        free: Bytes of memory.
    """
    if settings.processes != "auto":
        return settings.processes
    lanes = max(model.lanes for model in models)
    if lanes == 1 or any(model.sizes or model.decisions.device != "cpu" for model in models):
        return 0
    weights = sum(tensor.nbytes for model in models for tensor in model.bundle.weights.values())
    return min(lanes, free // _SHARE_OF_MEMORY // (_PROCESS_BYTES + weights))


class _LostError(Exception):
    """A process ended while it was asked."""


@dataclass(eq=False)
class _Process:
    """A process as the server sees it.

    Attributes:
        process: The process.
        connection: To it.
    """

    process: BaseProcess
    connection: Connection

    def send(self, content: bytes) -> None:
        """Send a message.

        Raises:
            _LostError: It has ended.
        """
        try:
            self.connection.send_bytes(content)
        except OSError as error:
            raise _LostError from error

    def receive(self, ticket: Ticket | None) -> bytes:
        """Return its next message.

        Raises:
            _LostError: It has ended, or was ended since nobody waits for its answer any more.
        """
        given_up: float | None = None
        try:
            while not self.connection.poll(_GLANCE_SECONDS):
                if ticket is not None and ticket.stopped.is_set():
                    given_up = given_up or time.monotonic()
                    if time.monotonic() - given_up > _PATIENCE_SECONDS:
                        self.process.kill()
            return self.connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise _LostError from error

    def settle(self) -> None:
        """Wait until it has loaded its models.

        Raises:
            _LostError: It has ended before.
        """
        message = json.loads(self.receive(None))
        if message["kind"] == "failed":
            raise _LostError from Failure.model_validate(message["failure"]).error()

    def end(self) -> None:
        """End it: at once where it does not end by itself."""
        self.connection.close()
        self.process.join(_GLANCE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


class AnswerProcesses:
    """The processes that answer small images; several threads may ask at once.

    They begin in the background: until one is ready, and where none can be, this process answers everything. One that
    ends is replaced.

    As with every start method but fork, a script that uses it keeps its own work under `if __name__ == "__main__":`.

    Args:
        models: Who answers.
        settings: How the server answers.
        passes: The way to the network of this process, which answers the rest.
        observe: Told the windows of each pass in another process.
    """

    def __init__(
        self, models: Models, settings: ServeSettings, passes: WindowQueue, *, observe: Callable[[int], None]
    ) -> None:
        self._passes = passes
        self._observe = observe
        self._setting = Setting(
            models=tuple(model.settled() for model in models), settings=settings, plugins=loaded_plugins()
        ).model_dump_json()
        self._method = "spawn" if any(model.decisions.device != "cpu" for model in models) else "forkserver"
        self._lock = threading.Lock()
        self._closed = False
        self._starting: list[_Process] = []
        self._ready: list[_Process] = []
        self._idle: queue.LifoQueue[_Process] = queue.LifoQueue()
        self._models = models
        self._settings = settings

    def start(self) -> None:
        """Begin to start them."""
        count = process_count(self._models, self._settings, free=free_memory())
        if count:
            _LOG.info("%d processes for small images begin beside the server.", count)
        for _ in range(count):
            self._begin()

    @property
    def running(self) -> int:
        """Processes that are ready."""
        return len(self._ready)

    def answer(self, question: Question, ticket: Ticket, *, folder: Path) -> Answer:
        """Answer a question; blocks until it is done.

        Args:
            question: What is asked.
            ticket: The request; once it is stopped this gives up.
            folder: The request's own, for scratch files.

        Raises:
            Problem: As `answering.answer`; 503 also where a process ended over it.
        """
        process = self._free(ticket)
        found = None if process is None else self._asked(process, question, ticket, folder)
        return answer(question, self._passes, ticket, folder=folder) if found is None else found

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._closed = True
            ended = [*self._starting, *self._ready]
            self._starting, self._ready = [], []
        for process in ended:
            process.end()

    def _begin(self) -> None:
        threading.Thread(target=self._bring_up, name="terrazzo-processes", daemon=True).start()

    def _bring_up(self) -> None:
        """Start a process and wait until it is ready; try again where it ends before."""
        for _ in range(LARGEST_LOSSES):
            started = None
            try:
                started = self._started()
                if started is None:
                    return
                started.settle()
            except _LostError as error:
                with self._lock:
                    if self._closed:
                        return
                    self._starting = [one for one in self._starting if one is not started]
                if started is not None:
                    started.end()
                _LOG.warning("A process that was to answer images ended before it began%s", _because(error))
                continue
            with self._lock:
                if not self._closed:
                    self._starting.remove(started)
                    self._ready.append(started)
                    self._idle.put(started)
            return
        _LOG.error("No further process is tried; %d answer images beside the server itself.", self.running)

    def _started(self) -> _Process | None:
        """Start a process; None once this is closed.

        Raises:
            _LostError: The server of processes has ended.
        """
        # Whoever tells all processes of this group to end means the server, which ends these; until they have begun
        # they would not know. The tracker, which starts with the first process, would unblock both again.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        context = multiprocessing.get_context(self._method)
        if isinstance(context, multiprocessing.context.ForkServerContext):
            context.set_forkserver_preload([*_PRELOADED, *(name for name in _NETWORKS if name in sys.modules)])
        ours, theirs = context.Pipe()
        process = context.Process(  # type: ignore[attr-defined]
            target=answer_questions, args=(theirs, self._setting), daemon=True
        )
        try:
            process.start()
        except (EOFError, OSError) as error:
            raise _LostError from error
        # The end of the process closes the last copy, which is how it is noticed.
        theirs.close()
        started = _Process(process, ours)
        with self._lock:
            if not self._closed:
                self._starting.append(started)
                return started
        started.end()
        return None

    def _free(self, ticket: Ticket) -> _Process | None:
        """Return a process that does nothing, once there is one; None where none is ready at all."""
        while self._ready:
            if ticket.stopped.is_set():
                raise Problem(503, _STOPPED)
            with contextlib.suppress(queue.Empty):
                return self._idle.get(timeout=_GLANCE_SECONDS)
        return None

    def _asked(self, process: _Process, question: Question, ticket: Ticket, folder: Path) -> Answer | None:
        """Return a process's answer; None where the image is for this process."""
        try:
            found = self._told(process, question, ticket, folder)
        except _LostError as error:
            self._replace(process)
            if ticket.stopped.is_set() or self._closed:
                raise Problem(503, _STOPPED) from error
            raise Problem(503, f"The process that worked on {question.upload.name} ended.", retry_after=1) from error
        except BaseException:
            self._idle.put(process)
            raise
        self._idle.put(process)
        return found

    def _told(self, process: _Process, question: Question, ticket: Ticket, folder: Path) -> Answer | None:
        upload = question.upload
        asked = Asked(
            model=question.model.name,
            path=upload.path,
            name=upload.name,
            size=upload.size,
            output=question.output,
            layer=question.layer,
            most_pixels=question.most_pixels,
            most_windows=question.most_windows,
            folder=folder,
        )
        # Until it is known how many windows the image takes, it counts as the most that it may take there.
        with self._passes.admitted(Ticket(windows=question.model.decisions.group_size)):
            process.send(asked.model_dump_json().encode())
            message: dict[str, Any] = json.loads(process.receive(ticket))
            return None if message["kind"] == "larger" else self._heard(process, message, ticket)

    def _heard(self, process: _Process, message: dict[str, Any], ticket: Ticket) -> Answer:
        """Return the answer that a message tells, or raise its error."""
        if message["kind"] == "answered":
            for windows in message["passes"]:
                self._observe(windows)
            content = process.receive(ticket)
            return Answer(content, message["media_type"], message["windows"], tuple(message["warnings"]))
        if message["kind"] == "refused":
            raise Problem(message["status"], message["detail"], advice=message["advice"], headers=message["headers"])
        raise Failure.model_validate(message["failure"]).error()

    def _replace(self, process: _Process) -> None:
        """Bury a process and start another."""
        with self._lock:
            if process not in self._ready:
                return
            self._ready.remove(process)
        process.end()
        _LOG.warning("A process that answered images ended; another takes its place.")
        self._begin()


def _because(error: _LostError) -> str:
    return "." if error.__cause__ is None or not str(error.__cause__) else f": {error.__cause__}"
