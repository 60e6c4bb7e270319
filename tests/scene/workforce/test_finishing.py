"""From what is missing to all of it, or to a sentence that says how to go on."""

import errno
import os
import resource
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from terrazzo.errors import DataError, SpaceError, StoppedError, StorageError, WorkerError
from terrazzo.scene.journal import Journal
from terrazzo.scene.strip_file import StripFigures, StripRecord
from terrazzo.scene.strips import Strip
from terrazzo.scene.workforce.finishing import finish_strips
from terrazzo.scene.workforce.inline import InlineWorkforce
from terrazzo.scene.workforce.job import SceneJob

Tiny = Any


@dataclass
class Scripted:
    """A workforce that finishes strips without looking at a pixel, and does something else after some."""

    after: dict[int, Callable[[], None]] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    unreadable: dict[int, tuple[tuple[int, int, int, int, str], ...]] = field(default_factory=dict)

    def run(
        self,
        job: SceneJob,
        strips: Sequence[Strip],
        *,
        done: Callable[[StripRecord], None],
        advance: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        for count, strip in enumerate(strips, 1):
            if stop.is_set():
                return
            self.seen.append(strip.number)
            advance(7)
            figures = StripFigures(unreadable=self.unreadable.get(strip.number, ()))
            done(StripRecord(strip=strip.number, key="k", file="f", size=0, blocks=(), figures=figures))
            if count in self.after:
                self.after[count]()


def fail(error: Exception) -> Callable[[], None]:
    def raised() -> None:
        raise error

    return raised


def finish(tiny: Tiny, workforce: object, journal: Journal | None = None, **how: object) -> tuple[Journal, list[str]]:
    journal = journal or tiny.journal()
    notes: list[str] = []
    finish_strips(
        workforce,
        tiny.job,
        journal,
        tiny.plan.strips,
        **{"advance": lambda _windows: None, "finished": lambda: None, "note": notes.append, **how},
    )
    return journal, notes


def test_every_strip_reaches_the_journal(tiny: Tiny) -> None:
    journal, notes = finish(tiny, InlineWorkforce())
    assert sorted(journal.records) == [strip.number for strip in tiny.plan.strips]
    assert Journal(tiny.job.folder).records == journal.records
    assert notes == []


def test_only_what_is_missing_is_computed(tiny: Tiny) -> None:
    journal, _ = finish(tiny, Scripted())
    journal.keep([0, 2])
    again = Scripted()
    finish(tiny, again, journal)
    assert again.seen == [strip.number for strip in tiny.plan.strips if strip.number not in (0, 2)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_says_how_far_it_came(number: signal.Signals, tiny: Tiny) -> None:
    workforce = Scripted({2: lambda: os.kill(os.getpid(), number)})
    count = len(tiny.plan.strips)
    with pytest.raises(StoppedError, match=rf"2 of {count} strips are finished; the same command goes on"):
        finish(tiny, workforce)
    assert sorted(Journal(tiny.job.folder).records) == [0, 1]


def test_a_second_signal_ends_at_once(tiny: Tiny) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        finish(tiny, Scripted({2: twice}))


def test_it_is_said_once_that_strips_are_finished_first(tiny: Tiny) -> None:
    stop = threading.Event()
    stop.set()
    notes: list[str] = []

    class Slow(Scripted):
        def run(self, job: SceneJob, strips: Sequence[Strip], **how: Any) -> None:
            how["advance"](1)
            how["advance"](1)

    with pytest.raises(StoppedError):
        finish(tiny, Slow(), stop=stop, note=notes.append)
    assert len(notes) == 1
    assert "once more" in notes[0]


def test_a_full_disk_says_what_is_finished(tiny: Tiny) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(SpaceError, match=r"No space left on device.*3 of \d strips are finished; the same command"):
        finish(tiny, Scripted({3: fail(full)}))


def test_a_failing_disk_says_what_is_finished(tiny: Tiny) -> None:
    with pytest.raises(StorageError, match=r"Input/output error.*1 of \d strips") as caught:
        finish(tiny, Scripted({1: fail(OSError(errno.EIO, "Input/output error"))}))
    assert not isinstance(caught.value, SpaceError)


def test_a_lost_worker_says_what_is_finished(tiny: Tiny) -> None:
    with pytest.raises(WorkerError, match=r"Strip 3: killed\. 1 of \d strips are finished"):
        finish(tiny, Scripted({1: fail(WorkerError("Strip 3: killed."))}))


def test_a_limit_of_the_system_is_met(tiny: Tiny) -> None:
    """Not made up: no file of this process may grow beyond a few bytes."""
    journal = tiny.journal()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(SpaceError, match=r"File too large.*0 of \d strips are finished"):
            finish(tiny, InlineWorkforce(), journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tiny.job.folder.glob("*.strip")) == []
    finish(tiny, InlineWorkforce(), journal)
    assert len(journal.records) == len(tiny.plan.strips)


@pytest.mark.parametrize("error", [DataError("unreadable"), StorageError("ours"), ZeroDivisionError("a fault")])
def test_other_errors_pass(error: Exception, tiny: Tiny) -> None:
    with pytest.raises(type(error)) as caught:
        finish(tiny, Scripted({1: fail(error)}))
    assert caught.value is error


class TestUnreadableBlocks:
    """Each worker counts its own; what they met together counts here."""

    def test_as_many_as_are_allowed_pass(self, tiny: Tiny) -> None:
        # One block in rows that two strips have in common, one that goes on from strip to strip, and one of its own.
        lost = {
            0: ((10, 0, 10, 16, "torn"), (10, 16, 6, 16, "torn")),
            1: ((16, 0, 10, 16, "torn"), (16, 16, 4, 16, "torn"), (20, 32, 4, 16, "torn")),
        }
        journal, _ = finish(tiny.allowing(3), Scripted(unreadable=lost))
        assert len(journal.records) == len(tiny.plan.strips)

    def test_more_are_an_error_that_says_where_and_what_is_finished(self, tiny: Tiny) -> None:
        lost = {0: ((0, 0, 4, 16, "torn"),), 1: ((20, 32, 4, 16, "torn"),)}
        told = (
            r"2 blocks cannot be read, and predict.max_errors allows 1; .* rows 20 to 23, columns 32 to 47: torn.* "
            r"2 of \d+ strips are finished"
        )
        with pytest.raises(DataError, match=told):
            finish(tiny.allowing(1), Scripted(unreadable=lost))


class TestFailingJournal:
    """The journal's disk fails: the strip itself need not be computed again."""

    def fail(self, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
        append, left = Journal.append, [failures]

        def failing(self: Journal, record: StripRecord) -> None:
            if record.strip == 1 and left[0]:
                left[0] -= 1
                raise OSError(errno.ENOSPC, "No space left on device")
            append(self, record)

        monkeypatch.setattr(Journal, "append", failing)

    def test_it_is_tried_again(self, make_tiny: Callable[..., Tiny], monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail(monkeypatch, 2)
        tiny, waits = make_tiny(retries=2), []
        journal, _ = finish(tiny, InlineWorkforce(), wait=waits.append)
        assert waits == [1.0, 2.0]
        assert len(journal.records) == len(tiny.plan.strips)
        assert len(list(tiny.job.folder.glob("*.strip"))) == len(tiny.plan.strips)

    def test_patience_ends(self, make_tiny: Callable[..., Tiny], monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail(monkeypatch, 3)
        tiny, waits = make_tiny(retries=2), []
        with pytest.raises(SpaceError, match=r"1 of \d strips are finished"):
            finish(tiny, InlineWorkforce(), wait=waits.append)
        assert waits == [1.0, 2.0]
        assert list(Journal(tiny.job.folder).records) == [0]
