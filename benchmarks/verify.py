"""Bars: verifying 1,000 images of 1024 x 1024 takes little more than decoding them, and memory stays flat.

Integrity (every file decoded, labels looked up) takes at most 1.3 times as long as decoding images and labels on all
cores; with duplicates and shifts at most 2 times. Peak memory with all images is at most 1.2 times that with a fifth.

Usage: python benchmarks/verify.py [--images 1000] [--format jpg|png] [--workers 0] [--keep FOLDER]

The images are JPEG (or PNG) photographs with PNG labels, generated. Each measurement is a process of its own, and the
best of two counts.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from scipy.ndimage import gaussian_filter, zoom

SIDE = 1024
CLASSES = ["field", "forest", "water", "road", "building"]


def write_pair(folder: Path, number: int, suffix: str) -> None:
    """Write a photograph of patches of land with grain, and its label."""
    generator = np.random.default_rng(number)
    coarse = zoom(gaussian_filter(generator.normal(size=(96, 96)), 2), SIDE / 96, order=1)
    label = np.digitize(coarse, np.quantile(coarse, [0.2, 0.4, 0.6, 0.8])).astype(np.uint8)
    colours = generator.integers(40, 216, (len(CLASSES), 3))
    grain = generator.normal(0, 9, (SIDE, SIDE, 1)) + generator.normal(0, 4, (SIDE, SIDE, 3))
    image = np.clip(colours[label] + grain, 0, 255).astype(np.uint8)
    speckled = generator.random((SIDE, SIDE)) < 0.01
    label[speckled] = generator.integers(0, len(CLASSES), int(speckled.sum()))
    settings = {"quality": 90} if suffix == ".jpg" else {}
    Image.fromarray(image).save(folder / "images" / f"{number:05d}{suffix}", **settings)
    Image.fromarray(label).save(folder / "gt" / f"{number:05d}.png")


def decode(folder: Path, count: int, workers: int) -> float:
    """Return the seconds that decoding all images and labels takes, with rasterio alone."""
    paths = [path for kind in ("images", "gt") for path in sorted((folder / kind).iterdir())[:count]]

    def read(path: Path) -> int:
        with rasterio.open(path) as source:
            return int(source.read().nbytes)

    # Photographs have no georeference, as everybody knows here.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    begun = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        total = sum(pool.map(read, paths))
    if total != count * SIDE * SIDE * 4:
        raise SystemExit(f"{total} bytes were decoded instead of {count * SIDE * SIDE * 4}")
    return time.perf_counter() - begun


def verify(folder: Path, count: int, workers: int, checks: list[str]) -> float:
    """Return the seconds that verifying takes."""
    from terrazzo.data.settings import DataSettings
    from terrazzo.data.verify.audit import take_inventory, verify_pairs
    from terrazzo.data.verify.settings import VerifySettings

    source = {"name": "folder", "folder": str(folder)}
    data = DataSettings.model_validate({"source": source, "classes": CLASSES})
    settings = VerifySettings.model_validate({"workers": workers, "checks": checks})
    inventory = take_inventory(data)
    inventory = type(inventory)(inventory.pairs[:count], inventory.findings)
    begun = time.perf_counter()
    found = verify_pairs(inventory, data, settings)
    seconds = time.perf_counter() - begun
    if errors := [finding for finding in found.findings if finding.severity == "error"]:
        raise SystemExit(f"generated data has errors: {errors[:3]}")
    return seconds


WAYS = {
    "decode": None,
    "integrity": ["files"],
    "all": ["files", "shifts", "duplicates", "places", "classes", "drift"],
}


def measured(way: str, folder: Path, count: int, workers: int) -> tuple[float, float]:
    """Return seconds and peak memory in MiB of one way, in a process of its own with all that it starts."""
    command = [sys.executable, __file__, "--one", way, "--keep", str(folder), "--images", str(count)]
    peak = 0
    with tempfile.TemporaryFile("w+") as told:
        running = subprocess.Popen([*command, "--workers", str(workers)], stdout=told)
        while running.poll() is None:
            peak = max(peak, memory_of(running.pid))
            time.sleep(0.25)
        if running.returncode:
            raise SystemExit(f"{way} failed with exit status {running.returncode}")
        told.seek(0)
        return json.loads(told.read()), peak / 2**20


def memory_of(process: int) -> int:
    """Return the bytes that a process and its descendants hold, memory that they share counted once among them."""
    total = 0
    try:
        root = psutil.Process(process)
        for member in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += member.memory_full_info().pss
    except psutil.Error:
        return total
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 takes all cores")
    parser.add_argument("--keep", type=Path, help="folder for the images; those that lie there already are used")
    parser.add_argument("--format", choices=["jpg", "png"], default="jpg", help="of the photographs")
    parser.add_argument("--one", choices=list(WAYS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    workers = given.workers or len(os.sched_getaffinity(0))
    if given.one:
        checks = WAYS[given.one]
        if checks is None:
            seconds = decode(given.keep, given.images, workers)
        else:
            seconds = verify(given.keep, given.images, workers, checks)
        print(json.dumps(seconds))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        for kind in ("images", "gt"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        missing = [number for number in range(given.images) if not (folder / "gt" / f"{number:05d}.png").is_file()]
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda number: write_pair(folder, number, f".{given.format}"), missing))
        few = max(given.images // 5, 1)
        rounds = {way: [measured(way, folder, given.images, workers) for _ in range(2)] for way in WAYS}
        best = {way: min(seconds for seconds, _ in found) for way, found in rounds.items()}
        peak = max(memory for _, memory in rounds["all"])
        small = measured("all", folder, few, workers)[1]
    print(f"{given.images} images of {SIDE} x {SIDE} ({given.format} and png), {workers} at once")
    print(f"decoding images and labels:      {best['decode']:7.1f} s")
    for way, title, bar in (("integrity", "integrity", 1.3), ("all", "with duplicates and shifts", 2.0)):
        ratio = best[way] / best["decode"]
        told = "met" if ratio <= bar else "MISSED"
        print(f"{title + ':':32} {best[way]:7.1f} s, {ratio:.2f} x decoding (bar <= {bar}: {told})")
    told = "met" if peak <= 1.2 * small else "MISSED"
    print(f"peak memory: {small:.0f} MiB with {few} images, {peak:.0f} MiB with {given.images} (bar <= 1.2 x: {told})")


if __name__ == "__main__":
    main()
