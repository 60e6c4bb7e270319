"""Windows of several requests in one forward pass, and never a bit other than alone.

A request hands over its windows in the groups that `terrazzo predict` would make of its image. Groups of several
requests go through the network together only in sizes at which it was seen, at the start, to answer each window with
the very bits that it answers alone; where no size is such, each group passes by itself, beside others in lanes.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from terrazzo.errors import StoppedError, TerrazzoError
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import Forward, WindowScores
from terrazzo.serve.problems import Problem

__all__ = ["SharedForward", "Ticket", "WindowQueue", "exact_sizes"]

_LARGEST_CHECKED = 64
_RATE_MEMORY = 0.9
"""Share that earlier passes keep in the running mean of windows a second."""


def exact_sizes(forward: Forward, windows: WindowGroup) -> frozenset[int]:
    """Return the numbers of windows that a pass answers with the bits that each has alone, 1 among them.

    Args:
        forward: The network; not one whose windows stop by themselves, where what passes together depends on what
            stopped before.
        windows: Different windows; passes of 1 to so many are tried.
    """
    count = min(len(windows.windows), _LARGEST_CHECKED)
    alone = [forward(windows.taken([number])).scores[0] for number in range(count)]
    found = {1}
    for size in range(2, count + 1):
        # The last windows, so that each is seen at several places.
        together = forward(windows.taken(range(count - size, count))).scores
        if all(map(torch.equal, together, alone[count - size :])):
            found.add(size)
    return frozenset(found)


@dataclass(eq=False)
class Ticket:
    """A request that is being answered.

    Attributes:
        windows: Windows that its image has.
        stopped: Set where nobody waits for its answer any more.
    """

    windows: int
    stopped: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class _Waiting:
    """A group that waits for the network."""

    forward: Forward
    group: WindowGroup
    sizes: frozenset[int]
    ticket: Ticket
    answer: Future[WindowScores]
    since: float

    @property
    def size(self) -> int:
        return len(self.group.windows)

    @property
    def joins(self) -> bool:
        return self.size in self.sizes and len(self.sizes) > 1

    def fits(self, other: "_Waiting") -> bool:
        return self.forward is other.forward and self.group.joins(other.group) and other.joins


class WindowQueue:
    """Groups that wait for the network, and the threads that let them through, as many as there are lanes.

    Args:
        lanes: Passes side by side.
        wait_seconds: How long a group waits for others to pass with.
        most_windows: Windows of all requests that are taken in.
        observe: Told the windows of each pass.
    """

    def __init__(
        self, *, lanes: int, wait_seconds: float, most_windows: int, observe: Callable[[int], None] = lambda _size: None
    ) -> None:
        self.lanes = lanes
        self._wait = wait_seconds
        self._most = most_windows
        self._observe = observe
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._tickets: list[Ticket] = []
        self._rate = 0.0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"terrazzo-pass-{number}", daemon=True) for number in range(lanes)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def windows(self) -> int:
        """Windows of all requests that are taken in and not yet answered."""
        with self._changed:
            return sum(ticket.windows for ticket in self._tickets)

    @contextmanager
    def admitted(self, ticket: Ticket) -> Iterator[Ticket]:
        """Take a request in for as long as it is answered.

        Raises:
            Problem: 503, too many windows wait; a request that comes alone is never refused.
        """
        with self._changed:
            taken = sum(other.windows for other in self._tickets)
            if self._tickets and taken + ticket.windows > self._most:
                raise Problem(
                    503,
                    f"{taken:,} windows of other requests wait, and with the {ticket.windows:,} of this image they "
                    f"would be more than {self._most:,}.",
                    retry_after=taken / self._rate if self._rate else 1,
                )
            self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            ticket.stopped.set()
            with self._changed:
                self._tickets.remove(ticket)
                self._changed.notify_all()

    def through(self, forward: Forward, sizes: frozenset[int], ticket: Ticket) -> "SharedForward":
        """Return a network as one request sees it: its groups pass with those of others.

        Args:
            forward: The network.
            sizes: Passes in which groups may be joined.
            ticket: The request.
        """
        return SharedForward(forward, self, sizes, ticket)

    def submit(
        self, forward: Forward, group: WindowGroup, sizes: frozenset[int], ticket: Ticket
    ) -> Future[WindowScores]:
        """Hand over a group; the future gives its scores.

        Args:
            forward: The network that answers it.
            group: Windows.
            sizes: Passes in which they may be joined with others.
            ticket: Whose they are.
        """
        one = _Waiting(forward, group, sizes, ticket, Future(), time.monotonic())
        with self._changed:
            if self._closed:
                raise StoppedError("The server is stopping.")
            self._waiting.append(one)
            self._changed.notify_all()
        return one.answer

    def close(self) -> None:
        """End the threads; what waits is given up."""
        with self._changed:
            self._closed = True
            given_up, self._waiting = self._waiting, []
            self._changed.notify_all()
        for one in given_up:
            one.answer.cancel()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            begun = time.monotonic()
            _answer(taken)
            windows = sum(one.size for one in taken)
            self._observe(windows)
            rate = self.lanes * windows / max(time.monotonic() - begun, 1e-6)
            with self._changed:
                self._rate = rate if not self._rate else _RATE_MEMORY * self._rate + (1 - _RATE_MEMORY) * rate

    def _next(self) -> list[_Waiting] | None:
        """Return what passes together next; None once this is closed."""
        with self._changed:
            while not self._closed:
                for one in [one for one in self._waiting if one.ticket.stopped.is_set()]:
                    self._waiting.remove(one)
                    one.answer.cancel()
                soonest: float | None = None
                for first in self._waiting:
                    together = self._together(first)
                    left = first.since + self._wait - time.monotonic()
                    if left <= 0 or self._full(first, together):
                        self._waiting = [one for one in self._waiting if not any(one is taken for taken in together)]
                        return together
                    soonest = left if soonest is None else min(soonest, left)
                self._changed.wait(soonest)
        return None

    def _together(self, first: _Waiting) -> list[_Waiting]:
        """Return a group with those that pass with it, in the order in which they came."""
        if not first.joins:
            return [first]
        room = max(first.sizes)
        found: list[_Waiting] = []
        for one in self._waiting:
            if first.fits(one) and one.size <= room:
                found.append(one)
                room -= one.size
        while sum(one.size for one in found) not in first.sizes:
            found.pop()
        return found if any(one is first for one in found) else [first]

    def _full(self, first: _Waiting, together: Sequence[_Waiting]) -> bool:
        """Whether waiting would bring nothing: the pass is full, or every request has its windows here."""
        if not first.joins or sum(one.size for one in together) == max(first.sizes):
            return True
        here = {id(one.ticket) for one in self._waiting}
        return all(id(ticket) in here for ticket in self._tickets)


def _answer(taken: Sequence[_Waiting]) -> None:
    """Let groups through the network together, and tell each its part."""
    if len(taken) > 1:
        try:
            _answer_joined(taken)
        except TerrazzoError:
            # Whose fault it is shows where each passes by itself.
            for one in taken:
                _answer([one])
        return
    only = taken[0]
    if not only.answer.set_running_or_notify_cancel():
        return
    try:
        scores = only.forward(only.group)
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
        only.answer.set_exception(error)
    else:
        only.answer.set_result(scores)


def _answer_joined(taken: Sequence[_Waiting]) -> None:
    joined = WindowGroup.joined([one.group for one in taken])
    found = taken[0].forward(joined)
    begin = 0
    for one in taken:
        part = slice(begin, begin + one.size)
        begin += one.size
        if one.answer.set_running_or_notify_cancel():
            share = one.size / len(joined.windows)
            one.answer.set_result(WindowScores(found.scores[part], found.steps * share, found.seconds * share))


class SharedForward:
    """A network as one request sees it: its groups pass with those of others.

    Args:
        forward: The network.
        queue: Where its groups wait.
        sizes: Passes in which groups may be joined.
        ticket: The request.

    Attributes:
        device: Where the scores are.
        lanes: Groups that the request has under way.
    """

    def __init__(self, forward: Forward, queue: WindowQueue, sizes: frozenset[int], ticket: Ticket) -> None:
        self.device = forward.device
        self.lanes = queue.lanes
        self._forward = forward
        self._queue = queue
        self._sizes = sizes
        self._ticket = ticket

    def __call__(self, group: WindowGroup) -> WindowScores:
        """Return the scores of a group.

        Raises:
            StoppedError: Nobody waits for the answer any more.
        """
        if self._ticket.stopped.is_set():
            raise StoppedError("Nobody waits for this answer any more.")
        try:
            return self._queue.submit(self._forward, group, self._sizes, self._ticket).result()
        except CancelledError as error:
            raise StoppedError("Nobody waits for this answer any more.") from error
