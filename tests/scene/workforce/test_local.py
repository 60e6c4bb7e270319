"""Several processes, some of which end before their time: the same bits, or an error that says why."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from terrazzo.errors import DataError, SpaceError, StoppedError, WorkerError
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.workforce.finishing import finish_strips
from terrazzo.scene.workforce.inline import InlineWorkforce
from terrazzo.scene.workforce.job import SceneJob
from terrazzo.scene.workforce.local import LocalWorkforce
from terrazzo.scene.workforce.workforce import Workforce

Tiny = Any
Plugin = Callable[[str, str], Path]

KILL_OVER_A_STRIP = """
    import os, pathlib, signal
    from terrazzo.scene.strip_file import StripWriter

    block = StripWriter.block

    def deadly(self, *arguments):
        if self._strip == {strip}:
            for number in range({times}):
                try:
                    (pathlib.Path({folder!r}) / f"death {{number}}").touch(exist_ok=False)
                except FileExistsError:
                    continue
                os.kill(os.getpid(), signal.SIGKILL)
        block(self, *arguments)

    StripWriter.block = deadly
"""
"""A plug-in that kills the process which writes a strip, so many times over all processes."""


def records_of(tiny: Tiny, workforce: Workforce, job: SceneJob | None = None) -> tuple[dict[int, StripRecord], int]:
    """Compute all strips into a fresh journal; return their records and how many windows were told of."""
    tiny.journal()
    records: dict[int, StripRecord] = {}
    told: list[int] = []
    workforce.run(
        job or tiny.job,
        tiny.plan.strips,
        done=lambda record: records.update({record.strip: record}),
        advance=told.append,
        stop=threading.Event(),
    )
    return records, sum(told)


def with_plugin(tiny: Tiny, plugin: Path) -> SceneJob:
    return tiny.job.model_copy(update={"plugins": (*tiny.job.plugins, plugin)})


@pytest.fixture
def expected(tiny: Tiny) -> bytes:
    """The map by one worker that nobody disturbs."""
    pixels: bytes = tiny.pixels(records_of(tiny, InlineWorkforce())[0])
    return pixels


def test_it_is_a_workforce() -> None:
    assert isinstance(LocalWorkforce(2), Workforce)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_processes_leaves_no_trace(workers: int, tiny: Tiny, expected: bytes) -> None:
    records, told = records_of(tiny, LocalWorkforce(workers))
    assert tiny.pixels(records) == expected
    assert told == tiny.plan.windows
    assert len(list(tiny.job.folder.glob("*.strip"))) == len(tiny.plan.strips)


def test_nothing_to_do_starts_nothing(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.scene.workforce.local.multiprocessing", None)
    LocalWorkforce(2).run(tiny.job, (), done=print, advance=print, stop=threading.Event())


@pytest.mark.parametrize("times", [1, 2])
def test_strips_of_a_killed_worker_are_computed_by_another(
    times: int, tiny: Tiny, expected: bytes, make_plugin: Plugin, tmp_path: Path
) -> None:
    code = KILL_OVER_A_STRIP.format(strip=2, times=times, folder=str(tmp_path))
    records, told = records_of(tiny, LocalWorkforce(2), with_plugin(tiny, make_plugin("kill", code)))
    assert len(list(tmp_path.glob("death *"))) == times
    assert tiny.pixels(records) == expected
    assert told == tiny.plan.windows
    # What the killed ones have left is cleared away.
    assert len(list(tiny.job.folder.glob("*.strip"))) == len(tiny.plan.strips)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_strip_that_ends_worker_after_worker_is_named(
    workers: int, tiny: Tiny, make_plugin: Plugin, tmp_path: Path
) -> None:
    code = KILL_OVER_A_STRIP.format(strip=3, times=9, folder=str(tmp_path))
    with pytest.raises(WorkerError, match=r"Strip 3 of .*scène 1\.tif \(rows \d+ to \d+\): 3 workers .* SIGKILL"):
        records_of(tiny, LocalWorkforce(workers), with_plugin(tiny, make_plugin("kill", code)))
    assert len(list(tmp_path.glob("death *"))) == 3


def test_workers_that_never_begin_are_given_up(tiny: Tiny, make_plugin: Plugin) -> None:
    plugin = make_plugin("stillborn", "import os\nos._exit(7)")
    with pytest.raises(WorkerError, match="3 workers ended before they began, the last with status 7"):
        records_of(tiny, LocalWorkforce(1), with_plugin(tiny, plugin))


def test_an_error_of_a_worker_arrives(tiny: Tiny, tmp_path: Path) -> None:
    file = Path(tiny.job.scene.files[0])
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"scène 1\.tif"):
        records_of(tiny, LocalWorkforce(2))


def test_an_error_that_nobody_foresaw_arrives(tiny: Tiny, make_plugin: Plugin) -> None:
    code = """
        from terrazzo.scene.strip_file import StripWriter

        def broken(self, *arguments):
            raise LookupError("no such thing")

        StripWriter.block = broken
    """
    with pytest.raises(LookupError, match="no such thing") as caught:
        records_of(tiny, LocalWorkforce(1), with_plugin(tiny, make_plugin("broken", code)))
    assert "broken.py" in caught.value.__notes__[0]


def test_what_the_journal_raises_ends_the_run(tiny: Tiny) -> None:
    tiny.journal()

    def refuse(record: StripRecord) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        LocalWorkforce(2).run(
            tiny.job, tiny.plan.strips, done=refuse, advance=lambda _windows: None, stop=threading.Event()
        )


def test_a_stop_finishes_what_is_under_way(tiny: Tiny) -> None:
    stop = threading.Event()
    tiny.journal()
    records: list[StripRecord] = []

    def done(record: StripRecord) -> None:
        records.append(record)
        stop.set()

    LocalWorkforce(2).run(tiny.job, tiny.plan.strips, done=done, advance=lambda _windows: None, stop=stop)
    assert 1 <= len(records) < len(tiny.plan.strips)
    assert len(list(tiny.job.folder.glob("*.strip"))) == len(records)


def test_an_interrupt_stops_and_the_same_command_goes_on(
    tiny: Tiny, expected: bytes, monkeypatch: pytest.MonkeyPatch, make_plugin: Plugin
) -> None:
    """As Ctrl-C in a terminal does, the signal reaches the workers too."""
    # So that they are not done before the signal is heard.
    slow = """
        import time
        from terrazzo.scene.rows import FileRows

        rows = FileRows.rows

        def slow(self, *arguments):
            time.sleep(0.3)
            yield from rows(self, *arguments)

        FileRows.rows = slow
    """
    job = with_plugin(tiny, make_plugin("slow", slow))
    journal = tiny.journal()
    append, signals = journal.append, [signal.SIGINT]

    def append_and_interrupt(record: StripRecord) -> None:
        append(record)
        if signals:
            for child in multiprocessing.active_children():
                os.kill(int(child.pid or 0), signal.SIGINT)
            os.kill(os.getpid(), signals.pop())

    # With the first record: what workers tell of windows may come late where the machine is busy.
    monkeypatch.setattr(journal, "append", append_and_interrupt)

    def finish() -> None:
        finish_strips(
            LocalWorkforce(2),
            job,
            journal,
            tiny.plan.strips,
            advance=lambda _windows: None,
            finished=lambda: None,
            note=lambda _line: None,
        )

    with pytest.raises(StoppedError, match=rf"\d of {len(tiny.plan.strips)} strips are finished"):
        finish()
    assert 1 <= len(journal.records) < len(tiny.plan.strips)
    assert not multiprocessing.active_children()
    finish()
    assert tiny.pixels(journal.records) == expected


def test_workers_have_the_environment_of_now(tiny: Tiny, make_plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of an object store are often set after the server of processes has begun."""

    def records_of(job: SceneJob) -> dict[int, StripRecord]:
        journal = tiny.journal()
        finish_strips(
            LocalWorkforce(2),
            job,
            journal,
            tiny.plan.strips,
            advance=lambda _windows: None,
            finished=lambda: None,
            note=lambda _line: None,
        )
        return dict(journal.records)

    monkeypatch.setenv("TERRAZZO_EARLY", "1")
    records_of(tiny.job)
    monkeypatch.delenv("TERRAZZO_EARLY")
    monkeypatch.setenv("TERRAZZO_LATE", "1")
    code = """
        import multiprocessing, os

        if multiprocessing.parent_process() is not None:
            assert os.environ.get("TERRAZZO_LATE") == "1"
            assert "TERRAZZO_EARLY" not in os.environ
    """
    assert len(records_of(with_plugin(tiny, make_plugin("late", code)))) == len(tiny.plan.strips)


