"""Several scenes on one crew whose workers end, lie and dawdle; the crew here is one of threads."""

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import pytest

from terrazzo.errors import DataError, StorageError, WorkerError
from terrazzo.scene.request import code_fingerprint, device_of
from terrazzo.scene.strip_file import StripRecord, StripWriter
from terrazzo.scene.workforce import foreman as module
from terrazzo.scene.workforce import job as job_module
from terrazzo.scene.workforce.crew import Order, WorkerGoneError
from terrazzo.scene.workforce.foreman import Foreman
from terrazzo.scene.workforce.inline import InlineWorkforce
from terrazzo.scene.workforce.job import SceneJob
from terrazzo.scene.workforce.places import Place
from terrazzo.scene.workforce.ray_worker import RayWorker, token_path

Tiny = Any


@dataclass(eq=False)
class Threaded:
    """A worker in this process; ends when it is told of a strip over which it is to end."""

    worker: RayWorker
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    gone: bool = False
    strips: list[int] = field(default_factory=list)


@dataclass
class ThreadCrew:
    """A crew of threads.

    Attributes:
        size: Workers at once.
        deadly: How many workers still end over a strip, by its number; -1 stands for the first call.
    """

    size: int
    deadly: dict[int, int] = field(default_factory=dict)
    hired: list[Threaded] = field(default_factory=list)
    calls: dict[Future[str], Threaded] = field(default_factory=dict)

    def hire(self) -> Threaded:
        self.hired.append(Threaded(RayWorker(Place().model_dump_json())))
        return self.hired[-1]

    def dismiss(self, worker: Threaded) -> None:
        worker.gone = True

    def call(self, worker: Threaded, request: str) -> Future[str]:
        asked = json.loads(request)
        strip = asked.get("strip") if asked else -1
        if strip is not None and strip >= 0:
            worker.strips.append(strip)
        if self.deadly.get(strip, 0) > 0:
            self.deadly[strip] -= 1
            worker.gone = True
        answer = worker.pool.submit(lambda: "[]" if worker.gone else worker.worker.exchange(request))
        self.calls[answer] = worker
        return answer

    def wait(self, calls: Sequence[Future[str]], seconds: float) -> Sequence[Future[str]]:
        return list(wait(calls, timeout=seconds, return_when=FIRST_COMPLETED).done)

    def reply(self, call: Future[str]) -> str:
        if self.calls.pop(call).gone:
            raise WorkerGoneError("its machine was unplugged")
        return call.result()


def of_this_machine(tiny: Tiny) -> SceneJob:
    """Return a job that workers take for one of their own machine."""
    request = tiny.job.header.request.model_copy(update={"code": code_fingerprint(), "device": device_of("cpu")})
    header = tiny.job.header.model_copy(update={"request": request})
    return tiny.job.model_copy(update={"header": header})


@pytest.fixture
def job(tiny: Tiny) -> SceneJob:
    return of_this_machine(tiny)


@pytest.fixture
def lead() -> Iterator[Callable[..., Foreman]]:
    """Lead a crew until the test is over."""
    foremen: list[Foreman] = []

    def make(crew: ThreadCrew, **settings: object) -> Foreman:
        foremen.append(Foreman(crew, **settings))
        return foremen[-1]

    yield make
    for foreman in foremen:
        foreman.close()


class Errand:
    """A scene on its way: what its own thread would do."""

    def __init__(self, foreman: Foreman, job: SceneJob, tiny: Tiny, name: str = "scene") -> None:
        self.records: dict[int, StripRecord] = {}
        self.foreman = foreman
        folder = job.folder.with_name(name)
        folder.mkdir()
        self.job = job.model_copy(update={"folder": folder})
        self.order = Order(
            name=name,
            job=self.job,
            windows={strip.number: len(strip.rows) for strip in tiny.plan.strips},
            token=f"token of {name}",
            events=queue.Queue(),
            done=self._done,
        )
        token_path(folder, self.order.token).write_text(self.order.token, encoding="utf-8")
        self.withdraw_after: int | None = None
        assert foreman.add(self.order)

    def finish(self) -> dict[int, StripRecord]:
        try:
            while (event := self.order.events.get(timeout=30)) is not None:
                event()
                if len(self.records) == self.withdraw_after:
                    self.foreman.withdraw(self.order)
        finally:
            self.foreman.remove(self.order)
        return self.records

    def _done(self, record: StripRecord) -> None:
        assert record.strip not in self.records, "a strip counts once"
        self.records[record.strip] = record

    def pixels(self, tiny: Tiny) -> bytes:
        found: bytes = type(tiny)(self.job, tiny.plan, tiny.products).pixels(self.records)
        return found


