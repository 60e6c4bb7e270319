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
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from terrazzo.host_memory import free_memory
from terrazzo.scene.workforce.failure import Failure
from terrazzo.scene.workforce.job import loaded_plugins
from terrazzo.serve.answer_process import Asked, Setting, answer_questions
from terrazzo.serve.answering import Answer, Question
from terrazzo.serve.batching import Ticket, WindowQueue
from terrazzo.serve.models import Models
from terrazzo.serve.problems import Problem
from terrazzo.serve.process_handle import LostProcessError, ProcessHandle
from terrazzo.serve.settings import ServeSettings

__all__ = ["AnswerProcesses", "process_count"]

_LOG = logging.getLogger(__name__)

LARGEST_LOSSES = 3
"""Processes that may end before they are ready, one after the other, until no further one is tried."""

_PROCESS_BYTES = 400 * 2**20
"""Memory of a process beside its weights: what kernels and images take, since code is shared."""
_SHARE_OF_MEMORY = 4
_LAID_READY = 2
"""Questions that lie at a process: the one that it works on, and the next, so that it never waits for the server."""
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


@dataclass(eq=False)
class _Order:
    """A question that a process is to answer.

    Attributes:
        question: What is asked.
        ticket: The request.
        folder: The request's own.
        found: The answer once it is there; None where the server is to answer itself.
        admission: Its windows count as long as this is open.
    """

    question: Question
    ticket: Ticket
    folder: Path
    found: "Future[Answer | None]" = field(default_factory=Future)
    admission: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def message(self) -> bytes:
        """Return what is sent to the process."""
        question = self.question
        asked = Asked(
            model=question.model.name,
            path=question.path,
            name=question.name,
            output=question.output,
            layer=question.layer,
            most_pixels=question.most_pixels,
            most_windows=question.most_windows,
            folder=self.folder,
        )
        return asked.model_dump_json().encode()


