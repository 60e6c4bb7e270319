"""Simulated workers that compute strips, fail, dawdle and start again, dealt by the engine's real rule.

Used by scale.py. Time is simulated event by event; what the coordinator writes is real: each scene's journal is begun,
appended to, read back and removed by the engine's own code.
"""

import heapq
import itertools
import random
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scale_constants import record_of
from terrazzo.scene.header import Header
from terrazzo.scene.journal import Journal, journal_folder
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.work import strip_key
from terrazzo.scene.workforce.dealing import Dealing, StripTask

HICCUP = (3.0, 20.0)
"""How many times longer a strip takes that meets a busy disk or network, from and to."""

SLOW = 4.0
"""How many times longer a slow worker takes."""


@dataclass(frozen=True)
class SimulatedScene:
    """A scene of which only the header exists.

    Attributes:
        name: Its name.
        plan: How it is cut.
        header: Of its journal.
    """

    name: str
    plan: ScenePlan
    header: Header

    @property
    def pixels(self) -> int:
        """Pixels of the scene."""
        return self.plan.grid.height * self.plan.grid.width

    def windows(self, strip: int) -> int:
        """Windows of a strip."""
        return len(self.plan.strips[strip].rows) * len(self.plan.columns)


@dataclass(frozen=True)
class Cluster:
    """Machines, and how they fail.

    Attributes:
        workers: Devices.
        window_s: Time of a window on a device.
        latency_s: From a finished strip to its record at the coordinator, and back with the next strip.
        append_s: A line of a journal; one after the other.
        assemblers: Cores that write finished maps.
        assemble_rate: Pixels of map that one of them writes in a second.
        strip_bytes: Bytes of strips on the disk for each pixel.
        failure_h: Mean time until a worker ends.
        restart_s: Until another has its place, its model loaded.
        slow_share: Share of workers that are slow.
        hiccup_share: Share of strips that take far longer by chance.
        slowness: When a strip is dealt a second time; None for never.
        seed: Of all chance.
    """

    workers: int
    window_s: float
    latency_s: float
    append_s: float
    assemblers: int
    assemble_rate: float
    strip_bytes: float
    failure_h: float
    restart_s: float
    slow_share: float
    hiccup_share: float
    slowness: float | None
    seed: int


