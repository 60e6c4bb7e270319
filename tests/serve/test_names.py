"""By which names a server may be called."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from terrazzo.serve.settings import LOOPBACK, ServeSettings


def test_a_server_of_this_machine_answers_to_its_names_alone(make_client: Callable[..., TestClient]) -> None:
    client = make_client()
    for name in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
        assert client.get("/v1/models", headers={"Host": name}).status_code == 200
    for name in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        refused = client.get("/v1/models", headers={"Host": name})
        assert refused.status_code == 403
        assert "hosts" in refused.json()["detail"]


def test_further_names_are_a_setting(make_client: Callable[..., TestClient]) -> None:
    client = make_client(hosts=("maps.example.org",))
    assert client.get("/healthz", headers={"Host": "maps.example.org"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "127.0.0.1"}).status_code == 403


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, LOOPBACK),
        ({"host": "0.0.0.0"}, ()),
        ({"api_key_env": ("KEY",)}, ()),
        ({"host": "0.0.0.0", "hosts": ("a.example",)}, ("a.example",)),
    ],
)
def test_names_follow_from_where_it_listens(settings: dict[str, object], names: tuple[str, ...]) -> None:
    assert ServeSettings(**settings).names == names


def test_no_page_loads_scripts_from_elsewhere(make_client: Callable[..., TestClient]) -> None:
    client = make_client()
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404
    assert client.get("/openapi.json").status_code == 200