def test_a_full_disk_of_a_worker_is_named(tiny: Tiny, make_plugin: Plugin) -> None:
    code = """
        import errno
        from terrazzo.scene.strip_file import StripWriter

        block = StripWriter.block

        def full(self, *arguments):
            if self._strip >= 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            block(self, *arguments)

        StripWriter.block = full
    """
    journal = tiny.journal()
    with pytest.raises(SpaceError, match=r"No space left on device.*of \d strips are finished"):
        finish_strips(
            LocalWorkforce(2),
            with_plugin(tiny, make_plugin("full", code)),
            journal,
            tiny.plan.strips,
            advance=lambda _windows: None,
            finished=lambda: None,
            note=lambda _line: None,
        )
    assert set(journal.records) <= {0, 1}
    assert not multiprocessing.active_children()


COORDINATOR = """
    import sys, threading
    from pathlib import Path
    from terrazzo.scene.workforce.job import SceneJob
    from terrazzo.scene.workforce.local import LocalWorkforce
    from terrazzo.scene.strips import Strip

    if __name__ == "__main__":
        job = SceneJob.model_validate_json(Path(sys.argv[1]).read_text())
        strips = [Strip(number, range(1), slice(0, 0), slice(1, 1)) for number in range(int(sys.argv[2]))]
        LocalWorkforce(2).run(job, strips, done=print, advance=print, stop=threading.Event())
"""