class Ledger:
    """The journals of all scenes, as the coordinator keeps them.

    Args:
        folder: Where they lie; a scene whose map is there is finished. Without one nothing is written: for a run of
            which only the time counts.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.journals: dict[str, Journal] = {}
        self.appends = 0
        self.seconds = 0.0

    def find(self, scene: SimulatedScene) -> set[int] | None:
        """Return which strips an earlier start has finished; None where the whole map is there."""
        folder, out = self._places(scene)
        if out.exists():
            return None
        journal = Journal(folder)
        if not journal.goes_on(scene.header.request):
            return set()
        key = scene.header.key
        return {number for number, record in journal.records.items() if record.key == strip_key(key, number, "")}

    def open(self, scene: SimulatedScene, finished: set[int]) -> None:
        """Begin or go on with a scene."""
        if self.folder is None:
            return
        folder, _ = self._places(scene)
        folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(folder)
        if finished:
            journal.keep(finished)
        else:
            journal.begin(scene.header)
        self.journals[scene.name] = journal

    def append(self, scene: SimulatedScene, strip: int) -> None:
        """Note a finished strip."""
        if self.folder is None:
            return
        key = strip_key(scene.header.key, strip, "")
        record = record_of(scene.plan, scene.plan.strips[strip], key=key)
        begun = time.perf_counter()
        self.journals[scene.name].append(record)
        self.seconds += time.perf_counter() - begun
        self.appends += 1

    def close(self, scene: SimulatedScene) -> None:
        """Check the journal on the disk strip by strip, and put the map in its place."""
        if self.folder is None:
            return
        folder, out = self._places(scene)
        lines = (folder / "journal").read_bytes().count(b"\n")
        if self.find(scene) != set(range(len(scene.plan.strips))) or lines != len(scene.plan.strips):
            raise SystemExit(f"{folder} does not hold each strip once")
        out.touch()
        shutil.rmtree(folder)
        del self.journals[scene.name]

    def _places(self, scene: SimulatedScene) -> tuple[Path, Path]:
        if self.folder is None:
            raise ValueError("this ledger writes nothing")
        out = self.folder / f"{scene.name}.tif"
        return journal_folder(out), out


@dataclass
class Outcome:
    """What became of a run; times in seconds of the simulation.

    Attributes:
        computed_s: Until the last strip was noted.
        mapped_s: Until the last map was written.
        useful_s: Of workers: what the strips that counted would have taken undisturbed.
        failed_s: Of workers: strips that were lost, and waiting for another worker.
        slow_s: Of workers: what strips took beyond the usual.
        copies_s: Of workers: strips that another one had finished first.
        failures: Workers that ended.
        lost: Strips that they had.
        copies: Strips that were finished a second time.
        given_up: Strips that ended too many workers.
        strips: Strips noted.
        largest_wait_s: Longest time for which a record waited for the coordinator.
        coordinator_s: Time in which the coordinator wrote.
        disk_bytes: Most bytes of strips at once.
        deals: Strips dealt.
        dealing_s: Real time of dealing them.
    """

    computed_s: float = 0.0
    mapped_s: float = 0.0
    useful_s: float = 0.0
    failed_s: float = 0.0
    slow_s: float = 0.0
    copies_s: float = 0.0
    failures: int = 0
    lost: int = 0
    copies: int = 0
    given_up: int = 0
    strips: int = 0
    largest_wait_s: float = 0.0
    coordinator_s: float = 0.0
    disk_bytes: float = 0.0
    deals: int = 0
    dealing_s: float = 0.0


@dataclass
class _Worker:
    name: str
    factor: float
    life: int = 0
    task: StripTask | None = None
    begun: float = 0.0


@dataclass
class _OpenScene:
    scene: SimulatedScene
    missing: int
    disk_bytes: float = 0.0


@dataclass
class Simulation:
    """One start of the coordinator, from the first strip it deals to the last map or to its own end.

    Attributes:
        scenes: In the order in which they are mapped.
        finished: Which strips of a scene an earlier start has finished; the scene is left out where its map is there.
        cluster: The machines.
        ledger: The journals.
    """

    scenes: Sequence[SimulatedScene]
    finished: Mapping[str, set[int]]
    cluster: Cluster
    ledger: Ledger
    outcome: Outcome = field(default_factory=Outcome)
    now: float = 0.0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.cluster.seed)
        self._dealing = Dealing(slowness=self.cluster.slowness)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._to_open = deque(self.scenes)
        self._open: dict[str, _OpenScene] = {}
        self._idle: dict[str, _Worker] = {}
        self._assemblers = [0.0] * self.cluster.assemblers
        self._coordinator_free = 0.0
        self._disk = 0.0
        self._polling = False

    def run(self, *, until: float = float("inf")) -> Outcome:
        """Run to the end, or to the moment at which the coordinator is killed."""
        for _ in range(2 * self.cluster.workers):
            self._open_next()
        for number in range(self.cluster.workers):
            slow = self._chance.random() < self.cluster.slow_share
            self._begin_life(_Worker(f"worker {number}", SLOW if slow else 1.0))
        while self._events and (self._open or self._to_open):
            moment, _, call = heapq.heappop(self._events)
            if moment > until:
                self.now = until
                break
            self.now = moment
            call()
        return self.outcome

    def _at(self, moment: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), call))

    def _open_next(self) -> None:
        """Open the next scene; there are twice as many as workers, some of which wait for their maps to be written."""
        if not self._to_open:
            return
        scene = self._to_open.popleft()
        finished = self.finished.get(scene.name, set())
        self.ledger.open(scene, finished)
        missing = [strip.number for strip in scene.plan.strips if strip.number not in finished]
        self._open[scene.name] = _OpenScene(scene, len(missing))
        self._dealing.add(scene.name, {number: scene.windows(number) for number in missing})
        if not missing:
            self._assemble(self._open[scene.name])

    def _begin_life(self, worker: _Worker) -> None:
        life = worker.life
        end = self.now + self._chance.expovariate(1 / (self.cluster.failure_h * 3600))
        self._at(end, lambda: self._fail(worker, life))
        self._deal(worker)

    def _deal(self, worker: _Worker) -> bool:
        begun = time.perf_counter()
        task = self._dealing.next(worker.name, self.now)
        self.outcome.dealing_s += time.perf_counter() - begun
        if task is None:
            self._idle[worker.name] = worker
            self._poll()
            return False
        self._idle.pop(worker.name, None)
        self.outcome.deals += 1
        worker.task, worker.begun, life = task, self.now, worker.life
        factor = worker.factor * max(self._chance.gauss(1.0, 0.05), 0.8)
        if self._chance.random() < self.cluster.hiccup_share:
            factor *= self._chance.uniform(*HICCUP)
        usual = self._usual(task)
        self._at(self.now + self.cluster.latency_s + usual * factor, lambda: self._finish(worker, life, task))
        return True

    def _usual(self, task: StripTask) -> float:
        return self._open[task.scene].scene.windows(task.strip) * self.cluster.window_s

    def _poll(self) -> None:
        """Ask again soon whether there is something for those who have nothing."""
        if not self._polling:
            self._polling = True
            self._at(self.now + 1.0, self._tick)

    def _tick(self) -> None:
        self._polling = False
        self._wake()

    def _wake(self) -> None:
        for worker in list(self._idle.values()):
            if not self._deal(worker):
                break

    def _finish(self, worker: _Worker, life: int, task: StripTask) -> None:
        if worker.life != life:
            return
        outcome, taken = self.outcome, self.now - worker.begun
        worker.task = None
        if self._dealing.finished(worker.name, task, self.now):
            usual = self._usual(task)
            outcome.useful_s += usual
            outcome.slow_s += taken - usual
            noted = max(self.now, self._coordinator_free) + self.cluster.append_s
            outcome.largest_wait_s = max(outcome.largest_wait_s, noted - self.now)
            outcome.coordinator_s += self.cluster.append_s
            self._coordinator_free = noted
            self._at(noted, lambda: self._note(task))
            self._at(noted, lambda: self._go_on(worker, life))
        else:
            outcome.copies += 1
            outcome.copies_s += taken
            self._deal(worker)

    def _go_on(self, worker: _Worker, life: int) -> None:
        if worker.life == life:
            self._deal(worker)

    def _note(self, task: StripTask) -> None:
        opened = self._open[task.scene]
        self.ledger.append(opened.scene, task.strip)
        self.outcome.strips += 1
        strip = opened.scene.plan.strips[task.strip]
        size = (strip.below.stop - strip.above.start) * opened.scene.plan.grid.width * self.cluster.strip_bytes
        opened.disk_bytes += size
        self._disk += size
        self.outcome.disk_bytes = max(self.outcome.disk_bytes, self._disk)
        self.outcome.computed_s = self.now
        opened.missing -= 1
        if not opened.missing:
            self._assemble(opened)

    def _assemble(self, opened: _OpenScene) -> None:
        """Write the map on whichever core is free first; until it is written its place is taken."""
        self._dealing.forget(opened.scene.name)
        ready = max(heapq.heappop(self._assemblers), self.now) + opened.scene.pixels / self.cluster.assemble_rate
        heapq.heappush(self._assemblers, ready)
        self._at(ready, lambda: self._complete(opened))

    def _complete(self, opened: _OpenScene) -> None:
        self.ledger.close(opened.scene)
        self._disk -= opened.disk_bytes
        del self._open[opened.scene.name]
        self.outcome.mapped_s = self.now
        self._open_next()
        self._wake()

    def _fail(self, worker: _Worker, life: int) -> None:
        if worker.life != life:
            return
        worker.life += 1
        self.outcome.failures += 1
        self.outcome.failed_s += self.cluster.restart_s
        if worker.task is not None:
            self.outcome.failed_s += self.now - worker.begun
            self.outcome.lost += 1
        worker.task = None
        self.outcome.given_up += len(self._dealing.lost(worker.name))
        self._idle.pop(worker.name, None)
        self._at(self.now + self.cluster.restart_s, lambda: self._begin_life(worker))
        self._wake()
