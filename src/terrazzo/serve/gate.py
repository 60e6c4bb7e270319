"""What every request passes: key, rate, number, time, one log line, one count; and one shape for what goes wrong."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terrazzo.serve.access import Keys, Rates, require_own_name, require_own_page
from terrazzo.serve.metrics import Metrics
from terrazzo.serve.problems import Problem

__all__ = ["Gate", "Limits"]

_LOG = logging.getLogger("terrazzo.serve")

_OPEN = frozenset({"/", "/healthz", "/readyz"})
_OPEN_FOLDER = "/viewer/static/"
"""The page and its parts: they hold nothing of any scene."""
_GONE = 499
"""Status in log and counts where the client went away."""
_DRAINED_SECONDS = 2.0
_DRAINED_BYTES = 2**26


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
        at_once: Requests with a body that are taken in or answered at the same time.
        send_seconds: Longest time for which a client may take nothing of its answer.
        origins: Origins whose pages may send.
        hosts: Names by which the server may be called; any if empty.
    """

    at_once: int
    send_seconds: float
    origins: Sequence[str]
    hosts: Sequence[str] = ()


class Gate:
    """Middleware around the whole application.

    Args:
        app: The application.
        keys: Who may ask.
        rates: How often.
        limits: What a request may take.
        metrics: Counts requests.
    """

    def __init__(self, app: ASGIApp, *, keys: Keys, rates: Rates, limits: Limits, metrics: Metrics) -> None:
        self._app = app
        self._keys = keys
        self._rates = rates
        self._limits = limits
        self._metrics = metrics
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(receive, send, self._limits.send_seconds, more=_has_body(scope))
        begun = time.monotonic()
        try:
            await self._answered(scope, passage)
        except (ClientDisconnect, TimeoutError):
            passage.status = _GONE
        finally:
            seconds = time.monotonic() - begun
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(scope["method"], route, passage.status, seconds)
            # The query is left out: whoever puts a secret there shall not find it in a log.
            _LOG.info("%s %s %d %.3f s", scope["method"], quote(scope["path"]), passage.status, seconds)

    async def _answered(self, scope: Scope, passage: "_Passage") -> None:
        problem: Problem
        counted = False
        try:
            self._require(scope)
            if scope["method"] == "POST":
                self._take_place()
                counted = True
            await self._app(scope, passage.receive, passage.send)
        except Problem as found:
            problem = found
        except (ClientDisconnect, TimeoutError):
            raise
        except Exception:  # noqa: BLE001 - a client meets every error in the one shape
            _LOG.exception("%s %s failed unexpectedly.", scope["method"], quote(scope["path"]))
            problem = Problem(500, "The server failed unexpectedly.")
        else:
            return
        finally:
            self._taken -= counted
        if not passage.begun:
            await problem.response()(scope, passage.receive, passage.send)

    def _require(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        method, path = scope["method"], scope["path"]
        require_own_name(headers, self._limits.hosts)
        require_own_page(method, headers, self._limits.origins)
        client: bytes | str | None = None
        if path not in _OPEN and not path.startswith(_OPEN_FOLDER):
            client = self._keys.require(headers)
            self._rates.take(client or (scope.get("client") or ("unknown",))[0])

    def _take_place(self) -> None:
        if self._taken >= self._limits.at_once:
            raise Problem(503, f"{self._taken} requests are being answered, and no more are taken at once.")
        self._taken += 1


class _Passage:
    """A request's messages: what is sent is watched, and a body that was refused is read to its end.

    A client that still sends while it is told why would otherwise find a closed connection instead of the answer.
    """

    def __init__(self, receive: Receive, send: Send, seconds: float, *, more: bool) -> None:
        self.status = _GONE
        self.begun = False
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._more = more

    async def receive(self) -> Message:
        """Return the next message."""
        message = await self._receive()
        self._more = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a message, if the client takes it in time."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.begun = True
            if self._more and self.status >= 400:
                # The rest of the body may never come: nothing else can be asked on this connection.
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        elif self._more and self.status >= 400 and not message.get("more_body", False):
            await asyncio.wait_for(self._send({**message, "more_body": True}), self._seconds)
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await asyncio.wait_for(self._send(message), self._seconds)

    async def _drain(self) -> None:
        left = _DRAINED_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAINED_SECONDS):
                while self._more and left > 0:
                    left -= len((await self.receive()).get("body", b""))


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])
