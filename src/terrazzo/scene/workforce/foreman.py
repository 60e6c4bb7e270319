"""Deals the strips of several scenes at once to the workers of a cluster, and replaces those that end.

One thread does all of it; the threads that map the scenes hear of records and errors through queues. How a worker is
started and called is the crew's affair, so that nothing here knows of Ray.
"""

import itertools
import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from terrazzo.errors import StorageError, TerrazzoError, WorkerError
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.workforce.crew import Crew, Order, WorkerGoneError
from terrazzo.scene.workforce.dealing import Dealing, StripTask
from terrazzo.scene.workforce.failure import Failure
from terrazzo.scene.workforce.ray_worker import token_path

__all__ = ["LARGEST_LOSSES", "Foreman"]

LARGEST_LOSSES = 3
"""Workers that may end over one strip, or before they begin, until the job is given up."""

_GLANCE_SECONDS = 0.05
_SLOWNESS = 3.0
# A first strip may wait for the network to be loaded and compiled.
_PATIENCE_SECONDS = 60.0
# A file system of the network may show a new file to other machines only after a while.
_SHARING_SECONDS = 10.0
# Machines that are hired when they are needed take a while to come.
_LONGEST_SILENCE_SECONDS = 900.0


@dataclass(eq=False)
class _Member:
    """A worker.

    Attributes:
        name: What it is called here.
        handle: What the crew calls it.
        call: The exchange under way.
        order: The scene that it was given.
        asks: Whether it waits for an answer.
        came: Whether it has ever replied.
        reserved: A strip that it was dealt and has not been told of, since it has others to finish first.
    """

    name: str
    handle: Any
    call: Any
    order: Order | None = None
    asks: bool = False
    came: bool = False
    reserved: StripTask | None = None