class AnswerProcesses:
    """The processes that answer small images, in the order in which they are asked; any thread may ask.

    They begin in the background: until one is ready, and where none can be, whoever asks is told to answer by itself.
    One that ends is replaced. Each has a thread here that sends and receives.

    As with every start method but fork, a script that uses it keeps its own work under `if __name__ == "__main__":`.

    Args:
        models: Who answers.
        settings: How the server answers.
        passes: The way to the network of this process, where windows are counted.
        observe: Told the windows of each pass in another process.
    """

    def __init__(
        self, models: Models, settings: ServeSettings, passes: WindowQueue, *, observe: Callable[[int], None]
    ) -> None:
        self._models = models
        self._settings = settings
        self._passes = passes
        self._observe = observe
        self._setting = Setting(
            models=tuple(model.settled() for model in models), settings=settings, plugins=loaded_plugins()
        ).model_dump_json()
        self._method = "spawn" if any(model.decisions.device != "cpu" for model in models) else "forkserver"
        self._changed = threading.Condition()
        self._closed = False
        self._alive: list[ProcessHandle] = []
        self._ready: list[ProcessHandle] = []
        self._orders: deque[_Order] = deque()
        self._idle = 0

    def start(self) -> None:
        """Begin to start them."""
        count = process_count(self._models, self._settings, free=free_memory())
        if count:
            _LOG.info("%d processes for small images begin beside the server.", count)
        for _ in range(count):
            threading.Thread(target=self._keep_one, name="terrazzo-processes", daemon=True).start()

    @property
    def running(self) -> int:
        """Processes that are ready."""
        return len(self._ready)

    def ask(self, question: Question, ticket: Ticket, *, folder: Path) -> "Future[Answer | None]":
        """Ask for an answer, and return at once.

        Args:
            question: What is asked.
            ticket: The request; where it is stopped for long, the process that works on it is ended.
            folder: The request's own, for scratch files.

        Returns:
            What will hold the answer; or None, where the image takes more than one group of windows or no process is
            ready, so that whoever asks must answer. Raises `Problem` as `answering.answer`; 503 also where a process
            ended over it.
        """
        order = _Order(question, ticket, folder)
        # Whoever waits for it may go; what works on it must still find its folder.
        order.found.set_running_or_notify_cancel()
        with self._changed:
            waits = bool(self._ready) and not self._closed
            if waits:
                self._orders.append(order)
                self._changed.notify()
        if not waits:
            order.found.set_result(None)
        return order.found

    def give_up(self, ticket: Ticket) -> None:
        """Take back what a request asked, if nobody works on it yet."""
        with self._changed:
            given_up = [order for order in self._orders if order.ticket is ticket]
            for order in given_up:
                self._orders.remove(order)
        for order in given_up:
            order.found.set_exception(Problem(503, _STOPPED))

    def close(self) -> None:
        """End all processes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            ended, self._alive, self._ready = self._alive, [], []
        self._leave_orders()
        for process in ended:
            process.end()

    def _keep_one(self) -> None:
        """Keep a process at work, and start another where it ends; give up where they end before they are ready."""
        losses = 0
        while losses < LARGEST_LOSSES and not self._closed:
            process = None
            try:
                process = self._started()
                process.settle()
            except LostProcessError as error:
                losses += 1
                if not self._closed:
                    _LOG.warning("A process that was to answer images ended before it began%s", _because(error))
            else:
                losses = 0
                self._work(process)
            finally:
                if process is not None:
                    self._bury(process)
        if losses == LARGEST_LOSSES and not self._closed:
            _LOG.error("No further process is tried; %d answer images beside the server itself.", self.running)

    def _started(self) -> ProcessHandle:
        """Start a process.

        Raises:
            LostProcessError: The server of processes has ended, or this is closed.
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
            raise LostProcessError from error
        # The end of the process closes the last copy, which is how it is noticed.
        theirs.close()
        started = ProcessHandle(process, ours)
        with self._changed:
            if not self._closed:
                self._alive.append(started)
                return started
        started.end()
        raise LostProcessError

    def _bury(self, process: ProcessHandle) -> None:
        with self._changed:
            if process not in self._alive:
                return
            self._alive.remove(process)
        process.end()

    def _work(self, process: ProcessHandle) -> None:
        """Have a process answer until it ends, or this is closed."""
        begun: deque[_Order] = deque()
        with self._changed:
            if not self._closed:
                self._ready.append(process)
        try:
            while not self._closed or begun:
                order = self._next(waits=not begun)
                if order is not None:
                    self._begin(process, order, begun)
                if begun and (order is None or len(begun) == _LAID_READY):
                    self._finish(process, begun)
        except LostProcessError as error:
            self._lose(process, begun, error)
        except Exception as error:  # noqa: BLE001 - no request may wait for ever
            _LOG.exception("A process that answers images cannot be understood.")
            self._lose(process, begun, error)

    def _next(self, *, waits: bool) -> _Order | None:
        """Return the next order; None where there is none for a process that has work, or this is closed."""
        with self._changed:
            # What another process waits for is left to it.
            if not waits and len(self._orders) <= self._idle:
                return None
            self._idle += 1
            while not self._orders and not self._closed:
                self._changed.wait()
            self._idle -= 1
            return self._orders.popleft() if self._orders else None

    def _begin(self, process: ProcessHandle, order: _Order, begun: deque[_Order]) -> None:
        """Send an order to a process, if its windows are taken in.

        Raises:
            LostProcessError: The process has ended.
        """
        # Until it is known how many windows the image takes, it counts as the most that it may take there.
        most = Ticket(windows=order.question.model.decisions.group_size)
        try:
            order.admission.enter_context(self._passes.admitted(most))
        except Problem as problem:
            order.found.set_exception(problem)
            return
        try:
            process.send(order.message())
        except LostProcessError:
            order.admission.close()
            with self._changed:
                self._orders.appendleft(order)
            raise
        begun.append(order)

    def _finish(self, process: ProcessHandle, begun: deque[_Order]) -> None:
        """Wait for the answer to the order that was begun first.

        Raises:
            LostProcessError: The process has ended.
        """
        stopped = begun[0].ticket.stopped
        message: dict[str, Any] = json.loads(process.receive(stopped))
        content = process.receive(stopped) if message["kind"] == "answered" else b""
        order = begun.popleft()
        order.admission.close()
        if message["kind"] == "answered":
            order.found.set_result(
                Answer(content, message["media_type"], message["windows"], tuple(message["warnings"]))
            )
            for windows in message["passes"]:
                self._observe(windows)
        elif message["kind"] == "larger":
            order.found.set_result(None)
        elif message["kind"] == "refused":
            order.found.set_exception(
                Problem(message["status"], message["detail"], advice=message["advice"], headers=message["headers"])
            )
        else:
            order.found.set_exception(Failure.model_validate(message["failure"]).error())

    def _lose(self, process: ProcessHandle, begun: deque[_Order], error: Exception) -> None:
        """Refuse what a lost process worked on; what only lay there is for the next one, or for whoever asked."""
        for order in begun:
            order.admission.close()
        with self._changed:
            if process in self._ready:
                self._ready.remove(process)
            self._orders.extendleft(reversed([*begun][1:]))
            self._changed.notify_all()
        self._leave_orders()
        if begun:
            order = begun[0]
            gone = self._closed or order.ticket.stopped.is_set()
            problem = Problem(503, _STOPPED)
            if not gone:
                problem = Problem(503, f"The process that worked on {order.question.name} ended.", retry_after=1)
            problem.__cause__ = error
            order.found.set_exception(problem)
        if not self._closed:
            _LOG.warning("A process that answered images ended; another takes its place.")

    def _leave_orders(self) -> None:
        """Leave all orders to whoever asked, if there is no process any more that would take them."""
        with self._changed:
            left = [] if self._ready else [*self._orders]
            if left:
                self._orders.clear()
        for order in left:
            order.found.set_result(None)


def _because(error: LostProcessError) -> str:
    return "." if error.__cause__ is None or not str(error.__cause__) else f": {error.__cause__}"
