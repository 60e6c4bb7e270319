"""Peak memory of mapping: the same for a scene of 5000 and of 80000 rows.

    python benchmarks/predict_memory.py [--rows 5000 80000] [--width 10000] [--folder DIR]

A network of one convolution leaves the engine's own memory to be seen. Each scene is mapped in a process of its own;
counted is the peak of the resident memory of that process and its children above their state after a scene of two
windows. The map is a cloud-optimised GeoTIFF, with confidence beside it.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
import psutil
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.models import Architecture, Network, Output
from terrazzo.record import Table
from terrazzo.scene import PredictSettings, map_scene

LARGEST_CHANGE = 0.05
WINDOW = 512
CLASSES = 6
# Random weights agree with float32 less than trained ones: the precision is not left to the probe.
# The map of the warming scene would be kept from one process to the next, which then were not warm.
SETTINGS = PredictSettings(layers=("confidence",), precision="bfloat16", force=True)


class _OneConvolution(Network):
    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(bands, classes, 3, padding=1)

    def forward(self, image: torch.Tensor) -> Output:
        return Output(self.layer(image))


class OneConvolution(Architecture):
    """The least network that looks at its neighbours."""

    name: Literal["one_convolution"] = "one_convolution"
    """Name in the table."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network."""
        return _OneConvolution(bands, classes)


def write_bundle(path: Path) -> None:
    torch.manual_seed(0)
    names = ("red", "green", "blue")
    Bundle(
        architecture=OneConvolution(),
        bands=Bands(items=tuple(Band(name=name) for name in names)),
        classes=Classes(items=[f"class {number}" for number in range(CLASSES)]),
        normalisation=Normalisation(mean=(120.0,) * 3, std=(60.0,) * 3),
        patch_size=WINDOW,
        resolution_m=0.5,
        weights=OneConvolution().build(bands=3, classes=CLASSES).state_dict(),
        training={},
        versions={},
        licence="",
    ).save(path)


def write_scene(path: Path, *, rows: int, width: int) -> None:
    """Write a scene by rows of blocks: a tile of coarse noise that brightens down the scene."""
    noise = np.random.default_rng(0).integers(0, 64, (3, 32, 256), dtype=np.uint8).repeat(16, axis=1).repeat(16, axis=2)
    wide = np.tile(noise, (1, 1, -(-width // 4096)))[:, :, :width]
    profile = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1}
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=rows, width=width, dtype="uint8", crs="EPSG:32612",
        transform=Affine(0.5, 0, 300_000, 0, -0.5, 4_100_000), num_threads=2, photometric="RGB", **profile,
    ) as file:  # fmt: skip
        for top in range(0, rows, 512):
            height = min(512, rows - top)
            file.write(wide[:, :height] + np.uint8(top // 512 % 100), window=Window(0, top, width, height))


def predict(bundle_path: Path, warming: Path, scene: Path, out: Path) -> None:
    """Be the measured process: warm up on a small scene, say so, wait for a word, map, say the figures."""
    bundle, machine = Bundle.load(bundle_path), MachineSettings()
    map_scene(bundle, warming, out.with_name("warm.tif"), settings=SETTINGS, machine=machine)
    gc.collect()
    print("warm", flush=True)
    sys.stdin.readline()
    summary = map_scene(bundle, scene, out, settings=SETTINGS, machine=machine).summary
    print(json.dumps({"seconds": summary.seconds, "rate": summary.pixels_per_second}), flush=True)
    sys.stdin.readline()


def resident(process: psutil.Process) -> int:
    """Resident bytes of a process and its children."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def highest(process: psutil.Process) -> int:
    """Highest resident bytes that the system itself saw of one process; nothing between samples is missed."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def measure(bundle: Path, warming: Path, scene: Path, out: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", str(bundle), str(warming), str(scene), str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        if child.stdin is None or child.stdout is None or child.stdout.readline().strip() != "warm":
            raise SystemExit("the measured process did not start")
        process = psutil.Process(child.pid)
        # Forget the peak of loading, so that only mapping counts.
        Path(f"/proc/{child.pid}/clear_refs").write_text("5", encoding="utf-8")
        warm = peak = resident(process)
        child.stdin.write("go\n")
        child.stdin.flush()
        os.set_blocking(child.stdout.fileno(), False)
        line = ""
        while not line:
            peak = max(peak, resident(process))
            time.sleep(0.02)
            line = child.stdout.readline()
            if child.poll() is not None:
                raise SystemExit("the measured process failed")
        peak = max(peak, highest(process))
        child.stdin.write("done\n")
        child.stdin.flush()
    return {**json.loads(line), "peak_mib": (peak - warm) / 2**20, "warm_mib": warm / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[5000, 80000])
    parser.add_argument("--width", type=int, default=10000)
    parser.add_argument("--folder", type=Path, help="where the scenes are written for the while; a temporary folder")
    parser.add_argument("--child", type=Path, nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    Table.of("models").register("one_convolution", f"{__name__}:OneConvolution")
    if arguments.child:
        predict(*arguments.child)
        return
    peaks = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        bundle = Path(folder) / "bundle.safetensors"
        write_bundle(bundle)
        warming = Path(folder) / "warming.tif"
        write_scene(warming, rows=WINDOW, width=2 * WINDOW)
        for rows in arguments.rows:
            scene = Path(folder) / f"{rows}.tif"
            write_scene(scene, rows=rows, width=arguments.width)
            found = measure(bundle, warming, scene, Path(folder) / f"map {rows}.tif")
            scene.unlink()
            peaks.append(found["peak_mib"])
            print(
                f"{rows:6d} rows x {arguments.width}: peak {found['peak_mib']:.0f} MiB above warm "
                f"({found['warm_mib']:.0f} MiB), {found['seconds']:.1f} s, {found['rate'] / 1e6:.1f} Mpixel/s",
                flush=True,
            )
    change = max(peaks) / min(peaks) - 1
    print(f"largest peak {max(peaks):.0f} MiB, change {change:.1%} (bar {LARGEST_CHANGE:.0%})")
    if change > LARGEST_CHANGE:
        raise SystemExit("missed")


if __name__ == "__main__":
    main()
