"""The worker's side: what it says, what it asks, and which GPU it sees."""

import json
import os
import queue
import threading
from typing import Any

import pytest

from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.workforce import process
from terrazzo.scene.workforce.places import Place
from terrazzo.scene.workforce.process import Link, compute

Tiny = Any


class Coordinator:
    """Deals what it is given, one answer a question, and keeps what it hears."""

    def __init__(self, answers: list[int | None]) -> None:
        self._answers = iter(answers)
        self._replies: queue.Queue[bytes] = queue.Queue()
        self.heard: list[dict[str, Any]] = []

    def send_bytes(self, message: bytes) -> None:
        content = json.loads(message)
        self.heard.append(content)
        if content["kind"] == "next":
            self._replies.put(json.dumps({"strip": next(self._answers)}).encode())

    def recv_bytes(self) -> bytes:
        return self._replies.get(timeout=60)

    def records(self) -> dict[int, StripRecord]:
        found = [StripRecord.model_validate(one["record"]) for one in self.heard if one["kind"] == "done"]
        return {record.strip: record for record in found}


def computed(tiny: Tiny, answers: list[int | None]) -> Coordinator:
    tiny.journal()
    coordinator = Coordinator(answers)
    compute(Link(coordinator), tiny.job, Place(lanes=2))
    return coordinator


def test_strips_are_computed_as_they_are_dealt(tiny: Tiny) -> None:
    count = len(tiny.plan.strips)
    at_once = computed(tiny, [*range(count), None, None])
    assert list(at_once.records()) == list(range(count))
    assert sum(one["windows"] for one in at_once.heard if one["kind"] == "advance") == tiny.plan.windows
    pixels = tiny.pixels(at_once.records())
    # A pause after each, and from the bottom up: the same bits.
    one_by_one = computed(tiny, [answer for strip in reversed(range(count)) for answer in (strip, None)] + [None])
    assert list(one_by_one.records()) == list(reversed(range(count)))
    assert tiny.pixels(one_by_one.records()) == pixels


def test_before_a_pause_everything_is_on_the_disk(tiny: Tiny) -> None:
    """Whoever hears the next question knows that the worker holds nothing."""
    coordinator = computed(tiny, [0, 1, None, 2, None, None])
    kinds = [one["kind"] for one in coordinator.heard if one["kind"] != "advance"]
    questions = [number for number, kind in enumerate(kinds) if kind == "next"]
    # 0, 1, the pause; and then the question for what follows it.
    assert kinds[: questions[3]].count("done") == 2
    assert kinds[-2:] == ["done", "next"]


def test_nothing_to_do_ends_at_once(tiny: Tiny) -> None:
    coordinator = computed(tiny, [None])
    assert [one["kind"] for one in coordinator.heard] == ["next"]


def test_messages_of_several_threads_stay_whole() -> None:
    sent: list[bytes] = []

    class Slow:
        def send_bytes(self, message: bytes) -> None:
            sent.extend(message[place : place + 7] for place in range(0, len(message), 7))

        def recv_bytes(self) -> bytes:
            raise AssertionError

    link = Link(Slow())
    threads = [threading.Thread(target=lambda: [link.tell("advance", windows=1) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(sent) == b'{"kind":"advance","windows":1}' * 800


@pytest.mark.parametrize(
    ("given", "position", "seen"),
    [(None, 2, "2"), ("", 1, "1"), ("5, 7", 1, "7"), ("GPU-8f,GPU-9a", 0, "GPU-8f")],
)
def test_a_worker_sees_one_gpu_of_those_that_the_job_sees(
    given: str | None, position: int, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given or "")
    if given is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    process._see_one_device(position)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
