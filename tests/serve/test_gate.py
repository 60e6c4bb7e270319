"""The gate: how many at once, how slow, and one shape for what nobody foresaw."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from terrazzo.serve.access import Keys, Rates
from terrazzo.serve.gate import Gate, Limits
from terrazzo.serve.metrics import Metrics
from terrazzo.serve.problems import Problem

Application = Callable[..., Awaitable[None]]


def _gate(app: Application, *, at_once: int = 1, seconds: float = 5.0) -> Gate:
    limits = Limits(at_once=at_once, send_seconds=seconds, origins=())
    return Gate(app, keys=Keys(()), rates=Rates(None), limits=limits, metrics=Metrics())


def _scope(method: str = "POST", path: str = "/v1/predict") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"secret=1"}


async def _plain(_scope: object, _receive: object, send: Callable[..., Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def _call(gate: Gate, parts: list[dict[str, Any]] | None = None, **scope: str) -> tuple[int, bytes, list[Any]]:
    left = [{"type": "http.request", "body": b""}] if parts is None else parts
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await gate(_scope(**scope), receive, send)
    refused = sent[0]["status"] >= 400 and parts is not None
    assert ((b"connection", b"close") in sent[0]["headers"]) == refused
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:]), left


def test_more_requests_at_once_than_may_be_are_told_to_come_again() -> None:
    async def scenario() -> None:
        going = asyncio.Event()

        async def slow(*call: Any) -> None:
            await going.wait()
            await _plain(*call)

        gate = _gate(slow)
        first = asyncio.create_task(_call(gate))
        await asyncio.sleep(0)
        status, body, _ = await _call(gate)
        assert status == 503
        assert json.loads(body)["detail"].startswith("1 requests are being answered")
        looking = asyncio.create_task(_call(gate, method="GET"))
        going.set()
        assert (await first)[0] == (await looking)[0] == 200
        assert (await _call(gate))[0] == 200

    asyncio.run(scenario())


def test_what_nobody_foresaw_has_the_one_shape_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_call: Any) -> None:
        raise RuntimeError("the secret of the server")

    status, body, _ = asyncio.run(_call(_gate(broken)))
    assert status == 500
    assert set(json.loads(body)) == {"type", "title", "status", "detail", "advice"}
    assert b"secret" not in body
    assert "the secret of the server" in caplog.text


def test_a_refused_body_is_read_so_that_the_answer_is_heard() -> None:
    async def refusing(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        raise Problem(413, "too much")

    parts = [{"type": "http.request", "body": b"a", "more_body": True} for _ in range(5)]
    parts.append({"type": "http.request", "body": b"a"})
    status, body, left = asyncio.run(_call(_gate(refusing), parts))
    assert (status, json.loads(body)["detail"], left) == (413, "too much", [])


def test_a_client_that_does_not_take_its_answer_is_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                await asyncio.sleep(30)

        await asyncio.wait_for(_gate(_plain, seconds=0.05)(_scope(path="/a b\n"), receive, send), 10)

    asyncio.run(scenario())
    assert "POST /a%20b%0A 499" in caplog.text
    assert "secret" not in caplog.text
