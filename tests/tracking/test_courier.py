"""Delivery: each entry once, in order, whatever the other side does."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from terrazzo.tracking import Entry, TrackedRun, Tracking, courier

PICTURE = np.full((4, 6, 3), 7, np.uint8)


def update(step: int, loss: float = 0.5) -> Entry:
    return Entry("update", {"loss": loss, "lr": 0.1}, epoch=1, update=step)


def told(service: Any) -> list[str]:
    return [entry.identity for entry in service.entries]


def opened(remote: Callable[..., Any], tracked: TrackedRun, **settings: Any) -> Tracking:
    return Tracking([remote()], tracked, farewell_s=5.0, **settings)


BEGUN = "hyperparameters::"


def test_everything_arrives_in_order_with_numbers_and_pictures(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun
) -> None:
    with opened(remote, tracked) as tracking:
        tracking.add(update(1))
        tracking.add(Entry("pictures", {}, "worst", 1, 1, pictures=[PICTURE, PICTURE]))
    assert told(service) == [BEGUN, "update::1", "pictures:worst:1"]
    assert [entry.number for entry in service.entries] == [1, 2, 3]
    assert [picture.tolist() for picture in service.entries[2].pictures] == [PICTURE.tolist()] * 2
    assert service.entries[0].values == {"seed": 3, "train.epochs": 2, "data.folder": "${oc.env:ROOT}"}
    assert service.ends == ["finished"]
    assert list((tracked.folder / "tracking" / "pictures").iterdir()) == [], "what has arrived is not kept"


def test_a_run_taken_up_again_goes_on_in_the_same_run_and_tells_nothing_twice(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun
) -> None:
    with opened(remote, tracked) as tracking:
        for step in (1, 2, 3):
            tracking.add(update(step))
    with opened(remote, tracked) as tracking:
        for step in (2, 3, 4):  # its checkpoint was at update 1
            tracking.add(update(step, loss=0.25))
    assert told(service) == [BEGUN, *(f"update::{step}" for step in (1, 2, 3, 4))]
    assert [entry.values["loss"] for entry in service.entries[1:]] == [0.5, 0.5, 0.5, 0.25]
    assert len(set(service.identities)) == 1
    assert len(service.identities[0]) == 32


def test_other_settings_are_another_run_which_gets_everything(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun
) -> None:
    opened(remote, tracked).close()
    with Tracking([remote(project="q")], tracked) as tracking:
        tracking.add(update(1))
    assert told(service) == [BEGUN, BEGUN, "update::1"]
    assert len(set(service.identities)) == 2


def test_a_service_that_is_away_ends_no_training_and_gets_everything_later(
    remote: Callable[..., Any],
    service: Any,
    tracked: TrackedRun,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOST_TOKEN", "s3cr3t-host")
    monkeypatch.setattr(courier.Courier, "_pause", lambda _self, _seconds: time.sleep(0.01))
    service.away = 3
    with caplog.at_level(logging.INFO, "terrazzo"), opened(remote, tracked) as tracking:
        tracking.add(update(1))
        while len(service.entries) < 2:
            time.sleep(0.01)
        service.away = 2
        tracking.add(update(2))
        while len(service.entries) < 3:
            time.sleep(0.01)
    assert told(service) == [BEGUN, "update::1", "update::2"]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert [message.split(" (")[0] for message in said] == [
        "remote cannot be reached",
        "remote is reached again.",
    ] * 2, "once an outage"
    assert len(set(service.identities)) == 1


def test_what_has_not_arrived_is_said_and_delivered_by_the_next_start(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun, caplog: pytest.LogCaptureFixture
) -> None:
    service.away = 1000
    with opened(remote, tracked) as tracking:
        tracking.add(Entry("pictures", {}, "worst", 1, 1, pictures=[PICTURE]))
    assert service.entries == []
    assert "2 of 2 entries have not arrived" in caplog.text
    service.away = 0
    opened(remote, tracked).close()
    assert told(service) == [BEGUN, "pictures:worst:1"]
    assert len(service.entries[1].pictures) == 1


def test_a_service_that_hangs_holds_up_neither_training_nor_its_end(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun, caplog: pytest.LogCaptureFixture
) -> None:
    service.stuck = threading.Event()
    tracking = Tracking([remote()], tracked, farewell_s=0.2)
    begun = time.monotonic()
    for step in range(200):
        tracking.add(update(step))
    tracking.close()
    assert time.monotonic() - begun < 5
    assert "have not arrived" in caplog.text
    service.stuck.set()


def test_a_refused_entry_is_named_and_the_next_ones_arrive(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun, caplog: pytest.LogCaptureFixture
) -> None:
    service.refuses = "hyperparameters"
    with opened(remote, tracked) as tracking:
        tracking.add(update(1))
    assert told(service) == ["update::1"]
    assert f"remote does not take {BEGUN}: too long" in caplog.text


def test_what_counts_only_once_closed_is_told_again_after_a_kill(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun
) -> None:
    service.keeps_at_once = False
    killed = opened(remote, tracked)
    killed.add(update(1))
    while killed._couriers[0]._sent < 2:
        time.sleep(0.01)
    with opened(remote, tracked) as tracking:
        tracking.add(update(1))
        tracking.add(update(2))
    assert told(service) == [BEGUN, "update::1", "update::2"]
    killed.close("stopped")


def test_a_tracker_that_joins_late_gets_settings_and_all_epochs(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun
) -> None:
    history = [{"epoch": 1, "val_miou": 0.25}, {"epoch": 2, "val_miou": None}]
    opened(remote, tracked, history=history).close()
    assert told(service) == [BEGUN, "epoch::1", "epoch::2"]
    assert service.entries[1].values == {"val_miou": 0.25}


def test_a_line_that_a_kill_left_unfinished_is_cut_off(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun
) -> None:
    opened(remote, tracked).close()
    with (tracked.folder / "tracking" / "journal.jsonl").open("a") as file:
        file.write('{"identity": "update::1", "kin')
    with opened(remote, tracked) as tracking:
        tracking.add(update(1))
    assert told(service) == [BEGUN, "update::1"]


@pytest.mark.parametrize(
    ("error", "status"), [(None, "finished"), (ValueError, "failed"), (KeyboardInterrupt, "stopped")]
)
def test_a_track_is_told_how_the_run_ended(
    error: Any, status: str, remote: Callable[..., Any], service: Any, tracked: TrackedRun
) -> None:
    try:
        with opened(remote, tracked):
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    assert service.ends == [status]


def test_a_phase_that_is_done_again_with_another_result_is_news(
    remote: Callable[..., Any], service: Any, tracked: TrackedRun
) -> None:
    phase = Entry("phase", {"seconds": 2.0, "evaluate/test_miou": 0.5}, "evaluate test")
    with opened(remote, tracked) as tracking:
        tracking.add(phase)
        tracking.add(replace(phase, values={**phase.values, "seconds": 3.0}))
        tracking.add(replace(phase, values={**phase.values, "evaluate/test_miou": 0.6}))
    assert [entry.values["evaluate/test_miou"] for entry in service.entries[1:]] == [0.5, 0.6]


def test_without_trackers_nothing_is_written(tracked: TrackedRun) -> None:
    with Tracking((), tracked) as tracking:
        tracking.add(update(1))
        assert tracking.sizes() == {}
        assert not tracking.shows_pictures
    assert not tracked.folder.exists()
