"""Claim: mapping a scene that is killed anywhere and started again ends with the bytes of a map that never was.

Usage: python benchmarks/kill_scene.py [--kills 100] [--seed 0] [--workers 1 2] [--fresh]

Maps a scene of 13 strips once with one worker and undisturbed. Then again and again while killing it with SIGKILL
inside the journal's append, the writing of strips, their joining, renames, the conversion to a cloud-optimised GeoTIFF,
and at random times; with several workers also one of them alone, which the others outlive. It is started again until
the map is there, each time with the next number of workers (`ray` for two on a Ray cluster of this machine), and every
raster is compared byte for byte. Exits 1 if a byte differs, or if of 40 kills or more fewer than three were of a kind.

Each start is a fork of a process that has imported everything and computed nothing; --fresh starts Python anew instead.
"""

import argparse
import collections
import importlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STRIPS = 13
PLUGIN = """
    import sys
    from pathlib import Path

    sys.path.insert(0, {benchmarks!r})
    from kill_scene import arm

    arm({place!r}, {call}, Path({mark!r}))
"""
"""What a start loads, and every worker of it, when it is to be killed."""


@dataclass(frozen=True)
class Place:
    """Where a start is killed.

    Attributes:
        kind: What it is doing there.
        owner: Module, and class where it has one, of the function that is wrapped; None for any time.
        name: The function.
        moment: "before", "after", or "half" way through.
        calls: Largest number of the call to draw.
        alone: Whether only the process itself is killed; else the job's first process too.
    """

    kind: str
    owner: str | None = None
    name: str = ""
    moment: str = ""
    calls: int = 1
    alone: bool = False


JOURNAL, STRIP = "terrazzo.scene.journal", "terrazzo.scene.strip_file:StripWriter"
JOIN, GEOTIFF = "terrazzo.scene.assemble", "terrazzo.scene.geotiff:GeoTiffWriter"
COG = "terrazzo.scene.cog:CogWriter"
PLACES = {
    "half a line": Place("journal append", JOURNAL, "_write_all", "half", STRIPS - 1),
    "half a block of a strip": Place("strip write", STRIP, "block", "half", 30),
    "before the map's name": Place("rename", "pathlib:Path", "replace", "before", 4),
    "half a GeoTIFF": Place("COG conversion", COG, "_join", "half", 2),
    "half a block, a worker alone": Place("strip write", STRIP, "block", "half", 30, alone=True),
    "before a line": Place("journal append", f"{JOURNAL}:Journal", "append", "before", STRIPS - 1),
    "before a strip is joined": Place("join", JOIN, "join_strips", "before", STRIPS - 1),
    "before a strip is on the disk": Place("strip write", STRIP, "finish", "before", 5),
    "after the map's name": Place("rename", "pathlib:Path", "replace", "after", 4),
    "before the GeoTIFF": Place("COG conversion", COG, "_join", "before", 2),
    "a strip on the disk, without a line": Place("strip write", STRIP, "finish", "after", 5),
    "after rows went to the map": Place("join", GEOTIFF, "write", "after", 20),
    "after a line": Place("journal append", f"{JOURNAL}:Journal", "append", "after", STRIPS - 1),
    "any time": Place("any time"),
    "a strip on the disk, a worker alone": Place("strip write", STRIP, "finish", "after", 5, alone=True),
    "GeoTIFF written, not checked": Place("COG conversion", COG, "_join", "after", 2),
}
KINDS = ("journal append", "strip write", "join", "rename", "COG conversion")


def arm(place: str, call: int, mark: Path) -> None:
    """Have this process killed at the n-th call of a function, once in all processes of a start.

    Args:
        place: Name in `PLACES`.
        call: Number of the call, from 1.
        mark: File that tells that it has happened.
    """
    where = PLACES[place]
    module, _, kind = str(where.owner).partition(":")
    owner: Any = importlib.import_module(module)
    owner = getattr(owner, kind) if kind else owner
    function, calls = getattr(owner, where.name), itertools.count(1)

    def deadly(*arguments: object, **named: object) -> object:
        due = next(calls) == call
        # Whose turn it is is settled first: another process must not leave half a block and live on.
        if due and where.moment == "before" and claimed(mark):
            die(alone=where.alone)
        if due and where.moment == "half" and claimed(mark):
            half(function, arguments, lambda: die(alone=where.alone))
        result: object = function(*arguments, **named)
        if due and where.moment == "after" and claimed(mark):
            die(alone=where.alone)
        return result

    setattr(owner, where.name, deadly)


