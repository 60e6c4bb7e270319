"""A real browser, and servers for it."""

import importlib.util
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from terrazzo.serve.viewer_page import is_built

CHROMIUM = Path(os.environ.get("TERRAZZO_TEST_CHROMIUM", "/usr/bin/chromium"))

# The server's fixtures: the same maps and models, looked at through a browser.
_SPEC = importlib.util.spec_from_file_location("server_fixtures", Path(__file__).parents[1] / "serve" / "conftest.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_SERVER: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_SERVER)
make_map, bundle_path, models, MACHINE = _SERVER.make_map, _SERVER.bundle_path, _SERVER.models, _SERVER.MACHINE


# No longer than a module: while it is there, no other test can run an event loop of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; tests are skipped where it or the built viewer is missing, unless TERRAZZO_REQUIRE_VIEWER=1."""
    missing = [] if is_built() else ["the viewer is not built (make viewer)"]
    missing += [] if CHROMIUM.is_file() else [f"there is no {CHROMIUM} (Debian's package chromium)"]
    if missing:
        reason = " and ".join(missing)
        if os.environ.get("TERRAZZO_REQUIRE_VIEWER") == "1":
            pytest.fail(f"the viewer's tests are required, but {reason}")
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port, and yield its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


@pytest.fixture(scope="session")
def serve() -> Callable[[FastAPI], Any]:
    """Serve an application on a free port; a context manager of its address."""
    return served


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page that may say nothing in its console, ask no other host, and lose no request."""
    pages: list[Any] = []
    complaints: list[str] = []

    def complain(page: Any, address: str) -> None:
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "blob:", "data:"))
                else complaints.append(f"asked {request.url}")
            ),
        )
        page.on(
            "response", lambda answer: complaints.append(f"{answer.status} {answer.url}") if answer.status >= 400 else 0
        )

    def make(address: str, **settings: Any) -> Any:
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 800}, **settings})
        pages.append(page)
        page.set_default_timeout(15_000)
        complain(page, address)
        page.goto(address)
        return page

    yield make
    for page in pages:
        page.close()
    assert complaints == []
