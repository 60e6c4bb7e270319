"""Only what would be computed again to the same bits is kept."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rasterio

from terrazzo.errors import DataError
from terrazzo.scene.header import Header
from terrazzo.scene.journal import HEADER_FILE, JOURNAL_FILE, Journal
from terrazzo.scene.reader import RowSource
from terrazzo.scene.workforce.finishing import finish_strips
from terrazzo.scene.workforce.inline import InlineWorkforce
from terrazzo.scene.workforce.job import open_job
from terrazzo.scene.workforce.resume import check_strips

Tiny = Any


def finish(tiny: Tiny, journal: Journal, workforce: InlineWorkforce | None = None) -> None:
    finish_strips(
        workforce or InlineWorkforce(),
        tiny.job,
        journal,
        tiny.plan.strips,
        advance=lambda _windows: None,
        finished=lambda: None,
        note=lambda _line: None,
    )


def start_again(tiny: Tiny, workforce: InlineWorkforce) -> tuple[bytes, tuple[int, ...]]:
    """Do what the engine does at every start; return the map and what was kept."""
    journal = Journal(tiny.job.folder)
    if journal.goes_on(tiny.job.header.request) and journal.header is not None:
        kept = check_strips(journal, tiny.plan, tiny.source, journal.header)
        journal.keep(kept)
    else:
        kept = ()
        journal.begin(tiny.job.header)
    finish(tiny, journal, workforce)
    return tiny.pixels(journal.records), kept


@pytest.fixture
def finished(tiny: Tiny) -> Journal:
    journal: Journal = tiny.journal()
    finish(tiny, journal)
    return journal


def all_of(tiny: Tiny) -> tuple[int, ...]:
    return tuple(strip.number for strip in tiny.plan.strips)


def test_all_is_kept_where_nothing_has_changed(tiny: Tiny, finished: Journal) -> None:
    looked: list[int] = []
    found = check_strips(Journal(tiny.job.folder), tiny.plan, tiny.source, tiny.job.header, checked=looked.append)
    assert found == all_of(tiny)
    assert sorted(looked) == list(found)


@pytest.mark.parametrize("cores", [1, 3, 64])
def test_readers_share_the_looking(cores: int, tiny: Tiny, finished: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(cores)))
    opened: list[int] = []

    @contextlib.contextmanager
    def source() -> Iterator[RowSource]:
        opened.append(1)
        with tiny.source() as rows:
            yield rows

    assert check_strips(finished, tiny.plan, source, tiny.job.header) == all_of(tiny)
    assert len(opened) == min(cores, 4)


def test_nothing_is_opened_where_nothing_is_finished(tiny: Tiny) -> None:
    def source() -> RowSource:
        raise AssertionError

    assert check_strips(tiny.journal(), tiny.plan, source, tiny.job.header) == ()


@pytest.mark.parametrize("part", ["request", "decisions"])
def test_another_header_keeps_nothing(part: str, tiny: Tiny, finished: Journal) -> None:
    changes = {"request": {"settings": "others"}, "decisions": {"batch_size": 2}}[part]
    inner = getattr(tiny.job.header, part).model_copy(update=changes)
    header = tiny.job.header.model_copy(update={part: inner})
    assert isinstance(header, Header)
    assert check_strips(finished, tiny.plan, tiny.source, header) == ()


def test_a_changed_pixel_takes_the_strips_that_saw_it(tiny: Tiny, finished: Journal) -> None:
    file = Path(tiny.job.scene.files[0])
    seam = tiny.plan.strips[2].above.start
    with rasterio.open(file, "r+") as scene:
        values = scene.read()
        values[1, seam, 7] ^= 1
        scene.write(values)
    found = check_strips(finished, tiny.plan, tiny.source, tiny.job.header)
    assert found == tuple(number for number in all_of(tiny) if number not in (1, 2))


def test_a_pixel_that_is_missing_now_counts_as_changed(tiny: Tiny, finished: Journal) -> None:
    file = Path(tiny.job.scene.files[0])
    with rasterio.open(file) as scene:
        value = int(scene.read(1)[0, 0])
    with rasterio.open(file, "r+") as scene:
        scene.nodata = value
    assert 0 not in check_strips(finished, tiny.plan, tiny.source, tiny.job.header)


def test_a_record_of_another_strip_is_not_believed(tiny: Tiny, finished: Journal) -> None:
    finished.records[1] = finished.records[2].model_copy(update={"strip": 1})
    assert 1 not in check_strips(finished, tiny.plan, tiny.source, tiny.job.header)


def test_what_cannot_be_read_now_is_not_kept(tiny: Tiny, finished: Journal) -> None:
    class Failing:
        def rows(self, top: int, bottom: int) -> Iterator[object]:
            raise DataError("gone")

        def take_unreadable(self) -> tuple[()]:
            return ()

    source = contextlib.nullcontext(Failing())
    assert check_strips(finished, tiny.plan, lambda: source, tiny.job.header) == ()


def test_another_error_is_not_swallowed(tiny: Tiny, finished: Journal) -> None:
    def source() -> RowSource:
        raise MemoryError

    with pytest.raises(MemoryError):
        check_strips(finished, tiny.plan, source, tiny.job.header)


class TestDamage:
    """Whatever byte of the folder is flipped or cut off, the map is the same, and no more is computed than needed."""

    @pytest.fixture
    def small(self, make_tiny: Callable[..., Tiny]) -> Tiny:
        return make_tiny(shape=(40, 17), strip_pixels=14)

    @pytest.fixture
    def workforce(self, small: Tiny) -> Iterator[InlineWorkforce]:
        with open_job(small.job) as opened:
            yield InlineWorkforce(opened)

    def check(self, small: Tiny, workforce: InlineWorkforce, name: str, step: int) -> set[int]:
        """Damage one file in many ways; return how many strips were kept in each."""
        expected, kept = start_again(small, workforce)
        assert kept == ()
        counts = set()
        for place in itertools.count(0, step):
            assert start_again(small, workforce)[0] == expected
            path = small.job.folder / name if name else min(small.job.folder.glob("*.strip"))
            whole = path.read_bytes()
            if place >= len(whole):
                return counts
            damaged = whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :]
            path.write_bytes(damaged if place % 2 else whole[:place])
            found, kept = start_again(small, workforce)
            assert found == expected
            counts.add(len(kept))
        raise AssertionError

    def test_the_journal(self, small: Tiny, workforce: InlineWorkforce) -> None:
        strips = len(small.plan.strips)
        counts = self.check(small, workforce, JOURNAL_FILE, step=61)
        assert max(counts) == strips - 1
        assert min(counts) == 0

    def test_the_header(self, small: Tiny, workforce: InlineWorkforce) -> None:
        strips = len(small.plan.strips)
        assert self.check(small, workforce, HEADER_FILE, step=29) <= {0, strips}

    def test_a_strip(self, small: Tiny, workforce: InlineWorkforce) -> None:
        assert self.check(small, workforce, "", step=61) == {len(small.plan.strips) - 1}
