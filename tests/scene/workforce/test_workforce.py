"""What holds for every workforce."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from terrazzo.errors import DataError
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.workforce.inline import InlineWorkforce
from terrazzo.scene.workforce.local import LocalWorkforce
from terrazzo.scene.workforce.workforce import Workforce

Tiny = Any

pytestmark = pytest.mark.parametrize("make", [InlineWorkforce, lambda: LocalWorkforce(2)], ids=["inline", "local"])


def run(
    tiny: Tiny,
    workforce: Workforce,
    numbers: list[int],
    done: Callable[[StripRecord], None],
    stop: threading.Event | None = None,
) -> int:
    told: list[int] = []
    strips = [tiny.plan.strips[number] for number in numbers]
    workforce.run(tiny.job, strips, done=done, advance=told.append, stop=stop or threading.Event())
    return sum(told)


def test_only_what_is_asked_for_is_computed(make: Callable[[], Workforce], tiny: Tiny) -> None:
    tiny.journal()
    records: list[StripRecord] = []
    told = run(tiny, make(), [4, 1], records.append)
    assert sorted(record.strip for record in records) == [1, 4]
    assert told == sum(len(tiny.plan.strips[number].rows) for number in (4, 1)) * len(tiny.plan.columns)


def test_a_record_comes_once_its_file_is_whole(make: Callable[[], Workforce], tiny: Tiny) -> None:
    journal = tiny.journal()
    whole: list[bool] = []
    run(tiny, make(), [0, 2], lambda record: whole.append(journal.is_whole(record)))
    assert whole == [True, True]


def test_records_come_one_at_a_time(make: Callable[[], Workforce], tiny: Tiny) -> None:
    tiny.journal()
    inside = threading.Lock()

    def done(record: StripRecord) -> None:
        assert inside.acquire(blocking=False)
        inside.release()

    run(tiny, make(), [0, 1, 2], done)


def test_after_a_stop_nothing_begins(make: Callable[[], Workforce], tiny: Tiny) -> None:
    tiny.journal()
    stop, records = threading.Event(), []
    stop.set()
    assert run(tiny, make(), [0, 1, 2], records.append, stop) == 0
    assert records == []


def test_what_done_raises_ends_the_run(make: Callable[[], Workforce], tiny: Tiny) -> None:
    tiny.journal()
    seen: list[int] = []

    def done(record: StripRecord) -> None:
        seen.append(record.strip)
        raise DataError("enough")

    with pytest.raises(DataError, match="enough"):
        run(tiny, make(), [0, 1, 2, 3], done)
    assert len(seen) == 1
