"""Which worker computes which strip, of how many scenes there may be, and what becomes of strips whose worker ends.

A worker stays with its scene, strip after strip, so that a scene is opened once and the rows that two strips share are
read once; it begins a scene of its own where one is left, and else helps out from the end of the longest. Where nothing
is left, strips that take far longer than others are dealt a second time, and whoever is first counts. Nothing here
changes a map's bits: a strip's file is the same whoever computes it.

Plain bookkeeping: no clock, no thread, no process. Whoever deals says what time it is.
"""

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Dealing", "StripTask"]

_REMEMBERED = 101
_LEAST_REMEMBERED = 5


@dataclass(frozen=True)
class StripTask:
    """A strip to compute.

    Attributes:
        scene: What the scene is called here.
        strip: Number of the strip.
    """

    scene: str
    strip: int


@dataclass
class _Scene:
    """What is left of a scene.

    Attributes:
        windows: Windows of each strip.
        waiting: Strips that nobody has, in order.
        left: Strips that are not finished.
        losses: Workers that ended while they had a strip.
        workers: Workers that are at this scene.
        withdrawn: Whether nothing more of it is dealt.
    """

    windows: Mapping[int, int]
    waiting: deque[int]
    left: set[int]
    losses: dict[int, int] = field(default_factory=dict)
    workers: set[str] = field(default_factory=set)
    withdrawn: bool = False


@dataclass
class _Worker:
    """What a worker has.

    Attributes:
        held: Its strips and since when it has each, in the order in which they are computed.
        scene: The scene at which it is.
        free_since: When it finished its last strip.
    """

    held: dict[StripTask, float] = field(default_factory=dict)
    scene: str | None = None
    free_since: float = 0.0


