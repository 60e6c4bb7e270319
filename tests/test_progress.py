"""Progress events."""

import dataclasses

import pytest

from terrazzo.progress import Event, Progress, silent


def collect(**settings: object) -> tuple[list[Event], Progress]:
    events: list[Event] = []
    return events, Progress("map", listener=events.append, **settings)


def test_a_job_opens_moves_and_closes() -> None:
    events, progress = collect(total=10, unit="windows")
    with progress:
        progress.advance(4, loss=0.5)
        progress.note("half way")
        progress.advance(6)
    assert [event.kind for event in events] == ["start", "advance", "note", "advance", "finish"]
    assert [event.done for event in events] == [0, 4, 4, 10, 10]
    assert {event.total for event in events} == {10}
    assert {event.unit for event in events} == {"windows"}
    assert events[1].figures == {"loss": 0.5}
    assert events[2].message == "half way"
    assert events[3].figures == {}


def test_a_job_of_unknown_length_has_no_total() -> None:
    events, progress = collect()
    with progress:
        progress.advance()
    assert events[-1].total is None
    assert events[-1].done == 1


def test_an_error_closes_the_job_and_goes_on() -> None:
    events, progress = collect()
    with pytest.raises(ValueError, match="bad band"), progress:
        raise ValueError("bad band")
    assert events[-1].kind == "finish"
    assert events[-1].message == "stopped: bad band"


def test_an_error_without_words_is_named_by_its_kind() -> None:
    events, progress = collect()
    with pytest.raises(KeyboardInterrupt), progress:
        raise KeyboardInterrupt
    assert events[-1].message == "stopped: KeyboardInterrupt"


def test_a_good_end_says_nothing() -> None:
    events, progress = collect()
    with progress:
        pass
    assert events[-1].message == ""


def test_each_advances_after_its_item_was_worked_on() -> None:
    _, progress = collect(total=3)
    with progress:
        seen = [(item, progress.done) for item in progress.each("abc")]
    assert seen == [("a", 0), ("b", 1), ("c", 2)]
    assert progress.done == 3


def test_each_does_not_count_the_item_that_failed() -> None:
    events, progress = collect(total=2)
    with pytest.raises(ZeroDivisionError), progress:
        _ = [1 // item for item in progress.each([1, 0])]
    assert events[-1].done == 1


def test_time_runs_from_entry_and_never_back() -> None:
    events, progress = collect()
    with progress:
        progress.advance()
        progress.advance()
    seconds = [event.seconds for event in events]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] <= progress.seconds


def test_a_listener_is_not_required() -> None:
    with Progress("quiet", total=1) as progress:
        progress.advance()
    assert progress.done == 1
    assert silent(Event("note", "quiet")) is None


def test_events_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Event("start", "map").done = 3
