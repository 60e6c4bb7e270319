"""A worker of a cluster by itself: what it says, and what it refuses."""

import json
import time
from typing import Any

import pytest

from terrazzo.scene.request import code_fingerprint, device_of
from terrazzo.scene.workforce.places import Place
from terrazzo.scene.workforce.ray_worker import RayWorker, token_path

Tiny = Any


def begin(tiny: Tiny, *, code: str | None = None, device: str | None = None, token: bool = True) -> RayWorker:
    tiny.job.folder.mkdir(exist_ok=True)
    if token:
        token_path(tiny.job.folder, "ours").write_text("ours", encoding="utf-8")
    asked = {"code": code or code_fingerprint(), "device": device or device_of("cpu")}
    request = tiny.job.header.request.model_copy(update=asked)
    job = tiny.job.model_copy(update={"header": tiny.job.header.model_copy(update={"request": request})})
    worker = RayWorker(Place().model_dump_json())
    described = {"job": job.model_dump(mode="json"), "token": "ours", "worker": "theirs"}
    worker.first = json.loads(worker.exchange(json.dumps(described)))
    return worker


def hear(worker: RayWorker, kind: str, **request: object) -> dict[str, Any]:
    """Ask until something of this kind is said; what a request answers goes along with the first call."""
    said = worker.__dict__.pop("first", [])
    for _ in range(30):
        for message in said:
            if message["kind"] == kind:
                return message
            assert message["kind"] != "failed", message
        said = json.loads(worker.exchange(json.dumps(request)))
        request = {}
    raise AssertionError(f"it never said {kind}")


def test_it_computes_what_it_is_dealt_and_says_when_it_ends(tiny: Tiny) -> None:
    worker = begin(tiny)
    hear(worker, "next")
    assert token_path(tiny.job.folder, "theirs").exists()
    hear(worker, "next", strip=2)
    record = hear(worker, "done", strip=None)["record"]
    assert record["strip"] == 2
    assert (tiny.job.folder / record["file"]).stat().st_size == record["size"]
    assert hear(worker, "ended", strip=None) == {"kind": "ended"}


def test_without_a_job_it_answers_at_once() -> None:
    worker = RayWorker(Place().model_dump_json())
    begun = time.monotonic()
    assert [worker.exchange("{}") for _ in range(20)] == ["[]"] * 20
    assert time.monotonic() - begun < 10


def failure(worker: RayWorker) -> tuple[str, str]:
    said = worker.__dict__.pop("first", [])
    while not any(message["kind"] == "failed" for message in said):
        said = json.loads(worker.exchange("{}"))
    found = next(message["failure"] for message in said if message["kind"] == "failed")
    return found["kind"], found["message"]


def test_a_machine_that_does_not_see_the_folder_is_named(tiny: Tiny) -> None:
    kind, message = failure(begin(tiny, token=False))
    assert kind == "StorageError"
    assert "does not see" in message
    assert "mount it there too" in message


def test_a_folder_that_cannot_be_written_is_named(tiny: Tiny) -> None:
    tiny.job.folder.mkdir()
    # A folder stands where the worker's file would be: even the super-user cannot write it.
    token_path(tiny.job.folder, "theirs").mkdir()
    kind, message = failure(begin(tiny))
    assert kind == "StorageError"
    assert "cannot write" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"code": "0" * 64}, "other versions of Terrazzo, torch, numpy or rasterio"),
        ({"device": "cpu of another make"}, "another device rounds otherwise"),
    ],
)
def test_a_machine_of_other_bits_is_refused(tiny: Tiny, change: dict[str, str], expected: str) -> None:
    kind, message = failure(begin(tiny, **change))
    assert kind == "ConfigError"
    assert expected in message