class Dealing:
    """Deals the strips of several scenes to workers as they get free.

    Args:
        losses: Workers that may end over one strip before it is given up: what ends one after the other is the
            strip's fault.
        slowness: How many times the usual time a strip takes before it is dealt a second time; None for never.
        patience: Seconds that it takes at least before that.
    """

    def __init__(self, *, losses: int = 3, slowness: float | None = 3.0, patience: float = 0.0) -> None:
        self._losses = losses
        self._slowness = slowness
        self._patience = patience
        self._scenes: dict[str, _Scene] = {}
        self._workers: dict[str, _Worker] = {}
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, scene: str, windows: Mapping[int, int]) -> None:
        """Take in a scene.

        Args:
            scene: What it is called here.
            windows: The windows of each strip that is to be computed, by the strip's number.

        Raises:
            ValueError: A scene of this name is under way.
        """
        if scene in self._scenes:
            raise ValueError(f"{scene} is being dealt already.")
        self._scenes[scene] = _Scene(dict(windows), deque(sorted(windows)), set(windows))

    def withdraw(self, scene: str) -> None:
        """Deal no more of a scene; strips that workers have are theirs until they finish or end."""
        found = self._scenes[scene]
        found.withdrawn = True
        found.left.difference_update(found.waiting)
        found.waiting.clear()

    def forget(self, scene: str) -> None:
        """Let go of a scene that is done with; nobody has any strip of it, and what still comes counts for nothing."""
        self._scenes.pop(scene, None)
        for member in self._workers.values():
            member.held = {task: since for task, since in member.held.items() if task.scene != scene}

    def left(self, scene: str) -> int:
        """Return how many strips of a scene are not finished; after `withdraw` only those that workers have."""
        return len(self._scenes[scene].left)

    def held(self, worker: str) -> tuple[StripTask, ...]:
        """Return the strips that a worker has, in the order in which they were dealt."""
        return tuple(self._workers[worker].held) if worker in self._workers else ()

    def next(self, worker: str, now: float) -> StripTask | None:
        """Deal a strip to a worker; None where there is nothing for it at present.

        Args:
            worker: What the worker is called.
            now: The time in seconds.
        """
        task = self._choose(worker) or self._slow(worker, now)
        if task is None:
            return None
        member = self._workers.setdefault(worker, _Worker(free_since=now))
        if member.scene in self._scenes:
            self._scenes[member.scene].workers.discard(worker)
        self._scenes[task.scene].workers.add(worker)
        member.scene = task.scene
        member.held[task] = now
        return task

    def finished(self, worker: str, task: StripTask, now: float) -> bool:
        """Note that a worker has finished a strip; return False where another one was first, or nobody wants it."""
        member = self._workers.get(worker)
        if member is None or task not in member.held:
            return False
        begun = max(member.held.pop(task), member.free_since)
        member.free_since = now
        scene = self._scenes.get(task.scene)
        if scene is None or task.strip not in scene.left:
            return False
        scene.left.discard(task.strip)
        self._seconds.append((now - begun) / max(scene.windows[task.strip], 1))
        return True

    def lost(self, worker: str) -> tuple[StripTask, ...]:
        """Note that a worker has ended; its strips are dealt next, and those given up are returned."""
        given_up = []
        for task, scene in self._unfinished(worker):
            scene.losses[task.strip] = scene.losses.get(task.strip, 0) + 1
            if scene.losses[task.strip] >= self._losses:
                given_up.append(task)
            else:
                self._take_back(task, scene)
        self._leave(worker)
        return tuple(given_up)

    def release(self, worker: str) -> None:
        """Note that a worker goes, through no fault of its strips; these are dealt next."""
        for task, scene in self._unfinished(worker):
            self._take_back(task, scene)
        self._leave(worker)

    def _unfinished(self, worker: str) -> list[tuple[StripTask, _Scene]]:
        """Return what a worker has that still counts, the last first, so that the first will be first again."""
        held = reversed(self.held(worker))
        found = [(task, self._scenes[task.scene]) for task in held if task.scene in self._scenes]
        return [(task, scene) for task, scene in found if task.strip in scene.left]

    def _take_back(self, task: StripTask, scene: _Scene) -> None:
        """Put back a strip, unless another worker has it too."""
        if sum(task in member.held for member in self._workers.values()) > 1:
            return
        if scene.withdrawn:
            scene.left.discard(task.strip)
        else:
            scene.waiting.appendleft(task.strip)

    def _leave(self, worker: str) -> None:
        member = self._workers.pop(worker, None)
        if member is not None and member.scene in self._scenes:
            self._scenes[member.scene].workers.discard(worker)

    def _choose(self, worker: str) -> StripTask | None:
        """Take a strip that nobody has."""
        member = self._workers.get(worker)
        if member is not None and member.scene in self._scenes and self._scenes[member.scene].waiting:
            return StripTask(member.scene, self._scenes[member.scene].waiting.popleft())
        longest: tuple[int, str] | None = None
        for name, scene in self._scenes.items():
            if not scene.waiting:
                continue
            if not scene.workers:
                return StripTask(name, scene.waiting.popleft())
            if longest is None or len(scene.waiting) > longest[0]:
                longest = len(scene.waiting), name
        # From the end: whoever is at the scene goes on from the top without a gap.
        return StripTask(longest[1], self._scenes[longest[1]].waiting.pop()) if longest else None

    def _slow(self, worker: str, now: float) -> StripTask | None:
        """Find the strip of another worker that is most overdue."""
        if self._slowness is None or len(self._seconds) < _LEAST_REMEMBERED:
            return None
        usual = statistics.median(self._seconds)
        held: dict[StripTask, list[str]] = {}
        for name, member in self._workers.items():
            for task in member.held:
                held.setdefault(task, []).append(name)
        found: tuple[float, StripTask] | None = None
        for task, holders in held.items():
            scene = self._scenes.get(task.scene)
            if scene is None or scene.withdrawn or task.strip not in scene.left or len(holders) > 1:
                continue
            if worker in holders:
                continue
            member = self._workers[holders[0]]
            # What waits behind another strip has not begun, and is overdue as soon as that one is.
            begun = max(next(iter(member.held.values())), member.free_since)
            overdue = (now - begun) / max(usual * scene.windows[task.strip], 1e-9)
            if now - begun < self._patience or overdue <= self._slowness:
                continue
            if found is None or overdue > found[0]:
                found = overdue, task
        return found[1] if found else None