def pixels_of(tiny: Tiny) -> bytes:
    """Return the map by this process, undisturbed."""
    records: dict[int, StripRecord] = {}
    tiny.journal()
    InlineWorkforce().run(
        tiny.job,
        tiny.plan.strips,
        done=lambda record: records.update({record.strip: record}),
        advance=lambda _windows: None,
        stop=threading.Event(),
    )
    pixels: bytes = tiny.pixels(records)
    return pixels


@pytest.fixture
def expected(tiny: Tiny) -> bytes:
    return pixels_of(tiny)


@pytest.mark.parametrize("size", [1, 3])
def test_the_size_of_the_crew_leaves_no_trace(
    size: int, tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], expected: bytes
) -> None:
    errand = Errand(lead(ThreadCrew(size)), job, tiny)
    errand.finish()
    assert errand.pixels(tiny) == expected
    assert [path.name for path in errand.job.folder.glob(".shared-*")] == [".shared-token of scene"]


def test_scenes_share_a_crew_and_its_network(
    tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    original = job_module.WindowForward

    def counted(*arguments: object, **settings: object) -> object:
        made.append(arguments)
        return original(*arguments, **settings)

    monkeypatch.setattr(job_module, "WindowForward", counted)
    crew = ThreadCrew(2)
    foreman = lead(crew)
    errands = [Errand(foreman, job, tiny, f"scene {number}") for number in range(5)]
    for errand in errands:
        errand.finish()
        assert errand.pixels(tiny) == expected
    assert len(crew.hired) == 2
    assert len(made) == 2, "a network a worker, not a scene"


@pytest.mark.parametrize("times", [1, 2])
def test_strips_of_workers_that_end_are_computed_by_others(
    times: int, tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], expected: bytes
) -> None:
    crew = ThreadCrew(2, deadly={3: times})
    errand = Errand(lead(crew), job, tiny)
    errand.finish()
    assert errand.pixels(tiny) == expected
    assert sum(worker.gone for worker in crew.hired) == times
    # They took along only what they had: even a strip that is done, where its record was still on its way.
    had = {strip for worker in crew.hired if worker.gone for strip in worker.strips}
    told = Counter(strip for worker in crew.hired for strip in worker.strips)
    assert told[3] == times + 1
    assert {strip for strip, count in told.items() if count > 1} <= had
    assert max(count for strip, count in told.items() if strip != 3) <= 2


def test_a_strip_that_ends_worker_after_worker_is_named_and_other_scenes_go_on(
    tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], expected: bytes
) -> None:
    crew = ThreadCrew(2, deadly={4: 3})
    foreman = lead(crew)
    first = Errand(foreman, job, tiny, "first")
    with pytest.raises(WorkerError, match=r"Strip 4 of .*scène 1\.tif: 3 workers ended over it.*unplugged"):
        first.finish()
    second = Errand(foreman, job, tiny, "second")
    second.finish()
    assert second.pixels(tiny) == expected


def test_workers_that_never_begin_are_given_up(tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman]) -> None:
    foreman = lead(ThreadCrew(1, deadly={-1: 3}))
    errand = Errand(foreman, job, tiny)
    with pytest.raises(WorkerError, match="3 workers ended before they began, the last: its machine was unplugged"):
        errand.finish()
    assert not foreman.add(errand.order), "it has ended"


def test_an_error_of_the_scene_ends_that_scene_only(
    tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], expected: bytes
) -> None:
    crew = ThreadCrew(2)
    foreman = lead(crew)
    part = job.scene.parts[0].model_copy(update={"files": ("nowhere.tif",)})
    broken = Errand(
        foreman, job.model_copy(update={"scene": job.scene.model_copy(update={"parts": (part,)})}), tiny, "broken"
    )
    good = Errand(foreman, job, tiny, "good")
    with pytest.raises(DataError, match=r"nowhere\.tif"):
        broken.finish()
    good.finish()
    assert good.pixels(tiny) == expected


