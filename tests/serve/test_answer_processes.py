"""Small images in processes of their own: the server's bits, its refusals, and no answer lost where one ends."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from fastapi.testclient import TestClient

from terrazzo.bundle import Bundle
from terrazzo.serve.answer_processes import AnswerProcesses, process_count
from terrazzo.serve.answering import Question
from terrazzo.serve.application import application
from terrazzo.serve.batching import Ticket, WindowQueue
from terrazzo.serve.models import Models, load_models
from terrazzo.serve.problems import Problem
from terrazzo.serve.process_handle import ProcessHandle
from terrazzo.serve.settings import ServeSettings

Values = Callable[..., np.ndarray]
Encode = Callable[..., bytes]

MACHINE = {"accelerator": "cpu", "precision": "float32", "threads": 1}


@pytest.fixture(scope="module")
def client(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server with two processes."""
    settings = ServeSettings(folder=tmp_path_factory.mktemp("served"), machine=MACHINE, processes=2)
    with TestClient(application(models, settings), base_url="http://127.0.0.1") as found:
        _wait(lambda: _processes(found).running == 2)
        yield found


def _wait(until: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not until():
        assert time.monotonic() - begun < 120
        time.sleep(0.05)


def _processes(client: TestClient) -> AnswerProcesses:
    found: AnswerProcesses = client.app.state.service.processes
    return found


def _passes(client: TestClient) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("terrazzo_pass_windows_count")).split()[1])


@pytest.mark.parametrize("output", ["png", "geotiff", "json", "geojson"])
def test_answers_are_those_of_the_servers_own_process(
    client: TestClient,
    make_client: Callable[..., TestClient],
    make_values: Values,
    tiff_of: Encode,
    output: str,
) -> None:
    values = make_values(150, 100, seed=2)
    values[:, :9, :5] = 0
    content, own = tiff_of(values, nodata=0), make_client(processes=0)
    before = _passes(client)
    asked = {"files": {"image": ("größe 1.tif", content)}, "params": {"output": output}}
    found, expected = client.post("/v1/predict", **asked), own.post("/v1/predict", **asked)
    assert (found.status_code, expected.status_code) == (200, 200), found.text
    assert found.content == expected.content
    assert found.headers["content-type"] == expected.headers["content-type"]
    # One group of six windows passed, in another process, and was counted.
    assert _passes(client) == before + 1


def test_what_takes_more_than_a_group_is_answered_by_the_server_itself(
    client: TestClient, make_client: Callable[..., TestClient], make_values: Values, tiff_of: Encode
) -> None:
    content = tiff_of(make_values(300, 400, seed=3))
    asked = {"files": {"image": ("a.tif", content)}, "params": {"output": "geotiff"}}
    before = _passes(client)
    found = client.post("/v1/predict", **asked)
    assert found.content == make_client(processes=0).post("/v1/predict", **asked).content
    assert _passes(client) > before + 1
    # The process that left it answers the next one.
    small = client.post("/v1/predict", files={"image": ("a.tif", tiff_of(make_values(64, 64)))})
    assert small.status_code == 200


def test_refusals_are_the_same(
    client: TestClient, make_client: Callable[..., TestClient], make_values: Values, tiff_of: Encode, png_of: Encode
) -> None:
    whole = tiff_of(make_values(64, 64))
    own = make_client(processes=0)
    hostile = {
        "cut off": whole[: len(whole) // 2],
        "two bands": tiff_of(make_values(64, 64)[:2]),
        "too large": tiff_of(np.zeros((3, 5000, 5000), np.uint8), compress="deflate", tiled=True),
        "cut off picture": png_of(make_values(64, 64))[:200],
        "text": b"hello",
    }
    for name, content in hostile.items():
        found = client.post("/v1/predict", files={"image": ("b.tif", content)})
        expected = own.post("/v1/predict", files={"image": ("b.tif", content)})
        assert found.status_code == expected.status_code >= 400, name
        assert found.json() == expected.json(), name
        assert "served" not in found.text, name
    found = client.post("/v1/predict", files={"image": ("b.tif", whole)}, params={"layer": "sets", "output": "png"})
    assert found.status_code == 422


def test_too_many_windows_wait(client: TestClient, make_values: Values, tiff_of: Encode) -> None:
    queue = client.app.state.service.queue
    with queue.admitted(Ticket(windows=4096)):
        refused = client.post("/v1/predict", files={"image": ("b.tif", tiff_of(make_values(64, 64)))})
    assert refused.status_code == 503
    assert "Retry-After" in refused.headers
    assert client.post("/v1/predict", files={"image": ("b.tif", tiff_of(make_values(64, 64)))}).status_code == 200


def test_a_process_that_is_killed_costs_its_own_request_at_most(
    client: TestClient, make_values: Values, tiff_of: Encode
) -> None:
    contents = [tiff_of(make_values(64, 64, seed=seed)) for seed in range(8)]

    def ask(content: bytes) -> tuple[int, bytes]:
        found = client.post("/v1/predict", files={"image": ("a.tif", content)}, params={"output": "geotiff"})
        return found.status_code, found.content

    expected = [ask(content) for content in contents]
    assert {status for status, _ in expected} == {200}
    alive = list(_processes(client)._ready)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, content) for content in contents * 6]
        time.sleep(0.05)
        os.kill(alive[0].process.pid, signal.SIGKILL)
        found = [one.result(60) for one in asked]
    lost = [status for status, _ in found if status != 200]
    assert lost in ([], [503])
    for (status, content), (_, wanted) in zip(found, expected * 6, strict=True):
        assert status == 503 or content == wanted
    # Another takes its place.
    _wait(lambda: _processes(client).running == 2)
    assert [ask(content) for content in contents] == expected
    running = _processes(client)._ready
    assert len(running) == 2
    assert alive[0] not in running


