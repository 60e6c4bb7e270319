"""Claim: a training that is killed anywhere and started again ends with the bits of one that never stopped.

Usage: python benchmarks/kill_training.py [--kills 24] [--seed 0] [--fresh] [--workers 0 1 2]

Trains a tiny network once undisturbed, then again and again while killing it with SIGKILL inside the writing of
checkpoints, inside validation, between and inside updates, while results are settled, and at random times; starts it
again until it is finished, each time with another number of loader workers, and compares the checkpoint (weights and
optimiser), the bundle, log.csv without wall times, TensorBoard's scalars and pictures, and the names of checkpoints.
Exits 1 if any bit differs, or if there were fewer than three kills of a kind.

Each start is a fork of a process that has imported everything and computed nothing; --fresh starts Python anew instead.
"""

import argparse
import collections
import csv
import importlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 3,
    "accumulate": 2,
    "log_every": 2,
    "worst_samples": 2,
    "checkpoint_every_steps": 2,
    "keep": {"best": 2, "every": 2},
}
PLACES = {
    "checkpoint, before its bytes": ("checkpoint", "checkpoint", "save_file", "before", 6),
    "validation": ("validation", "evaluation", "answer", "before", 6),
    "after an update": ("mid-epoch", "loop", "update", "after", 9),
    "checkpoint, half of its bytes": ("checkpoint", "checkpoint", "save_file", "half", 6),
    "validation, its end": ("validation", "loop", "validate", "after", 2),
    "between gradients and step": ("mid-epoch", "loop", "_apply", "before", 9),
    "checkpoint, before its name": ("checkpoint", "checkpoint", "save_file", "after", 6),
    "settling, before the bundle": ("settling", "settling", "_write_bundle", "before", 2),
    "settling, between two links": ("settling", "settling", "_link", "after", 3),
    "checkpoint, just named": ("checkpoint", "session", "save_checkpoint", "after", 6),
    "pictures of samples": ("validation", "loop", "show", "before", 2),
    "any time": ("any time", None, "", "", 0),
}
"""Place -> kind, module of terrazzo.training and function to wrap, when, and the largest call number to draw."""


def train(folder: Path, workers: int, place: str | None, call: int) -> None:
    """Run the training in this process, to be killed at the given call."""
    # Imported here, not above: loader processes import this file again, and need none of it.
    from terrazzo.data.prepared import load_prepared
    from terrazzo.machine import MachineSettings
    from terrazzo.training.loop import fit
    from terrazzo.training.settings import TrainSettings
    from tiny_training import tiny_job

    if place is not None and PLACES[place][1] is not None:
        _, module_name, name, moment, _ = PLACES[place]
        module = importlib.import_module(f"terrazzo.training.{module_name}")
        setattr(module, name, deadly(getattr(module, name), moment, call))
    machine = MachineSettings(accelerator="cpu", precision="float32", threads=1, workers=workers)
    settings = TrainSettings.model_validate(SETTINGS)
    fit(tiny_job(folder, load_prepared(folder.parent / "data")[0], settings=settings, machine=machine))


