"""The viewer of one user: what it opens, to whom it answers, and what it says where it cannot start."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from terrazzo.errors import ConfigError, DataError
from terrazzo.scene.layers import layer_path
from terrazzo.serve import viewer_page
from terrazzo.serve.local_view import library_of, view, view_application
from terrazzo.serve.viewed_scene import layer_file


def test_it_answers_to_this_machine_s_names_only(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    app = view_application(library_of([make_map(tmp_path, layers=())]))
    assert TestClient(app, base_url="http://127.0.0.1").get("/viewer/scenes").status_code == 200
    assert TestClient(app, base_url="http://evil.example").get("/viewer/scenes").status_code == 400


def test_what_cannot_be_shown_is_said(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="nothing to look at"):
        library_of([tmp_path / "empty"])
    with pytest.raises(ConfigError, match="does not exist"):
        library_of([tmp_path / "nothing"])
    path = make_map(tmp_path / "maps", layers=())
    with pytest.raises(ConfigError, match="single map"):
        library_of([path.parent], image=path)


def test_without_the_built_page_it_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer_page, "STATIC", tmp_path)
    with pytest.raises(ConfigError, match="make viewer"):
        view([tmp_path], tell=print)
    answer = viewer_page.page_response()
    assert answer.status_code == 503
    assert b"make viewer" in answer.body
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_layers_lie_where_they_are_written() -> None:
    for path in (Path("a/b c.tif"), Path("x.y.png")):
        assert layer_file(path, "steps") == layer_path(path, "steps")


def test_the_program_serves_until_interrupted(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    if not viewer_page.is_built():
        pytest.skip("the viewer is not built (make viewer)")
    path = make_map(tmp_path / "mäps 1", layers=())
    program = Path(sys.executable).with_name("terrazzo")
    server = subprocess.Popen(
        [program, "view", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    page = httpx.get(address, timeout=30)
    assert page.status_code == 200
    for name in re.findall(r'/viewer/static/([^"]+)', page.text):
        assert httpx.get(f"{address}viewer/static/{name}").status_code == 200
    os.kill(server.pid, signal.SIGINT)
    _, errors = server.communicate(timeout=30)
    assert (server.returncode, errors) == (0, "")