def test_workers_end_with_a_killed_coordinator(tiny: Tiny, make_plugin: Plugin, tmp_path: Path) -> None:
    tiny.journal()
    waiting = make_plugin(
        "waiting",
        f"""
        import os, pathlib, time
        from terrazzo.scene.strip_file import StripWriter

        def waiting(self, *arguments):
            (pathlib.Path({str(tmp_path)!r}) / f"alive {{os.getpid()}}").touch()
            time.sleep(600)

        StripWriter.block = waiting
        """,
    )
    described = tmp_path / "job.json"
    described.write_text(with_plugin(tiny, waiting).model_dump_json(), encoding="utf-8")
    script = tmp_path / "coordinator.py"
    script.write_text(textwrap.dedent(COORDINATOR), encoding="utf-8")
    coordinator = subprocess.Popen([sys.executable, script, described, str(len(tiny.plan.strips))])
    workers = until(lambda: [int(path.name.split()[1]) for path in tmp_path.glob("alive *")], count=2)
    coordinator.kill()
    coordinator.wait()
    until(lambda: [worker for worker in workers if not lives(worker)], count=2)


def until(look: Callable[[], list[int]], *, count: int) -> list[int]:
    """Wait until there are so many."""
    for _ in range(3000):
        found = look()
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {count}: {look()}")


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0]
    return state != "Z"


def test_a_worker_leaves_interrupts_to_the_coordinator(
    tiny: Tiny, expected: bytes, make_plugin: Plugin, tmp_path: Path
) -> None:
    interrupting = make_plugin(
        "interrupting",
        f"""
        import os, signal
        from terrazzo.scene.strip_file import StripWriter

        block = StripWriter.block

        def interrupted(self, *arguments):
            for number in ({int(signal.SIGINT)}, {int(signal.SIGTERM)}):
                os.kill(os.getpid(), number)
            block(self, *arguments)

        StripWriter.block = interrupted
        """,
    )
    records, _ = records_of(tiny, LocalWorkforce(1), with_plugin(tiny, interrupting))
    assert tiny.pixels(records) == expected
