"""Claim: what is sent to do harm is refused in one shape, and the server stays well and within its memory.

Usage: python benchmarks/serve_hostile.py [--memory-mib 2500] [--slow 64] [--kill]

Starts `terrazzo serve` and sends it, over loopback: decompression bombs in TIFF and PNG, headers of 10^9 pixels and
more, giant blocks and band counts, cut-off and damaged files, other kinds of files (archives, VRT and other
descriptions of files elsewhere), paths out of the root, damaged multipart bodies, endless bodies, and many slow clients
(of heads, of bodies) while a good one is answered. Then, with --kill, the server is killed by SIGKILL during a job
and started again, and the job's map is compared with that of `terrazzo predict`.

Prints a line a case; exits 1 where a case is answered otherwise than it should be, an answer names a path of the
server, the good client is not answered, or the largest memory is above --memory-mib.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from process_family import LargestMemory, memory_mib
from serve_throughput import make_bundle

HEAD = b'--x\r\nContent-Disposition: form-data; name="image"; filename="../../a b.tif"\r\n\r\n'
TAIL = b"\r\n--x--\r\n"
KIND = {"Content-Type": "multipart/form-data; boundary=x"}
UPLOAD_SECONDS = 3
CORES = len(os.sched_getaffinity(0))


class Server:
    """A server as a process of its own."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self._command = [
            sys.executable, "-m", "terrazzo.cli", "serve", str(bundle), "--port", "0",
            "--folder", str(folder / "served"), "--root", str(folder / "root"), "machine.precision=float32",
            f"serve.upload_seconds={UPLOAD_SECONDS}", "predict.strip_pixels=256", "predict.report=false",
        ]  # fmt: skip
        self._log = folder / "server.log"
        self.start()

    def start(self) -> None:
        """Start it and wait for its address."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, text=True)
        address = self.process.stdout.readline().strip() if self.process.stdout else ""
        if not address:
            raise SystemExit(self._log.read_text())
        self.port = int(address.rpartition(":")[2])

    def settle(self) -> None:
        """Wait until as many processes answer small images as there are cores."""
        for _ in range(300):
            figures = self.ask("GET", "/metrics")[1].decode()
            if int(float(re.search(r"^terrazzo_answer_processes (.*)$", figures, re.MULTILINE)[1])) == CORES:
                return
            time.sleep(0.2)
        raise SystemExit("The processes that answer small images do not begin.")

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a request and return status and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def post(self, content: bytes, path: str = "/v1/predict") -> tuple[int, bytes]:
        """Send an image."""
        return self.ask("POST", path, HEAD + content + TAIL, KIND)


def tiff(values: np.ndarray, **profile: object) -> bytes:
    bands, height, width = values.shape
    shape = {"count": bands, "height": height, "width": width, "dtype": values.dtype}
    place = {"crs": "EPSG:32612", "transform": Affine(0.5, 0, 300_000, 0, -0.5, 4_100_000)}
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", **shape, **place, **profile) as file:
            file.write(values)
        return bytes(memory.read())


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in parts)


def bare_tiff(**tags: int) -> bytes:
    """Return a TIFF of a header alone, whose tags claim what they like."""
    known = {"width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262, "strip": 273,
             "samples": 277, "rows": 278, "bytes": 279, "tile_width": 322, "tile_height": 323, "tile": 324,
             "tile_bytes": 325}  # fmt: skip
    entries = sorted((known[name], value) for name, value in tags.items())
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + body + bytes(4 + 64)


def hostile_files(outside: Path) -> Iterator[tuple[str, bytes, set[int]]]:
    good = tiff(np.full((3, 64, 64), 9, np.uint8), tiled=True, blockxsize=64, blockysize=64)
    deflated = zlib.compress(bytes(2**27), 9)
    yield (
        "zip bomb: 12000 x 12000 of deflate",
        tiff(np.zeros((3, 12_000, 12_000), np.uint8), compress="deflate", tiled=True),
        {413},
    )
    yield "zip bomb in one PNG chunk", png(300, 300, (b"IDAT", deflated)), {200, 413, 422}
    yield (
        "zip bomb in a PNG's text",
        png(64, 64, (b"zTXt", b"a\0\0" + deflated), (b"IDAT", zlib.compress(bytes(64 * 193)))),
        {200, 422},
    )
    yield "PNG of 10^9 pixels", png(40_000, 25_000, (b"IDAT", deflated)), {413}
    yield "PNG of 2^62 pixels", png(2**31 - 1, 2**31 - 1, (b"IDAT", deflated)), {413, 422}
    plain = {"bits": 8, "compression": 1, "photometric": 1, "samples": 1}
    yield (
        "TIFF of 10^9 pixels",
        bare_tiff(width=40_000, height=25_000, strip=200, rows=25_000, bytes=10, **plain),
        {413},
    )
    yield (
        "TIFF of 2^32 pixels a side",
        bare_tiff(width=2**32 - 1, height=2**32 - 1, strip=200, rows=1, bytes=10, **plain),
        {413, 422},
    )
    yield (
        "TIFF with a giant tile",
        bare_tiff(width=64, height=64, tile_width=60_000, tile_height=60_000, tile=200, tile_bytes=10, **plain),
        {413, 422},
    )
    yield (
        "TIFF of 65535 bands",
        bare_tiff(
            width=64, height=64, bits=8, compression=1, photometric=1, samples=65_535, strip=200, rows=64, bytes=10
        ),
        {413, 422},
    )
    yield "TIFF whose directory points at itself", b"II*\x00" + struct.pack("<IHI", 8, 0, 8), {422}
    yield "TIFF cut off", good[: len(good) // 2], {422}
    yield "TIFF of zeros", b"II*\x00" + bytes(10_000), {422}
    yield "JPEG cut off", b"\xff\xd8\xff\xe0" + bytes(200), {422}
    yield "PNG with a wrong checksum", png(64, 64, (b"IDAT", zlib.compress(bytes(64 * 193))))[:-20] + bytes(20), {422}
    description = (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{outside}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    yield "VRT of a file elsewhere", description.encode(), {415}
    yield (
        "description of a web service",
        b"<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1/</ServerUrl></Service></GDAL_WMS>",
        {415},
    )
    yield "zip archive", b"PK\x03\x04" + bytes(1000), {415}
    yield "HDF5", b"\x89HDF\r\n\x1a\n" + bytes(1000), {415}
    yield "GIF", b"GIF89a" + bytes(1000), {415}
    yield "name of a virtual file", b"/vsizip//vsicurl/http://127.0.0.1/a.zip", {415}
    yield "nothing", b"", {415}


def check_files(server: Server, folder: Path) -> Iterator[tuple[str, bool, str]]:
    for name, content, statuses in hostile_files(folder / "outside.tif"):
        begun = time.monotonic()
        status, answer = server.post(content)
        clean = status in statuses and str(folder).encode() not in answer
        clean &= status == 200 or set(json.loads(answer)) == {"type", "title", "status", "detail", "advice"}
        detail = "" if status == 200 else json.loads(answer)["detail"][:90]
        yield name, clean, f"{status} in {time.monotonic() - begun:.2f} s: {detail}"


def check_paths(server: Server, folder: Path) -> Iterator[tuple[str, bool, str]]:
    for path in (
        "../outside.tif", "/etc/passwd", "a/../../outside.tif", "link.tif", "%2e%2e/outside.tif", "..\\outside.tif",
        "/vsicurl/http://127.0.0.1/a.tif", "outside.tif\0.png", "list.vrt",
    ):  # fmt: skip
        status, answer = server.ask("POST", "/v1/jobs?path=" + urllib.parse.quote(path, safe=""))
        yield f"path {path!r}", status in {403, 404, 415} and str(folder).encode() not in answer, str(status)
    for path in (
        "/v1/jobs/../../etc/passwd",
        "/v1/jobs/" + "0" * 32 + "/results/..%2f..%2fjob.json",
        "/viewer/static/..%2f..%2fsettings.py",
    ):
        status, answer = server.ask("GET", path)
        yield f"address {path}", status in {404, 422} and b"root:" not in answer, str(status)


def check_bodies(server: Server) -> Iterator[tuple[str, bool, str]]:
    def endless() -> Iterator[bytes]:
        yield HEAD
        for _ in range(4096):
            yield bytes(2**16)

    try:
        status, _ = server.ask("POST", "/v1/predict", endless(), KIND)
        said = str(status)
    except ConnectionError:
        # Who goes on sending although the answer is there finds the connection closed after a while.
        status, said = 413, "refused, and closed while it was still sending"
    yield "body of 256 MiB without a length", status == 413, said
    status, _ = server.ask("POST", "/v1/predict", b"x", {**KIND, "Content-Length": str(2**40)})
    yield "body that claims 1 TiB", status == 413, str(status)
    for name, body in (
        ("no multipart", b"abc"),
        ("no end", HEAD + b"abc"),
        ("endless head", b"--x\r\nA: " + b"a" * 10**6),
    ):
        status, _ = server.ask("POST", "/v1/predict", body, KIND)
        yield f"body: {name}", status == 400, str(status)


def check_slow(server: Server, count: int) -> Iterator[tuple[str, bool, str]]:
    """Hold many connections at once, of heads and of bodies; a good client is answered meanwhile."""
    starts = {
        "heads": b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b",
        "bodies": b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: 100000\r\n\r\n" + HEAD,
    }
    for kind, start in starts.items():
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(count)]
        begun = time.monotonic()
        for one in held:
            one.sendall(start)
        status, _ = server.ask("GET", "/healthz")
        told = time.monotonic() - begun
        for one in held:
            one.settimeout(UPLOAD_SECONDS + 20)
            with contextlib.suppress(ConnectionError):
                while one.recv(4096):
                    pass
            one.close()
        seconds = time.monotonic() - begun
        clean = status == 200 and told < UPLOAD_SECONDS and seconds < UPLOAD_SECONDS + 15
        yield f"{count} slow clients of {kind}", clean, f"good one after {told:.2f} s, all closed after {seconds:.1f} s"


def check_kill(server: Server, folder: Path, bundle: Path) -> Iterator[tuple[str, bool, str]]:
    values = np.random.default_rng(1).integers(0, 256, (3, 3000, 700)).astype(np.uint8)
    scene = folder / "root" / "scene.tif"
    scene.write_bytes(tiff(values))
    name = json.loads(server.ask("POST", "/v1/jobs?path=scene.tif")[1])["id"]
    place = folder / "served" / "jobs" / name
    while len(list(place.glob(".map.tif.strips/*.strip"))) < 2:
        time.sleep(0.01)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    server.start()
    while (job := json.loads(server.ask("GET", f"/v1/jobs/{name}")[1]))["state"] in {"waiting", "running"}:
        time.sleep(0.2)
    resumed = job["summary"]["resumed_strips"] if job["summary"] else 0
    wanted = folder / "wanted.tif"
    command = [sys.executable, "-m", "terrazzo.cli", "predict", str(bundle), str(scene), "--out", str(wanted),
               "machine.precision=float32", "predict.precision=float32", "predict.strip_pixels=256",
               "predict.report=false"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    with rasterio.open(wanted) as one, rasterio.open(place / "map.tif") as other:
        same = bool((one.read() == other.read()).all())
    yield "SIGKILL during a job", same and resumed > 0, f"{job['state']}, {resumed} strips resumed, same bits: {same}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory-mib", type=float, default=2500)
    parser.add_argument("--slow", type=int, default=64)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle = folder / "land.safetensors"
        make_bundle(bundle)
        (folder / "root").mkdir()
        (folder / "outside.tif").write_bytes(tiff(np.full((3, 64, 64), 9, np.uint8)))
        (folder / "root" / "link.tif").symlink_to(folder / "outside.tif")
        (folder / "root" / "list.vrt").write_text("<VRTDataset/>")
        server = Server(folder, bundle)
        try:
            server.settle()
            begun = memory_mib(server.process.pid)
            cases = [
                check_files(server, folder),
                check_paths(server, folder),
                check_bodies(server),
                check_slow(server, options.slow),
            ]
            with LargestMemory(server.process.pid, pause=0.25) as largest:
                for case in cases:
                    for name, clean, said in case:
                        wrong += not clean
                        print(f"{'ok   ' if clean else 'WRONG'} {name}: {said}", flush=True)
                status, _ = server.post(tiff(np.full((3, 256, 256), 9, np.uint8)))
            wrong += status != 200 or largest.mib > options.memory_mib
            print(
                f"a good image after all that: {status}; largest memory of all processes {largest.mib:.0f} MiB, "
                f"{begun:.0f} MiB at the start"
            )
            if options.kill:
                for name, clean, said in check_kill(server, folder, bundle):
                    wrong += not clean
                    print(f"{'ok   ' if clean else 'WRONG'} {name}: {said}", flush=True)
        finally:
            server.process.terminate()
            server.process.wait(60)
    print(f"{wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
