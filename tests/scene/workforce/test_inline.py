"""One worker, in this process."""

import threading
from typing import Any

from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.workforce.inline import InlineWorkforce
from terrazzo.scene.workforce.job import open_job
from terrazzo.scene.workforce.workforce import Workforce

Tiny = Any


def run(tiny: Tiny, workforce: InlineWorkforce, stop: threading.Event | None = None) -> tuple[list[StripRecord], int]:
    tiny.journal()
    records: list[StripRecord] = []
    told: list[int] = []
    workforce.run(tiny.job, tiny.plan.strips, done=records.append, advance=told.append, stop=stop or threading.Event())
    return records, sum(told)


def test_it_is_a_workforce() -> None:
    assert isinstance(InlineWorkforce(), Workforce)


def test_strips_come_in_order_and_windows_are_counted(tiny: Tiny) -> None:
    records, told = run(tiny, InlineWorkforce())
    assert [record.strip for record in records] == [strip.number for strip in tiny.plan.strips]
    assert told == tiny.plan.windows


def test_what_is_open_already_serves(tiny: Tiny) -> None:
    expected = {record.strip: record for record in run(tiny, InlineWorkforce())[0]}
    pixels = tiny.pixels(expected)
    tiny.job.bundle.rename(tiny.job.bundle.with_suffix(".moved"))
    elsewhere = tiny.job.bundle.with_suffix(".moved")
    with open_job(tiny.job.model_copy(update={"bundle": elsewhere})) as opened:
        records, _ = run(tiny, InlineWorkforce(opened))
    assert tiny.pixels({record.strip: record for record in records}) == pixels


def test_a_stop_finishes_what_is_under_way(tiny: Tiny) -> None:
    stop = threading.Event()
    tiny.journal()
    records: list[StripRecord] = []

    def done(record: StripRecord) -> None:
        records.append(record)
        stop.set()

    InlineWorkforce().run(tiny.job, tiny.plan.strips, done=done, advance=lambda _windows: None, stop=stop)
    assert 1 <= len(records) < len(tiny.plan.strips)
    # Nothing is left of a strip that was begun and not finished.
    assert len(list(tiny.job.folder.glob("*.strip"))) == len(records)


def test_a_stop_before_the_beginning_computes_nothing(tiny: Tiny) -> None:
    stop = threading.Event()
    stop.set()
    assert run(tiny, InlineWorkforce(), stop) == ([], 0)