def test_an_error_that_nobody_foresaw_is_tried_elsewhere_and_then_told(
    tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise LookupError("no such thing")

    monkeypatch.setattr("terrazzo.scene.strip_file.StripWriter.block", broken)
    crew = ThreadCrew(1)
    with pytest.raises(WorkerError, match="3 workers ended over it, the last: LookupError: no such thing") as caught:
        Errand(lead(crew), job, tiny).finish()
    assert isinstance(caught.value.__cause__, LookupError)
    assert len(crew.hired) >= 3


def test_a_folder_that_is_not_shared_is_refused(tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman]) -> None:
    errand = Errand(lead(ThreadCrew(1)), job, tiny)
    token_path(errand.job.folder, errand.order.token).write_text("of another machine", encoding="utf-8")
    with pytest.raises(StorageError, match="sees another"):
        errand.finish()


def test_what_a_worker_writes_must_be_seen(
    tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHARING_SECONDS", 0.1)
    monkeypatch.setattr(module, "token_path", lambda folder, token: folder / "elsewhere" / token)
    with pytest.raises(StorageError, match="not to be seen here"):
        Errand(lead(ThreadCrew(1)), job, tiny).finish()


def test_a_withdrawn_scene_ends_with_what_is_under_way(tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman]) -> None:
    errand = Errand(lead(ThreadCrew(1)), job, tiny)
    errand.withdraw_after = 1
    assert 1 <= len(errand.finish()) < len(tiny.plan.strips)
    assert len(list(errand.job.folder.glob("*.strip"))) == len(errand.records)


def test_what_the_journal_raises_ends_the_scene_and_its_workers_go_on_to_the_next(
    tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], expected: bytes
) -> None:
    foreman = lead(ThreadCrew(2))
    first = Errand(foreman, job, tiny, "first")

    def refuse(_record: StripRecord) -> None:
        raise OSError(28, "No space left on device")

    object.__setattr__(first.order, "done", refuse)
    with pytest.raises(OSError, match="No space"):
        first.finish()
    second = Errand(foreman, job, tiny, "second")
    second.finish()
    assert second.pixels(tiny) == expected


def test_a_crew_without_scenes_is_let_go(tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman]) -> None:
    crew = ThreadCrew(1)
    foreman = lead(crew, idle_seconds=0.2)
    Errand(foreman, job, tiny).finish()
    until = time.monotonic() + 20
    while not crew.hired[0].gone:
        assert time.monotonic() < until
        time.sleep(0.02)
    foreman.close()


def test_a_crew_makes_room_for_another_only_when_it_is_idle(
    tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], expected: bytes
) -> None:
    crew = ThreadCrew(1)
    foreman = lead(crew)
    errand = Errand(foreman, job, tiny)
    foreman.close_if_idle()
    errand.finish()
    assert errand.pixels(tiny) == expected
    foreman.close_if_idle()
    until = time.monotonic() + 20
    while not crew.hired[0].gone:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert not foreman.add(errand.order)


def test_a_silent_cluster_is_given_up(
    tiny: Tiny, job: SceneJob, lead: Callable[..., Foreman], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_SILENCE_SECONDS", 0.3)
    crew = ThreadCrew(1)
    monkeypatch.setattr(crew, "wait", lambda _calls, seconds: time.sleep(seconds) or [])
    with pytest.raises(WorkerError, match="No worker of the cluster has said anything"):
        Errand(lead(crew), job, tiny).finish()


def test_a_strip_that_dawdles_is_computed_by_another_and_its_worker_let_go(
    make_tiny: Callable[..., Tiny], lead: Callable[..., Foreman], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = make_tiny((500, 60))
    expected = pixels_of(tiny)
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(module, "_SLOWNESS", 1.0)
    released, met = threading.Event(), threading.Event()
    block = StripWriter.block

    def dawdling(writer: StripWriter, *arguments: Any) -> None:
        if writer._strip == 5 and not met.is_set():
            met.set()
            released.wait(30)
        block(writer, *arguments)

    monkeypatch.setattr(StripWriter, "block", dawdling)
    crew = ThreadCrew(2)
    errand = Errand(lead(crew), of_this_machine(tiny), tiny)
    try:
        errand.finish()
    finally:
        released.set()
    assert met.is_set()
    assert errand.pixels(tiny) == expected
    assert sum(5 in worker.strips for worker in crew.hired) == 2
    assert sum(worker.gone for worker in crew.hired) == 1