def deadly(function: Callable[..., object], moment: str, call: int) -> Callable[..., object]:
    """Wrap a function so that its n-th call ends this process as a power cut would."""
    calls = itertools.count(1)

    def wrapped(*arguments: object, **settings: object) -> object:
        due = next(calls) == call
        if due and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **settings)
        if due and moment == "half":
            path = Path(str(arguments[1]))
            os.truncate(path, path.stat().st_size // 2)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def start(folder: Path, workers: int, *, fresh: bool, place: str | None = None, call: int = 0, delay: float = 0) -> int:
    """Start the training once and return how the process ended: 0, or -9 for a kill."""
    if fresh:
        command = [sys.executable, __file__, "--child", str(folder), str(workers), place or "", str(call)]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        if delay:
            time.sleep(delay)
            child.kill()
        return child.wait()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            train(folder, workers, place, call)
            status = 0
        finally:
            os._exit(status)
    if delay:
        time.sleep(delay)
        os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def remains(folder: Path) -> dict[str, Any]:
    """Return all that must be equal."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from terrazzo.training.checkpoint import load_checkpoint

    last = load_checkpoint(folder / "checkpoints" / "last.safetensors")
    tensors = {f"weights {name}": value.numpy().tobytes() for name, value in last.weights.items()}
    tensors |= {f"average {name}": value.numpy().tobytes() for name, value in last.average.items()}
    tensors |= {f"optimiser {name}": value.numpy().tobytes() for name, value in last.optimizer.items()}
    with (folder / "log.csv").open(newline="") as file:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()
    tags = events.Tags()
    scalars = {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in tags["scalars"]}
    images = {tag: [(point.step, point.encoded_image_string) for point in events.Images(tag)] for tag in tags["images"]}
    return {
        "checkpoint": tensors,
        "bundle": (folder / "bundle.safetensors").read_bytes(),
        "log.csv": rows,
        "scalars": scalars,
        "pictures": images | {path.name: path.read_bytes() for path in (folder / "samples").iterdir()},
        "files": sorted(path.name for path in (folder / "checkpoints").iterdir()),
    }


def stories(root: Path, kills: int, *, workers: Iterator[int], fresh: bool, seed: int) -> Iterator[list[str]]:
    """Kill and start again, at most six times a run; yield each finished run's folder name and kills."""
    draw = random.Random(seed)
    places = itertools.cycle(PLACES)
    undisturbed = time.perf_counter()
    if start(root / "run-0", 0, fresh=fresh) != 0:
        raise SystemExit("the undisturbed run failed")
    undisturbed = time.perf_counter() - undisturbed
    done, place = 0, next(places)
    for number in itertools.count(1):
        story: list[str] = []
        for _ in range(min(6, kills - done)):
            _, module, _, _, most = PLACES[place]
            delay = 0.0 if module is not None else draw.uniform(0.2, 0.9) * undisturbed
            call = draw.randint(1, most) if module is not None else 0
            ended = start(root / f"run-{number}", next(workers), fresh=fresh, place=place, call=call, delay=delay)
            if ended not in (0, -signal.SIGKILL):
                raise SystemExit(f"a start of run {number} failed with {ended}")
            if ended == 0:  # finished before that place came; it is the next run's first
                break
            story.append(place)
            done, place = done + 1, next(places)
        if start(root / f"run-{number}", next(workers), fresh=fresh) != 0:
            raise SystemExit(f"the last start of run {number} failed")
        yield story
        if done >= kills:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="start Python anew for each start")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2, 0, 1], help="taken in turn")
    parser.add_argument("--child", nargs=4, metavar=("FOLDER", "WORKERS", "PLACE", "CALL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, workers, place, call = arguments.child
        train(Path(folder), int(workers), place or None, int(call))
        return
    from tiny_training import tiny_prepared

    # The helper of loader processes tells of what a killed training could not clear away.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")
    # Everything that a forked start will need is imported, and nothing computed.
    importlib.import_module("terrazzo.training.loop")
    begun, counts, wrong = time.perf_counter(), collections.Counter(), 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        tiny_prepared(root / "data")
        workers = itertools.cycle(arguments.workers)
        print(f"{'run':>3}  {'kills':>5}  {'equal':<8}  killed in")
        told = stories(root, arguments.kills, workers=workers, fresh=arguments.fresh, seed=arguments.seed)
        for number, story in enumerate(told, start=1):
            expected, found = remains(root / "run-0"), remains(root / f"run-{number}")
            unequal = [part for part in expected if expected[part] != found[part]]
            wrong += bool(unequal)
            counts.update(PLACES[place][0] for place in story)
            print(f"{number:>3}  {len(story):>5}  {', '.join(unequal) or 'all bits'}  {'; '.join(story)}", flush=True)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    seconds = time.perf_counter() - begun
    print(f"{counts.total()} kills ({kinds}), {wrong} runs differ, workers {arguments.workers}, {seconds:.0f} s")
    few = arguments.kills >= 20 and min(counts[kind] for kind in ("checkpoint", "validation", "mid-epoch")) < 3
    raise SystemExit(1 if wrong or few else 0)


if __name__ == "__main__":
    main()
