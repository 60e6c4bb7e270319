"""Claim: a sweep that is killed at any moment goes on without repeating a finished trial, to the same bits.

Usage: python benchmarks/sweep_kill.py [--seeds 5] [--kills 12] [--jobs 2] [--seed 0]

Runs `terrazzo sweep seed=1,...` on a tiny data set once undisturbed. Then runs it again elsewhere and kills the sweep's
process with SIGKILL: before the first trial, while data is prepared, in the middle of a training, as soon as a trial
has finished, and at random times; after each kill it checks that every process of the sweep ends by itself, and starts
the same command again. At the end it compares bundles, checkpoints, log.csv without wall times, and confusion counts,
byte by byte. Exits 1 if any differs, if a finished trial was touched again, or if a process outlived its sweep.
"""

import argparse
import csv
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import rasterio

from tiny_training import write_scene

CONFIG = """
name: tiny
plugins: [{plugin}]
paths: {{data: data, prepared: prepared, runs: runs}}
data:
  source: {{name: geotiff, folder: "${{paths.data}}", images: "images/{{split}}_*.tif", labels: "gt/{{split}}_*.tif"}}
  classes:
    items: [wood, roof, water]
    ignore_values: [255]
  patch: {{size: 16}}
augment: medium
model: tiny
optimizer: {{name: adamw, lr: 0.003}}
train: {{epochs: {epochs}, batch_size: 4, checkpoint_every_steps: 3, log_every: 2, worst_samples: 1}}
evaluate: {{splits: [val]}}
machine: {{accelerator: cpu, precision: float32, threads: 1, workers: 0}}
"""
NAME = "tiny-sweep"
# Seconds in which every process of a killed sweep has to be gone. One that is just loading a library hears of it after.
PATIENCE = 30.0


def make_project(folder: Path, epochs: int) -> Path:
    """Write scenes and a configuration; the same in every folder."""
    for number, name in enumerate(("train_0", "train_1", "train_2", "val_0")):
        image, label = write_scene(folder / "raw", name, seed=number, height=64, width=64)
        for path, place in ((image, "images"), (label, "gt")):
            goal = folder / "data" / place / f"{name}.tif"
            goal.parent.mkdir(parents=True, exist_ok=True)
            path.rename(goal)
            with rasterio.open(goal, "r+") as file:
                # Scenes that share ground would stop a run.
                file.transform = rasterio.Affine(1, 0, 1000 * number, 0, -1, 200)
    plugin = Path(__file__).with_name("tiny_training.py")
    (folder / "terrazzo.yaml").write_text(CONFIG.format(plugin=plugin, epochs=epochs), encoding="utf-8")
    return folder


def command(seeds: int, jobs: int) -> list[str]:
    """Return the one line of five seeds."""
    listed = ",".join(str(seed) for seed in range(1, seeds + 1))
    return [sys.executable, "-m", "terrazzo.cli", "sweep", f"seed={listed}", "--jobs", str(jobs), "--json"]


def start(folder: Path, seeds: int, jobs: int) -> "subprocess.Popen[bytes]":
    """Start the sweep; what it says goes to a file."""
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            command(seeds, jobs), cwd=folder, stdout=said, stderr=said, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )


def trials(folder: Path) -> Path:
    """Return the folder of the trials."""
    return folder / "runs" / NAME / "trials"