def test_a_process_that_died_while_it_was_idle_costs_nothing(
    client: TestClient, make_values: Values, tiff_of: Encode
) -> None:
    for process in list(_processes(client)._ready):
        process.process.kill()
        process.process.join()
    asked = {"image": ("a.tif", tiff_of(make_values(64, 64)))}
    assert [client.post("/v1/predict", files=asked).status_code for _ in range(4)] == [200] * 4
    _wait(lambda: _processes(client).running == 2)


def test_what_waits_is_given_up_or_left_to_who_asked(models: Models, make_values: Values, tmp_path: Path) -> None:
    model = models.find(None)
    question = Question(model, tmp_path / "a.tif", "a.tif", "json", "class", 2**20, 100)
    with closing(WindowQueue(lanes=1, wait_seconds=0.0, most_windows=10, observe=lambda _: None)) as queue:
        processes = AnswerProcesses(models, ServeSettings(machine=MACHINE), queue, observe=lambda _: None)
        nobody = processes.ask(question, Ticket(windows=0), folder=tmp_path)
        assert nobody.result(0) is None
        # One that is busy for ever, so that all wait.
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,), daemon=True)
        process.start()
        handle = ProcessHandle(process, ours)
        processes._alive.append(handle)
        processes._ready.append(handle)
        tickets = [Ticket(windows=0) for _ in range(3)]
        waiting = [processes.ask(question, ticket, folder=tmp_path) for ticket in tickets]
        processes.give_up(tickets[1])
        with pytest.raises(Problem, match="stopped"):
            waiting[1].result(0)
        assert not waiting[0].done()
        assert not waiting[2].done()
        processes.close()
        theirs.close()
        assert [waiting[0].result(0), waiting[2].result(0)] == [None, None]
        assert not process.is_alive()
        assert processes.ask(question, Ticket(windows=0), folder=tmp_path).result(0) is None


def test_where_processes_cannot_begin_the_server_answers_itself(
    bundle_path: Path, make_values: Values, tiff_of: Encode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "moved.safetensors"
    bundle = Bundle.load(bundle_path)
    bundle.save(path)
    models = load_models([path], ServeSettings(machine=MACHINE))
    path.unlink()
    replace(bundle, patch_size=32).save(path)
    settings = ServeSettings(folder=tmp_path / "served", machine=MACHINE, processes=1)
    with TestClient(application(models, settings), base_url="http://127.0.0.1") as client:
        found = client.post("/v1/predict", files={"image": ("a.tif", tiff_of(make_values(64, 64)))})
        assert found.status_code == 200
        _wait(lambda: "No further process is tried" in caplog.text)
        assert _processes(client).running == 0
        assert client.post("/v1/predict", files={"image": ("a.tif", tiff_of(make_values(64, 64)))}).status_code == 200
    assert "has changed since the server began" in caplog.text


def test_processes_end_with_the_server(client: TestClient) -> None:
    ids = [one.process.pid for one in _processes(client)._ready]
    assert all(psutil.pid_exists(one) for one in ids)
    _processes(client).close()
    assert not any(psutil.pid_exists(one) for one in ids)
    # What comes now is answered all the same, by whoever is left.
    assert _processes(client).running == 0


def test_as_many_as_lanes_and_as_memory_holds(models: Models) -> None:
    served = models.find(None)
    alone = Models([replace(served, sizes=frozenset(), lanes=8)])
    auto = ServeSettings(machine=MACHINE)
    assert process_count(alone, auto, free=2**40) == 8
    assert process_count(alone, auto, free=8 * 2**30) == 5
    assert process_count(alone, auto, free=2**30) == 0
    # Windows that share passes belong into one process, and so does a single lane.
    assert process_count(Models([replace(served, sizes=frozenset({1, 2}), lanes=8)]), auto, free=2**40) == 0
    assert process_count(Models([replace(served, sizes=frozenset(), lanes=1)]), auto, free=2**40) == 0
    assert process_count(alone, ServeSettings(machine=MACHINE, processes=3), free=0) == 3
