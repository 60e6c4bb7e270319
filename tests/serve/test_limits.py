"""What comes in: hostile, too large, too slow or too much; refused cleanly, before memory or time is spent."""

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from terrazzo.errors import ConfigError
from terrazzo.host_memory import resident_memory
from terrazzo.serve.access import Keys

Client = Callable[..., TestClient]
Values = Callable[..., np.ndarray]
Encode = Callable[..., bytes]

KEY = "a-key-of-more-than-sixteen-signs"


def _png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _post(client: TestClient, content: bytes, name: str = "a.tif", **named: object) -> tuple[int, dict[str, object]]:
    answer = client.post("/v1/predict", files={"image": (name, content)}, **named)
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()


def test_hostile_files_are_refused_by_their_header(
    make_client: Client, make_values: Values, tiff_of: Encode, png_of: Encode, tmp_path: Path
) -> None:
    client = make_client()
    values = make_values(64, 64)
    whole, outside = tiff_of(values, tiled=True, blockxsize=64, blockysize=64), tmp_path / "secret.tif"
    outside.write_bytes(whole)
    vrt = f'<VRTDataset rasterXSize="64" rasterYSize="64"><SourceFilename>{outside}</SourceFilename></VRTDataset>'
    bomb = tiff_of(np.zeros((3, 5000, 5000), np.uint8), compress="deflate", tiled=True)
    hostile = {
        "10^9 pixels of PNG": (_png_header(40_000, 25_000), 413),
        "10^18 pixels of PNG": (_png_header(2**31 - 1, 2**31 - 1), 422),
        "zip bomb": (bomb, 413),
        "cut off TIFF": (whole[: len(whole) // 2], 422),
        "cut off PNG": (png_of(values)[:2000], 422),
        "TIFF of nothing": (b"II*\x00" + bytes(200), 422),
        "VRT": (vrt.encode(), 415),
        "text": (b"hello", 415),
        "empty": (b"", 415),
        "zip": (b"PK\x03\x04" + bytes(100), 415),
        "service description": (b"<GDAL_WMS><Service/></GDAL_WMS>", 415),
        "path": (str(outside).encode(), 415),
        "virtual file system": (b"/vsicurl/http://127.0.0.1/a.tif", 415),
    }
    before = resident_memory()
    for name, (content, status) in hostile.items():
        found, problem = _post(client, content)
        assert found == status, (name, problem)
        assert problem["advice"]
        assert str(tmp_path) not in str(problem)
    assert resident_memory() - before < 300 * 2**20
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"--x\r\n", 400),
        (b"no boundary at all", 400),
        (b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\na\r\n--x--\r\n', 422),
        (b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\na', 400),
        (b"--x\r\nContent-Disposition: " + b"a" * 20_000 + b"\r\n\r\na\r\n--x--\r\n", 400),
        (2 * b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\na\r\n' + b"--x--\r\n", 422),
    ],
)
def test_damaged_bodies_are_refused(body: bytes, status: int, make_client: Client) -> None:
    answer = make_client().post(
        "/v1/predict", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == status, answer.text
    assert answer.json()["advice"]


def test_a_body_is_refused_while_it_comes_in(make_client: Client) -> None:
    """Without a length, as it grows; with one, before it comes."""
    client = make_client(largest_request_mib=1)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        while sent < 2**26:
            sent += 2**16
            yield bytes(2**16)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/v1/predict", content=endless(), headers=kind).status_code == 413
    assert _post(client, bytes(2**21))[0] == 413


def test_few_pixels_with_many_windows_are_a_job(make_client: Client, make_values: Values, tiff_of: Encode) -> None:
    client = make_client(largest_pixels=100_000)
    status, problem = _post(client, tiff_of(make_values(1, 99_000)))
    assert status == 413
    assert "windows" in str(problem["detail"])
    assert "/v1/jobs" in str(problem["advice"])
    assert _post(client, tiff_of(make_values(400, 400)))[0] == 413


def test_keys_are_asked_for_and_never_told(
    make_client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TERRAZZO_KEY_1", KEY)
    caplog.set_level("DEBUG")
    client = make_client(api_key_env=("TERRAZZO_KEY_1",))
    refused = client.get("/v1/models", headers={"X-API-Key": KEY + "x"})
    assert refused.status_code == client.get("/v1/models").status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert client.get("/v1/models", headers={"X-API-Key": KEY}).status_code == 200
    assert client.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert client.get("/metrics").status_code == client.post("/v1/predict").status_code == 401
    assert client.get("/viewer/scenes").status_code == 401
    assert client.get("/healthz").status_code == client.get("/").status_code == 200
    assert "GET /v1/models 401" in caplog.text
    assert KEY not in caplog.text + refused.text + str(client.get("/openapi.json", headers={"X-API-Key": KEY}).text)


@pytest.mark.parametrize(("value", "said"), [("", "is not set"), ("short", "fewer than 16")])
def test_a_key_that_is_none_stops_the_start(value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAZZO_KEY_2", value)
    with pytest.raises(ConfigError, match=said):
        Keys.of_environment(["TERRAZZO_KEY_2"])


def test_a_client_that_asks_too_often_is_told_when_to_ask_again(make_client: Client) -> None:
    client = make_client(requests_per_minute=3)
    found = [client.get("/v1/models") for _ in range(4)]
    assert [one.status_code for one in found] == [200, 200, 200, 429]
    assert 1 <= int(found[-1].headers["retry-after"]) <= 20
    assert client.get("/healthz").status_code == 200


def test_pages_of_other_sites_cannot_make_a_browser_send(make_client: Client) -> None:
    client = make_client(origins=("https://maps.example.org",))
    assert client.post("/v1/jobs", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/v1/jobs", headers={"Origin": "http://127.0.0.1"}).status_code == 415
    assert client.post("/v1/jobs", headers={"Origin": "https://maps.example.org"}).status_code == 415
    allowed = client.get("/healthz", headers={"Origin": "https://maps.example.org"})
    assert allowed.headers["access-control-allow-origin"] == "https://maps.example.org"
    assert (
        "access-control-allow-origin" not in client.get("/healthz", headers={"Origin": "https://evil.example"}).headers
    )