def finished(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return, of each trial that has finished, what would change if it were run again."""
    found = {}
    for outcome in trials(folder).glob("*/outcome.json"):
        if json.loads(outcome.read_text())["state"] == "finished":
            files = [outcome, *(outcome.parent / name for name in ("log.txt", "metadata.json", "bundle.safetensors"))]
            found[outcome.parent.name] = tuple(number for file in files for number in file.stat()[1:9:7])
    return found


def moments(generator: random.Random, folder: Path, seconds: float) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Yield kinds of moments, each with what tells that it has come; the clock runs from each one's first question."""

    def after(wait: float) -> Callable[[], bool]:
        begun = itertools.count()
        first: list[float] = []

        def come() -> bool:
            if next(begun) == 0:
                first.append(time.monotonic())
            return time.monotonic() - first[0] >= wait

        return come

    def more(pattern: str) -> Callable[[], bool]:
        known: list[int] = []

        def come() -> bool:
            count = len(list(trials(folder).glob(pattern)))
            known.append(count)
            return count > known[0]

        return come

    def trained() -> Callable[[], bool]:
        states: list[dict[Path, int]] = []

        def come() -> bool:
            now = {path: path.stat().st_mtime_ns for path in trials(folder).glob("*/checkpoints/last.safetensors")}
            states.append(now)
            return any(now[path] != states[0].get(path) for path in now)

        return come

    while True:
        yield "at once", after(generator.uniform(0, 3))
        yield "a trial begins", more("*/log.txt")
        yield "training", trained()
        yield "a trial has finished", more("*/outcome.json")
        yield "random", after(generator.uniform(0, seconds))


def descendants(process: int) -> list[psutil.Process]:
    """Return what a sweep has started."""
    try:
        return psutil.Process(process).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def disturb(folder: Path, options: argparse.Namespace, seconds: float) -> tuple[Counter[str], int, int]:
    """Kill and start again; return kills by kind, processes that outlived their sweep, and trials touched again."""
    generator, kills = random.Random(options.seed), Counter[str]()
    outlived = touched = 0
    for kind, come in moments(generator, folder, seconds):
        before = finished(folder)
        sweep = start(folder, options.seeds, options.jobs)
        while sweep.poll() is None and not (sum(kills.values()) < options.kills and come()):
            time.sleep(0.005)
        ended = sweep.poll() is not None
        if not ended:
            family = descendants(sweep.pid)
            sweep.send_signal(signal.SIGKILL)
            sweep.wait()
            kills[kind] += 1
            _, alive = psutil.wait_procs(family, timeout=PATIENCE)
            outlived += len(alive)
        now = finished(folder)
        touched += sum(now.get(name) != state for name, state in before.items())
        if ended:
            return kills, outlived, touched
    raise AssertionError


def same_log(first: Path, second: Path) -> bool:
    """Compare figures of every epoch, wall times left out."""
    rows = []
    for path in (first, second):
        with path.open(encoding="utf-8", newline="") as file:
            rows.append(
                [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]
            )
    return rows[0] == rows[1]


def differing(first: Path, second: Path) -> list[str]:
    """Return what differs between two sweeps."""
    found = []
    names = sorted(path.name for path in trials(first).iterdir())
    if names != sorted(path.name for path in trials(second).iterdir()):
        return ["names of trials"]
    for name in names:
        here, there = trials(first) / name, trials(second) / name
        files = ["bundle.safetensors", "evaluate/val/confusion.csv", "config.yaml"]
        found += [f"{name}/{file}" for file in files if (here / file).read_bytes() != (there / file).read_bytes()]
        if not same_log(here / "log.csv", there / "log.csv"):
            found.append(f"{name}/log.csv")
    return found


def main() -> int:
    """Run the undisturbed and the disturbed sweep, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        quiet = make_project(Path(scratch) / "undisturbed", options.epochs)
        begun = time.monotonic()
        if start(quiet, options.seeds, options.jobs).wait():
            print((quiet / "said.txt").read_text())
            return 1
        seconds = time.monotonic() - begun
        print(f"undisturbed: {options.seeds} trials, {options.jobs} at a time, {seconds:.1f} s")
        killed = make_project(Path(scratch) / "killed", options.epochs)
        kills, outlived, touched = disturb(killed, options, seconds)
        complete = len(finished(killed)) == options.seeds
        wrong = differing(quiet, killed)
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(kills.items()))
    print(f"{sum(kills.values())} kills ({told})")
    print(f"processes that outlived their sweep by {PATIENCE:.0f} s: {outlived}")
    print(f"finished trials that were touched again: {touched}")
    print(f"trials finished at the end: {'all' if complete else 'not all'} of {options.seeds}")
    print(f"files that differ from the undisturbed sweep: {', '.join(wrong) or 'none'}")
    return 1 if outlived or touched or wrong or not complete else 0


if __name__ == "__main__":
    sys.exit(main())
