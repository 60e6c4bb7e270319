"""Claim: 32 clients at once get >= 0.7 of the windows a second that the network makes offline, and no error.

Usage: python benchmarks/serve_throughput.py [--clients 32] [--seconds 60] [--warm 15] [--offline 15] [--precision auto]

Measures, on one bundle (U-Net on resnet18, windows of 256 x 256, random weights) and one machine:

1. offline: the scene engine's own forward passes on windows in memory, in its batches, on all its lanes; nothing is
   read or written. Half of the time before the server runs, half after, since other work on the machine comes and goes.
2. `terrazzo serve` as a process of its own, and clients in threads of another, each with one connection over loopback,
   that send 256 x 256 PNGs and take class maps as PNG, one after the other.

Prints windows a second of both and their ratio; latencies; statuses; processor seconds of server and clients (which
share the machine: the ratio without them would be larger); the most memory of the server's processes. Every
answer to one image must be the same bytes. Exits 1 if a status is neither 200 nor a documented 429 or 503, if bytes
differ, or below 0.7.
"""

import argparse
import collections
import http.client
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from process_family import LargestMemory, processor_seconds
from terrazzo.bundle import Bundle
from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.models import ARCHITECTURES
from terrazzo.scene.sampled_windows import noise_windows
from terrazzo.serve.models import _blank, load_models
from terrazzo.serve.settings import ServeSettings

SIDE = 256
BAR = 0.7
IMAGES = 16


def make_bundle(path: Path) -> None:
    record = ARCHITECTURES.create("smp", architecture="unet", encoder="resnet18")
    torch.manual_seed(0)
    Bundle(
        architecture=record,
        bands=Bands(items=tuple(Band(name=name, dtype="uint8") for name in ("red", "green", "blue"))),
        classes=Classes(items=tuple(Class(name=f"class {number}", values=(number,)) for number in range(5))),
        normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
        patch_size=SIDE,
        resolution_m=0.5,
        weights=record.build(bands=3, classes=5).state_dict(),
        training={},
        versions={},
        licence="",
    ).save(path)


def offline(bundle: Path, precision: str, seconds: float) -> tuple[float, str]:
    """Return windows a second of the engine's forward passes, and what was decided."""
    model = load_models([bundle], ServeSettings(machine={"precision": precision})).find(None)
    image = _blank(model.bundle, model.settings)
    plan = model.passing.plan(image)
    forward = model.passing.forward(plan, image)
    group = noise_windows(plan, count=forward.group_size)
    until = [0.0]

    def lane(_number: int) -> int:
        done = 0
        while time.monotonic() < until[0]:
            forward(group)
            done += len(group.windows)
        return done

    with ThreadPoolExecutor(forward.lanes) as pool:
        until[0] = time.monotonic() + 1
        list(pool.map(lane, range(forward.lanes)))
        begun = time.monotonic()
        until[0] = begun + seconds
        windows = sum(pool.map(lane, range(forward.lanes)))
    decided = model.decisions
    said = f"{decided.precision}, batches of {decided.batch_size}, {forward.lanes} lanes"
    return windows / (time.monotonic() - begun), said


def pictures() -> list[bytes]:
    found = []
    for seed in range(IMAGES):
        coarse = np.random.default_rng(seed).integers(0, 256, (17, 17, 3)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "PNG")
        found.append(
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
            + file.getvalue()
            + b"\r\n--x--\r\n"
        )
    return found


class Clients:
    """Clients that send pictures until a time."""

    def __init__(self, port: int, bodies: list[bytes]) -> None:
        self.latencies: list[float] = []
        self.statuses: collections.Counter[int | str] = collections.Counter()
        self.answers: dict[int, set[bytes]] = collections.defaultdict(set)
        self._port = port
        self._bodies = bodies
        self._lock = threading.Lock()

    def run(self, number: int, until: float) -> None:
        """Send one picture after the other, beginning after the number-th."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        turn = number
        while time.monotonic() < until:
            turn = (turn + 1) % len(self._bodies)
            begun = time.monotonic()
            try:
                connection.request(
                    "POST",
                    "/v1/predict?output=png",
                    self._bodies[turn],
                    {"Content-Type": "multipart/form-data; boundary=x"},
                )
                answer = connection.getresponse()
                content, status = answer.read(), answer.status
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.statuses[repr(error)] += 1
                connection.close()
                continue
            with self._lock:
                self.statuses[status] += 1
                if status == 200:
                    self.latencies.append(time.monotonic() - begun)
                    self.answers[turn].add(content)
            if status in {429, 503}:
                time.sleep(float(answer.headers["Retry-After"]))
        connection.close()


def served(folder: Path, bundle: Path, options: argparse.Namespace) -> tuple[Clients, float, dict[str, float]]:
    """Return what clients met, windows a second, and processor seconds and memory."""
    command = [
        sys.executable, "-m", "terrazzo.cli", "serve", str(bundle), "--port", "0", "--folder", str(folder / "served"),
        f"machine.precision={options.precision}",
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        address = server.stdout.readline().strip() if server.stdout else ""
        if not address:
            raise SystemExit((folder / "server.log").read_text())
        clients = Clients(int(address.rpartition(":")[2]), pictures())
        # Processes for small images begin in the background.
        clients.run(0, time.monotonic() + options.warm)
        clients.latencies.clear()
        with LargestMemory(server.pid, pause=5) as largest:
            before, own = processor_seconds(server.pid), time.process_time()
            begun = time.monotonic()
            threads = [
                threading.Thread(target=clients.run, args=(number, begun + options.seconds))
                for number in range(options.clients)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.monotonic() - begun
            taken, own = processor_seconds(server.pid) - before, time.process_time() - own
        figures = {"server": taken / seconds, "clients": own / seconds, "memory": largest.mib}
        return clients, len(clients.latencies) / seconds, figures
    finally:
        server.terminate()
        server.wait(60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm", type=float, default=15, help="seconds before")
    parser.add_argument("--offline", type=float, default=15, help="seconds of offline passes, half before, half after")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle = folder / "land.safetensors"
        make_bundle(bundle)
        first, said = offline(bundle, options.precision, options.offline / 2)
        clients, rate, figures = served(folder, bundle, options)
        second, _ = offline(bundle, options.precision, options.offline / 2)
    alone = (first + second) / 2
    late = np.percentile(clients.latencies, [50, 95, 99]) if clients.latencies else [float("nan")] * 3
    cores = len(os.sched_getaffinity(0))
    print(f"offline   {alone:8.1f} windows/s ({first:.1f} before, {second:.1f} after; {said})")
    print(f"served    {rate:8.1f} windows/s of {options.clients} clients over {options.seconds:g} s")
    print(f"ratio     {rate / alone:8.2f} (the bar is {BAR})")
    print(f"latency   {late[0]:8.3f} s at the middle, {late[1]:.3f} s p95, {late[2]:.3f} s p99")
    print(
        f"processor {figures['server']:8.2f} of {cores} cores for the server, {figures['clients']:.2f} for clients; "
        f"largest memory {figures['memory']:.0f} MiB"
    )
    statuses = {str(status): count for status, count in clients.statuses.items()}
    differing = sum(len(found) > 1 for found in clients.answers.values())
    print(f"statuses  {json.dumps(statuses)}; {differing} of {len(clients.answers)} images with differing answers")
    wrong = set(clients.statuses) - {200, 429, 503}
    return int(bool(wrong) or differing > 0 or rate < BAR * alone)


if __name__ == "__main__":
    sys.exit(main())