@dataclass
class Foreman:
    """Runs a crew in a thread of its own, from the first scene until it is left without any.

    Attributes:
        crew: Whom it leads.
        idle_seconds: How long workers are kept without a scene.
        clock: Tells the time in seconds.
    """

    crew: Crew
    idle_seconds: float = 60.0
    clock: Callable[[], float] = time.monotonic
    _requests: "queue.Queue[Callable[[], None]]" = field(default_factory=queue.Queue)
    _orders: dict[str, Order] = field(default_factory=dict)
    _members: list[_Member] = field(default_factory=list)
    _suspects: set[StripTask] = field(default_factory=set)
    _names: "itertools.count[int]" = field(default_factory=itertools.count)
    _early_ends: int = 0
    _idle_since: float | None = None
    _heard_at: float = 0.0
    _ended: bool = False

    def __post_init__(self) -> None:
        self._dealing = Dealing(losses=LARGEST_LOSSES, slowness=_SLOWNESS, patience=_PATIENCE_SECONDS)
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="terrazzo-foreman", daemon=True)
        self._thread.start()

    def add(self, order: Order) -> bool:
        """Take in a scene; False where the crew has been let go meanwhile."""
        return self._ask(lambda: self._add(order))

    def withdraw(self, order: Order) -> None:
        """Begin no further strip of a scene; it ends once those under way are finished."""
        self._ask(lambda: self._withdraw(order.name))

    def remove(self, order: Order) -> None:
        """Let go of a scene; on return no worker is at it."""
        gone = threading.Event()

        def remove() -> None:
            self._forget(order.name)
            gone.set()

        if self._ask(remove):
            while not gone.wait(_GLANCE_SECONDS) and self._thread.is_alive():
                continue

    def close(self) -> None:
        """End all workers; scenes under way fail."""

        def close() -> None:
            self._ended = True

        if self._ask(close):
            self._thread.join()

    def close_if_idle(self) -> None:
        """End all workers where there is no scene for them, so that others have room."""

        def close() -> None:
            self._ended = not self._orders

        self._ask(close)

    def _ask(self, request: Callable[[], None]) -> bool:
        with self._guard:
            if self._ended:
                return False
            self._requests.put(request)
            return True

    def _run(self) -> None:
        error: BaseException = WorkerError("The workers of the cluster were let go while a scene was under way.")
        try:
            while not self._ended:
                self._take_requests()
                self._staff()
                self._listen()
                self._answer_all()
                self._let_go_when_idle()
        except BaseException as failure:  # noqa: BLE001 - raised in the threads that wait
            error = failure
        finally:
            with self._guard:
                self._ended = True
            self._take_requests()
            for order in self._orders.values():
                order.fail(error)
            for member in self._members:
                self.crew.dismiss(member.handle)

    def _take_requests(self) -> None:
        # Where no worker is to be heard there is nothing else to wait for.
        wait = not self._ended and all(member.call is None for member in self._members)
        try:
            request = self._requests.get(timeout=_GLANCE_SECONDS) if wait else self._requests.get_nowait()
            while True:
                request()
                request = self._requests.get_nowait()
        except queue.Empty:
            return

    def _add(self, order: Order) -> None:
        if not self._orders:
            self._heard_at = self.clock()
        self._orders[order.name] = order
        self._dealing.add(order.name, order.windows)
        self._idle_since = None

    def _withdraw(self, name: str) -> None:
        if name in self._orders:
            self._dealing.withdraw(name)
            self._end_if_done(name)

    def _forget(self, name: str) -> None:
        """Drop a scene; a worker that is still at it, with a strip that another one has finished, is replaced."""
        if self._orders.pop(name, None) is None:
            return
        at_work = [
            member for member in self._members if any(task.scene == name for task in self._begun(member))
        ]  # fmt: skip
        self._dealing.forget(name)
        self._suspects = {task for task in self._suspects if task.scene != name}
        for member in self._members:
            if member.reserved is not None and member.reserved.scene == name:
                member.reserved = None
        for member in at_work:
            self._dealing.release(member.name)
            self._replace(member)

    def _begun(self, member: _Member) -> list[StripTask]:
        """Return the strips that a worker knows of and has not finished."""
        return [task for task in self._dealing.held(member.name) if task != member.reserved]

    def _staff(self) -> None:
        """Hire as many workers as there are strips, at most the whole crew."""
        wanted = min(self.crew.size, sum(self._dealing.left(name) for name in self._orders))
        while len(self._members) < wanted:
            handle = self.crew.hire()
            self._members.append(_Member(f"worker {next(self._names)}", handle, self.crew.call(handle, "{}")))

    def _listen(self) -> None:
        """Take what workers say."""
        calls = {member.call: member for member in self._members if member.call is not None}
        if not calls:
            return
        for member in [calls[call] for call in self.crew.wait(list(calls), _GLANCE_SECONDS)]:
            if member not in self._members:
                continue
            try:
                said = json.loads(self.crew.reply(member.call))
            except WorkerGoneError as error:
                self._lose(member, str(error))
                continue
            member.call, member.came, self._early_ends, self._heard_at = None, True, 0, self.clock()
            for message in said:
                if member in self._members:
                    self._hear(member, message)
            # One without a scene is left alone until there is one.
            if member in self._members and member.order is not None and not member.asks:
                self._call(member)
        if self.clock() - self._heard_at > _LONGEST_SILENCE_SECONDS:
            raise WorkerError(
                f"No worker of the cluster has said anything for {_LONGEST_SILENCE_SECONDS / 60:.0f} minutes; are its "
                "machines there, and free? See `ray status`."
            )

    def _call(self, member: _Member, **request: object) -> None:
        member.call = self.crew.call(member.handle, json.dumps(request))

    def _hear(self, member: _Member, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind == "next":
            member.asks = True
        elif kind == "done":
            self._finished(member, StripRecord.model_validate(message["record"]))
        elif kind == "sees":
            self._look_for_token(member, message["token"])
        elif kind == "ended":
            member.order = None
        else:
            self._failed(member, Failure.model_validate(message["failure"]))

    def _finished(self, member: _Member, record: StripRecord) -> None:
        if member.order is None:
            return
        order = member.order
        task = StripTask(order.name, record.strip)
        self._suspects.discard(task)
        if self._dealing.finished(member.name, task, self.clock()):
            order.events.put(lambda: order.done(record))
            self._end_if_done(order.name)

    def _end_if_done(self, name: str) -> None:
        if name in self._orders and not self._dealing.left(name):
            self._orders[name].events.put(None)

    def _look_for_token(self, member: _Member, token: str) -> None:
        """See whether what a worker has written arrives; asked in the scene's thread, because it may take a while."""
        order = member.order
        if order is None:
            return
        path = token_path(order.job.folder, token)

        def look() -> None:
            until = self.clock() + _SHARING_SECONDS
            while not path.exists():
                if self.clock() > until:
                    raise StorageError(
                        f"A worker of the cluster has written into {path.parent}, and it is not to be seen here; with "
                        "predict.executor=ray all machines share the storage of scenes, model and maps."
                    )
                time.sleep(_GLANCE_SECONDS)
            path.unlink(missing_ok=True)

        order.events.put(look)

    def _failed(self, member: _Member, failure: Failure) -> None:
        """Fail the scene; an error that is not of its making may be the machine's, so that another one tries."""
        error = failure.error()
        if not isinstance(error, (TerrazzoError, OSError)) or isinstance(error, WorkerError):
            self._lose(member, f"{failure.kind}: {failure.message}", error)
            return
        order, member.order, member.asks = member.order, None, False
        if order is not None and order.name in self._orders:
            order.fail(error)
            self._forget(order.name)
        self._dealing.release(member.name)
        member.reserved = None

    def _lose(self, member: _Member, reason: str, error: Exception | None = None) -> None:
        """Bury a worker; its strips are dealt again, one at a time, so that it is known which is at fault."""
        self._suspects.update(self._begun(member))
        given_up = self._dealing.lost(member.name)
        self._replace(member)
        for task in given_up:
            order = self._orders.get(task.scene)
            if order is not None:
                told = WorkerError(
                    f"Strip {task.strip} of {order.job.scene.path}: {LARGEST_LOSSES} workers ended over it, the last: "
                    f"{reason}."
                )
                told.__cause__ = error
                order.fail(told)
                self._forget(task.scene)
        if not member.came:
            self._early_ends += 1
            if self._early_ends >= LARGEST_LOSSES:
                raise WorkerError(f"{LARGEST_LOSSES} workers ended before they began, the last: {reason}.")

    def _replace(self, member: _Member) -> None:
        """Let a worker go; `_staff` hires another one where there is work."""
        self._members.remove(member)
        self.crew.dismiss(member.handle)

    def _answer_all(self) -> None:
        more = True
        for member in self._members:
            if member.call is None:
                # Where there is nothing for one there is nothing for the others.
                more = self._answer(member, deal=more) and more

    def _answer(self, member: _Member, *, deal: bool) -> bool:
        """Say to a worker what it is to do; False where there is nothing for it.

        A strip over which a worker has ended is computed alone. A worker that holds strips is never kept waiting: it
        finishes them only once it hears that none follows for now.
        """
        held = self._begun(member)
        if deal and member.reserved is None and self._suspects.isdisjoint(held):
            member.reserved = self._dealing.next(member.name, self.clock())
        task = member.reserved
        if member.order is None:
            return task is not None and self._begin(member, task)
        same = task is not None and task.scene == member.order.name
        if task is not None and same and not (held and task in self._suspects):
            member.reserved = None
            self._say(member, task.strip)
        elif held or task is not None or member.order.name not in self._orders:
            self._say(member, None)
        else:
            return False
        return True

    def _say(self, member: _Member, strip: int | None) -> None:
        member.asks = False
        self._call(member, strip=strip)

    def _begin(self, member: _Member, task: StripTask) -> bool:
        """Give a worker a scene; the strip follows once it asks."""
        order = member.order = self._orders[task.scene]
        job = order.job.model_dump(mode="json")
        self._call(member, job=job, token=order.token, worker=f"{order.token}-{member.name.replace(' ', '-')}")
        return True

    def _let_go_when_idle(self) -> None:
        """Give the machines back a while after the last scene."""
        if self._orders:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = self.clock()
        elif self.clock() - self._idle_since > self.idle_seconds:
            with self._guard:
                if self._requests.empty():
                    self._ended = True