def claimed(mark: Path) -> bool:
    """Return whether it is this process that is to be killed: the first that asks."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die(*, alone: bool) -> None:
    """End this process as a power cut would, and the job's first one with it."""
    parent = multiprocessing.parent_process()
    if parent is not None and not alone:
        os.kill(int(parent.pid or 0), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def half(function: Callable[..., object], arguments: tuple[Any, ...], kill: Callable[[], None]) -> None:
    """Do half of what a function does, and then kill."""
    if function.__name__ == "_write_all":
        file, content = arguments
        function(file, content[: len(content) // 2])
        kill()
    elif function.__name__ == "block":
        writer, _, _, values = arguments
        values = values[:, : values.shape[1] // 2] if values.ndim == 3 else values[: len(values) // 2]
        function(*arguments[:3], values)
        writer._file.flush()
        kill()
    else:
        # GDAL is at work in another thread than ours: kill as soon as it has written something.
        path = arguments[0]._path
        threading.Thread(target=lambda: (wait_for_bytes(path), kill()), daemon=True).start()


def wait_for_bytes(path: Path) -> None:
    """Wait until a file holds something."""
    while not path.exists() or not path.stat().st_size:
        time.sleep(0)


def write_inputs(root: Path) -> None:
    """Write a bundle and a scene, small enough to be mapped in a second."""
    import numpy as np
    import rasterio
    import torch

    from terrazzo.bundle import Bundle
    from terrazzo.data.classes import Class, Classes
    from terrazzo.data.normalisation import Normalisation
    from terrazzo.geo.bands import Band, Bands
    from terrazzo.models.architecture import ARCHITECTURES
    from terrazzo.record import load_plugin

    load_plugin(Path(__file__).parent / "tiny_training.py")
    record = ARCHITECTURES.create("one_layer")
    torch.manual_seed(0)
    names = ("red", "green", "blue")
    Bundle(
        architecture=record,
        bands=Bands(items=tuple(Band(name=name, dtype="uint8") for name in names)),
        classes=Classes(items=tuple(Class(name=name) for name in ("wood", "roof", "water"))),
        normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
        patch_size=32,
        resolution_m=1.0,
        weights=record.build(bands=3, classes=3).state_dict(),
        training={},
        versions={},
        licence="",
    ).save(root / "bundle.safetensors")
    values = np.random.default_rng(0).integers(1, 256, (3, 28 * STRIPS + 4, 300)).astype(np.uint8)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": values.shape[1], "width": values.shape[2]}
    transform = rasterio.Affine(1, 0, 100, 0, -1, 200)
    with rasterio.open(root / "scene.tif", "w", **profile, transform=transform, crs="EPSG:32632") as file:
        file.write(values)


def map_it(root: Path, folder: Path, workers: str) -> None:
    """Map the scene in this process."""
    from terrazzo.bundle import Bundle
    from terrazzo.machine import MachineSettings
    from terrazzo.record import load_plugin
    from terrazzo.scene import map_scene
    from terrazzo.scene.settings import PredictSettings

    load_plugin(Path(__file__).parent / "tiny_training.py")
    for plugin in sorted(folder.glob("deadly*.py")):
        load_plugin(plugin)
    settings = PredictSettings(
        strip_pixels=28,
        layers=("confidence",),
        batch_size=4,
        precision="float32",
        compile=False,
        workers=2 if workers == "ray" else int(workers),
        executor="ray" if workers == "ray" else "local",
    )
    mapped = map_scene(
        Bundle.load(root / "bundle.safetensors"),
        root / "scene.tif",
        folder / "map.tif",
        settings=settings,
        machine=MachineSettings(accelerator="cpu", precision="float32", threads=1),
    )
    summary = mapped.summary
    (folder / "resumed.json").write_text(json.dumps([summary.resumed_strips, summary.strips]))


def start(root: Path, folder: Path, workers: str, *, fresh: bool, delay: float = 0) -> int:
    """Start mapping once and return how the process ended: 0, or -9 for a kill."""
    if fresh:
        child = subprocess.Popen([sys.executable, __file__, "--child", str(root), str(folder), workers])
        if delay:
            time.sleep(delay)
            child.kill()
        return child.wait()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            map_it(root, folder, workers)
            status = 0
        except BaseException as error:  # noqa: BLE001 - the parent sees the status
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(status)
    if delay:
        time.sleep(delay)
        os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(
    root: Path, folder: Path, workers: str, place: str, call: int, *, fresh: bool, delay: float
) -> tuple[bool, bool]:
    """Start mapping with a kill prepared; return whether it came, and whether the map is there all the same.

    A worker that is killed alone is replaced, so that the start itself ends well.
    """
    mark, plugin = folder / "killed", folder / f"deadly_{time.monotonic_ns()}.py"
    mark.unlink(missing_ok=True)
    if PLACES[place].owner is not None:
        values = {"benchmarks": str(Path(__file__).parent), "place": place, "call": call, "mark": str(mark)}
        plugin.write_text(textwrap.dedent(PLUGIN.format(**values)))
    status = start(root, folder, workers, fresh=fresh, delay=delay)
    plugin.unlink(missing_ok=True)
    came = mark.exists() or (PLACES[place].owner is None and status == -signal.SIGKILL)
    # An actor of Ray knows no process of the job but itself.
    alone = PLACES[place].alone or (workers == "ray" and PLACES[place].kind == "strip write")
    outlived = alone and workers != "1"
    if status != (-signal.SIGKILL if came and not outlived else 0):
        raise SystemExit(f"a start with {workers} workers, killed at {place} {call}, ended with {status}")
    return came, status == 0


@dataclass(frozen=True)
class Story:
    """What happened to one map.

    Attributes:
        folder: Where it lies.
        kills: Place of each kill, with the number of workers.
        resumed: Strips that the last start found finished.
    """

    folder: Path
    kills: tuple[str, ...]
    resumed: int


def stories(root: Path, kills: int, *, workers: Iterator[str], fresh: bool, seed: int) -> Iterator[Story]:
    """Kill and start again, at most six times a map; yield what happened to each."""
    draw, places = random.Random(seed), itertools.cycle(PLACES)
    began = time.perf_counter()
    (root / "map-0").mkdir()
    if start(root, root / "map-0", "1", fresh=fresh) != 0:
        raise SystemExit("the undisturbed map failed")
    undisturbed = time.perf_counter() - began
    done, place = 0, next(places)
    for number in itertools.count(1):
        folder, told = root / f"map-{number}", []
        folder.mkdir()
        for _ in range(min(6, kills - done)):
            where = PLACES[place]
            delay = draw.uniform(0.1, 0.9) * undisturbed if where.owner is None else 0.0
            several, call = next(workers), draw.randint(1, where.calls)
            came, finished = killed(root, folder, several, place, call, fresh=fresh, delay=delay)
            if came:
                told.append(f"{place} ({several})")
                done, place = done + 1, next(places)
            if finished:
                # Where the place did not come before the end, it is the next map's first.
                break
        else:
            if start(root, folder, next(workers), fresh=fresh) != 0:
                raise SystemExit(f"the last start of {folder.name} failed")
        resumed, _ = json.loads((folder / "resumed.json").read_text())
        yield Story(folder, tuple(told), resumed)
        if done >= kills:
            return


def rasters(folder: Path) -> dict[str, bytes]:
    """Return every raster of a map by its name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in {".tif", ".png"}}


def left_over(folder: Path) -> list[str]:
    """Return hidden files and folders: nothing is left of kills once the map is there."""
    hidden = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    return [name for name in hidden if not name.endswith(".receipt.json")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="start Python anew for each start")
    parser.add_argument("--workers", nargs="+", default=["1", "2", "1"], help="taken in turn; `ray` for a cluster")
    parser.add_argument("--child", nargs=3, metavar=("ROOT", "FOLDER", "WORKERS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        root, folder, workers = arguments.child
        map_it(Path(root), Path(folder), workers)
        return
    # The helper of worker processes tells of what a killed job could not clear away.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")
    # Everything that a forked start will need is imported, and nothing computed.
    for name in ("terrazzo.scene", "torch._inductor.config"):
        importlib.import_module(name)
    begun, counts, wrong = time.perf_counter(), collections.Counter[str](), 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_inputs(root)
        workers = itertools.cycle(arguments.workers)
        print(f"{'map':>3}  {'kills':>5}  {'kept':>4}  {'equal':<10}  killed at (workers)")
        told = stories(root, arguments.kills, workers=workers, fresh=arguments.fresh, seed=arguments.seed)
        for number, story in enumerate(told, start=1):
            expected, found = rasters(root / "map-0"), rasters(story.folder)
            unequal = sorted(part for part in expected | found if expected.get(part) != found.get(part))
            unequal += left_over(story.folder)
            wrong += bool(unequal)
            counts.update(PLACES[kill.rpartition(" (")[0]].kind for kill in story.kills)
            equal = ", ".join(unequal) or "every byte"
            print(
                f"{number:>3}  {len(story.kills):>5}  {story.resumed:>4}  {equal}  {'; '.join(story.kills)}", flush=True
            )
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    seconds = time.perf_counter() - begun
    print(f"{counts.total()} kills ({kinds}), {wrong} maps differ, workers {arguments.workers}, {seconds:.0f} s")
    few = arguments.kills >= 40 and min(counts[kind] for kind in KINDS) < 3
    raise SystemExit(1 if wrong or few else 0)


if __name__ == "__main__":
    main()
