"""Progress kept in log files."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrazzo.log_progress import Logged, logged
from terrazzo.logs import LoggingSettings, configure_logging
from terrazzo.progress import Event, Progress, silent


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    yield
    room = logging.getLogger("terrazzo")
    for handler in [handler for handler in room.handlers if (handler.name or "").startswith("terrazzo.")]:
        room.removeHandler(handler)
        handler.close()
    configure_logging(LoggingSettings())
    for handler in list(room.handlers):
        room.removeHandler(handler)


def work(listener: Logged) -> None:
    with Progress("train", listener=listener, total=3, unit="updates") as progress:
        progress.note("epoch 1 of 1: val_miou 0.5")
        progress.advance(loss=0.25)
        with Progress("evaluate val", listener=listener, total=1):
            pass
        progress.advance(2)


def test_files_keep_what_a_listener_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(), tmp_path)
    told: list[Event] = []
    work(Logged(told.append, interval_s=0.0))
    lines = [line.partition("terrazzo.progress: ")[2] for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert lines == [
        "train: begins",
        "train: epoch 1 of 1: val_miou 0.5",
        "train: 1 of 3 updates, loss 0.25",
        "train: 3 of 3 updates",
        "train: done, 3 of 3 updates",
    ]
    assert [event.kind for event in told] == ["start", "note", "advance", "start", "finish", "advance", "finish"]
    assert capsys.readouterr().err == "", "the listener shows them"


def test_advance_is_kept_now_and_then(tmp_path: Path) -> None:
    configure_logging(LoggingSettings(), tmp_path)
    clock = iter([0.0, 0.0, 30.0, 61.0, 61.0, 90.0])
    listener = Logged(silent, clock=lambda: next(clock))
    with Progress("train", listener=listener, unit="updates") as progress:
        for _ in range(3):
            progress.advance()
    text = (tmp_path / "log.txt").read_text()
    assert "1 updates" not in text.splitlines()[1]
    assert "train: 2 updates" in text


def test_what_stops_a_job_inside_a_job_is_kept(tmp_path: Path) -> None:
    configure_logging(LoggingSettings(), tmp_path)
    listener = Logged(silent)
    with pytest.raises(OSError, match="full"), Progress("a", listener=listener), Progress("b", listener=listener):
        raise OSError("full")
    assert "b: stopped: full" in (tmp_path / "log.txt").read_text()


def test_a_stream_of_json_has_progress_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(format="json"), tmp_path)
    told: list[Event] = []
    work(Logged(told.append, interval_s=0.0))
    assert told == []
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines][1] == "train: epoch 1 of 1: val_miou 0.5"
    assert lines[2]["progress"] == {"job": "train", "done": 1, "total": 3, "unit": "updates", "loss": 0.25}


def test_nothing_is_kept_twice() -> None:
    once = logged(silent)
    assert logged(once) is once


def test_a_view_is_closed() -> None:
    class View:
        closed = False

        def __call__(self, _event: Event) -> None:
            pass

        def close(self) -> None:
            self.closed = True

    view = View()
    logged(view).close()
    assert view.closed
    logged(silent).close()
