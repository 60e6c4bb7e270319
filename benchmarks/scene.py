"""Bar: one scene, the same weights, and four ways to lay them over it: time against the network alone, and memory.

    python benchmarks/scene.py [--side 12000] [--rounds 1] [--only NAME ...] [--folder DIR]

The scene is a tiled GeoTIFF of three bands of 8 bits; the network is smp's U-Net on resnet18 with six classes, random
weights. Each way is a process of its own and ends with a GeoTIFF of classes on the disk:

forward        the network alone on as many windows as `terrazzo` cuts, kept in memory, as this engine runs it: at the
               precision it chose, batch norms taken in, one pass a core
plain          the same as PyTorch has it: bfloat16, channels last, batches of four
terrazzo       this engine at its defaults, cloud-optimised GeoTIFF and report counted
monai          MONAI's SlidingWindowInferer on the scene that rasterio read whole (needs: pip install monai)
loader         a torch DataLoader over windows, numpy accumulators of the scene's size
whole          windows one by one onto accumulators of the scene's size

The rivals run at their own defaults (float32, overlap 1/4, MONAI one window at a time) and once more `tuned`: with this
engine's window, overlap, batch, precision and memory layout. Memory is the peak of the process and its children above
its state once the model is loaded. Bars: terrazzo at 90 % of `forward` at least, 5 times the fastest rival at its
defaults, no slower than any tuned one, a fifth of the smallest rival's memory.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from terrazzo.models import ARCHITECTURES
from terrazzo.scene import PredictSettings, map_scene
from terrazzo.scene.inputs.listing import scene_entry
from terrazzo.scene.plan import plan_scene
from terrazzo.scene.probe import decide
from terrazzo.scene.products import products_of
from terrazzo.scene.reader import read_strips
from terrazzo.scene.rows import FileRows
from terrazzo.scene.window_group import WindowGroup

CLASSES, WINDOW = 6, 512
MEAN, STD = 120.0, 60.0


def write_bundle(path: Path) -> None:
    """Save a network with seeded random weights."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES.create("smp", architecture="unet", encoder="resnet18")
    Bundle(
        architecture=architecture,
        bands=Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue"))),
        classes=Classes(items=[f"class {number}" for number in range(CLASSES)]),
        normalisation=Normalisation(mean=(MEAN,) * 3, std=(STD,) * 3),
        patch_size=WINDOW,
        resolution_m=0.5,
        weights=architecture.build(bands=3, classes=CLASSES).state_dict(),
        training={},
        versions={},
        licence="",
    ).save(path)


def write_scene(path: Path, side: int) -> None:
    """Write patches of land with grain, by rows of blocks."""
    generator = np.random.default_rng(0)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=side, width=side, dtype="uint8", crs="EPSG:32612", tiled=True,
        transform=Affine(0.5, 0, 300_000, 0, -0.5, 4_100_000), blockxsize=512, blockysize=512, compress="deflate",
        zlevel=1, num_threads=2, photometric="RGB",
    ) as file:  # fmt: skip
        for top in range(0, side, 512):
            height = min(512, side - top)
            coarse = generator.integers(30, 200, (3, -(-height // 64), -(-side // 64)), dtype=np.uint8)
            land = coarse.repeat(64, axis=1).repeat(64, axis=2)[:, :height, :side]
            grain = generator.integers(0, 40, (3, height, side), dtype=np.uint8)
            file.write(land + grain, window=Window(0, top, side, height))


def windows(side: int, overlap: float) -> list[tuple[int, int]]:
    """Return the upper left corners of windows on a regular grid, the last ones moved inward."""
    step = WINDOW - int(WINDOW * overlap)
    starts = [*range(0, side - WINDOW, step), side - WINDOW]
    return [(y, x) for y in starts for x in starts]


def read_whole(scene: Path) -> torch.Tensor:
    with rasterio.open(scene) as file:
        return torch.from_numpy((file.read().astype(np.float32) - MEAN) / STD)


def write_map(scene: Path, out: Path, classes: np.ndarray) -> None:
    with rasterio.open(scene) as file:
        profile = {**file.profile, "count": 1, "photometric": None, "compress": "deflate"}
    profile.pop("photometric")
    with rasterio.open(out, "w", **profile) as file:
        file.write(classes, 1)


class Network:
    """The network as a rival runs it."""

    def __init__(self, bundle: Bundle, *, tuned: bool) -> None:
        self._network = bundle.network()
        self._tuned = tuned
        if tuned:
            self._network = self._network.to(memory_format=torch.channels_last)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits in full precision."""
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._tuned):
            if self._tuned:
                image = image.contiguous(memory_format=torch.channels_last)
            return self._network(image).logits.float()


def monai(network: Network, scene: Path, out: Path, *, tuned: bool, batch: int) -> None:
    from monai.inferers import SlidingWindowInferer

    inferer = SlidingWindowInferer(
        (WINDOW, WINDOW), sw_batch_size=batch if tuned else 1, overlap=0.125 if tuned else 0.25
    )
    with torch.inference_mode():
        scores = inferer(read_whole(scene)[None], network)
        write_map(scene, out, scores[0].argmax(0).numpy().astype(np.uint8))


class _Windows(torch.utils.data.Dataset[tuple[torch.Tensor, int, int]]):
    def __init__(self, scene: Path, corners: list[tuple[int, int]]) -> None:
        self._scene, self._corners = scene, corners

    def __len__(self) -> int:
        return len(self._corners)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int, int]:
        y, x = self._corners[number]
        with rasterio.open(self._scene) as file:
            values = file.read(window=Window(x, y, WINDOW, WINDOW))
        return torch.from_numpy((values.astype(np.float32) - MEAN) / STD), y, x


def accumulate(answers: Iterator[tuple[np.ndarray, int, int]], scene: Path, out: Path) -> None:
    """Sum probabilities and weights over the whole scene, as both predecessors do."""
    with rasterio.open(scene) as file:
        side = file.height
    total = np.zeros((CLASSES, side, side), dtype=np.float32)
    weight = np.zeros((side, side), dtype=np.float32)
    for probabilities, y, x in answers:
        total[:, y : y + WINDOW, x : x + WINDOW] += probabilities
        weight[y : y + WINDOW, x : x + WINDOW] += 1
    total /= weight
    write_map(scene, out, total.argmax(0).astype(np.uint8))


def loader(network: Network, scene: Path, out: Path, *, tuned: bool, batch: int) -> None:
    with rasterio.open(scene) as file:
        corners = windows(file.height, 0.125 if tuned else 0.25)
    loading = torch.utils.data.DataLoader(_Windows(scene, corners), batch_size=batch if tuned else 4, num_workers=1)

    def answers() -> Iterator[tuple[np.ndarray, int, int]]:
        for images, ys, xs in loading:
            yield from zip(network(images).softmax(1).numpy(), ys.tolist(), xs.tolist(), strict=True)

    accumulate(answers(), scene, out)


def whole(network: Network, scene: Path, out: Path, *, tuned: bool, batch: int) -> None:
    image = read_whole(scene)
    del batch

    def answers() -> Iterator[tuple[np.ndarray, int, int]]:
        for y, x in windows(image.shape[1], 0.125 if tuned else 0.25):
            part = image[None, :, y : y + WINDOW, x : x + WINDOW]
            yield network(part).softmax(1)[0].numpy(), y, x

    accumulate(answers(), scene, out)


RIVALS: dict[str, Callable[..., None]] = {"monai": monai, "loader": loader, "whole": whole}
PLAIN_BATCH = 4
WAYS = ["forward", "plain", "terrazzo", *RIVALS, *(f"{name} tuned" for name in RIVALS)]


def one(way: str, bundle_path: Path, scene: Path, out: Path, facts: dict[str, int]) -> dict[str, float]:
    """Do the work in this process, and return what is to be told."""
    bundle = Bundle.load(bundle_path)
    machine = MachineSettings(accelerator="auto")
    name, _, tuned = way.partition(" ")
    network = None if name in {"forward", "terrazzo"} else Network(bundle, tuned=bool(tuned) or name == "plain")
    print("loaded", flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()
    if name == "terrazzo":
        summary = map_scene(bundle, scene, out, settings=PredictSettings(force=True), machine=machine).summary
        told = {"windows": float(summary.windows), "batch": float(summary.decisions.batch_size)}
    elif name == "forward":
        told = forward_only(bundle, scene, machine, facts["windows"])
    elif name == "plain":
        told = plain_forward(network, scene, windows=facts["windows"], batch=PLAIN_BATCH)
    else:
        RIVALS[name](network, scene, out, tuned=bool(tuned), batch=facts["batch"])
        told = {}
    return {"seconds": time.perf_counter() - begun, **told}


def forward_only(bundle: Bundle, scene: Path, machine: MachineSettings, count: int) -> dict[str, float]:
    """Run the network as the engine decided to, over windows that lie in memory; nothing else is done.

    Args:
        bundle: The network.
        scene: Where the windows come from; some of them again and again.
        machine: What to compute on.
        count: Windows in all.
    """
    settings = PredictSettings()
    entry = scene_entry(str(scene), settings, bundle)
    with entry.open() as opened:
        plan = plan_scene(bundle, opened, settings)
        products = products_of(settings, classes=len(bundle.classes), ignore=bundle.classes.ignore)
        decided = decide(bundle, plan, opened, settings, machine, products)
        size, forward = decided.decisions.group_size, decided.forward
        items = read_strips(plan, FileRows(opened, plan.bands), plan.strips, bundle.normalisation, group_size=size)
        raw = itertools.islice((item for item in items if isinstance(item, WindowGroup)), 8)
        # Normalising is not the network's.
        groups = [WindowGroup(group.image, group.valid, group.windows) for group in raw]
    needed = -(-count // size)
    with ThreadPoolExecutor(forward.lanes) as lanes:
        list(lanes.map(forward, groups[: forward.lanes]))
        begun = time.perf_counter()
        # The answer is dropped in its lane: answers that nobody takes would fill the memory.
        list(lanes.map(lambda number: forward(groups[number % len(groups)]).seconds, range(needed)))
        return {"rate_seconds": (time.perf_counter() - begun) * count / (needed * size)}


def plain_forward(network: "Network", scene: Path, *, windows: int, batch: int) -> dict[str, float]:
    """Run the network as PyTorch has it, in bfloat16 with channels last, on as many windows that lie in memory."""
    with rasterio.open(scene) as file:
        values = file.read(window=Window(0, 0, WINDOW * batch, WINDOW))
    image = torch.from_numpy((values.astype(np.float32) - MEAN) / STD)
    images = torch.stack(list(image.split(WINDOW, dim=2)))
    network(images)
    begun = time.perf_counter()
    rounds = -(-windows // batch)
    for _ in range(rounds):
        network(images).softmax(1)
    return {"rate_seconds": (time.perf_counter() - begun) * windows / (rounds * batch)}


def measured(way: str, arguments: list[str]) -> dict[str, float]:
    """Run one way in a process of its own; its peak counts from the state with the model loaded."""
    command = [sys.executable, __file__, "--one", way, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        if child.stdin is None or child.stdout is None or child.stdout.readline().strip() != "loaded":
            raise SystemExit(f"{way} did not start")
        process = psutil.Process(child.pid)
        Path(f"/proc/{child.pid}/clear_refs").write_text("5", encoding="utf-8")
        before = resident(process)
        peak = before
        child.stdin.write("go\n")
        child.stdin.flush()
        os.set_blocking(child.stdout.fileno(), False)
        line = ""
        while not line:
            peak = max(peak, resident(process), highest(process))
            if child.poll() is not None:
                raise SystemExit(f"{way} failed with exit status {child.returncode}")
            time.sleep(0.05)
            line = child.stdout.readline()
        peak = max(peak, highest(process))
        child.stdin.write("end\n")
        child.stdin.flush()
        return {**json.loads(line), "memory_mib": (peak - before) / 2**20}


def resident(process: psutil.Process) -> int:
    """Return the resident bytes of a process and its children, memory that they share counted once."""
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_info().rss if member == process else member.memory_full_info().uss
        except psutil.Error:
            continue
    return total


def highest(process: psutil.Process) -> int:
    """Return the highest resident bytes that the system saw of one process; nothing between samples is missed."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=12000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=WAYS, default=WAYS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--facts", default="{}", help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        bundle, scene = folder / "bundle.safetensors", folder / f"scene_{given.side}.tif"
        if given.one:
            told = one(given.one, bundle, scene, folder / f"{given.one.replace(' ', '_')}.tif", json.loads(given.facts))
            print(json.dumps(told), flush=True)
            sys.stdin.readline()
            return
        folder.mkdir(parents=True, exist_ok=True)
        write_bundle(bundle)
        if not scene.is_file():
            write_scene(scene, given.side)
        report(given, folder)


def report(given: argparse.Namespace, folder: Path) -> None:
    """Measure, and print times, rates, memory and the bars."""
    facts: dict[str, int] = {}
    found: dict[str, dict[str, float]] = {}
    # This engine first: the others are told its number of windows and its batch.
    order = ["terrazzo", *(way for way in given.only if way != "terrazzo")]
    for way in order:
        for _ in range(given.rounds):
            arguments = ["--side", str(given.side), "--folder", str(folder), "--facts", json.dumps(facts)]
            figures = measured(way, arguments)
            if way in {"forward", "plain"}:
                figures["seconds"] = figures["rate_seconds"]
            if way not in found or figures["seconds"] < found[way]["seconds"]:
                found[way] = figures
            if way == "terrazzo":
                facts = {"windows": int(figures["windows"]), "batch": int(figures["batch"])}
        line = f"{way:<14} {found[way]['seconds']:8.1f} s  {found[way]['memory_mib']:8.0f} MiB"
        print(f"{line}  {given.side**2 / found[way]['seconds'] / 1e6:6.2f} Mpixel/s", flush=True)
    ours = found["terrazzo"]
    rivals = {way: figures for way, figures in found.items() if way.split()[0] in RIVALS}
    if "forward" in found:
        told("share of the network alone", found["forward"]["seconds"] / ours["seconds"], 0.9)
    if "plain" in found:
        told("share of the network alone, as PyTorch has it", found["plain"]["seconds"] / ours["seconds"], 0.9)
    plain = [figures["seconds"] for way, figures in rivals.items() if not way.endswith("tuned")]
    tuned = [figures["seconds"] for way, figures in rivals.items() if way.endswith("tuned")]
    if plain:
        told("times the fastest rival at its defaults", min(plain) / ours["seconds"], 5)
    if tuned:
        told("times the fastest tuned rival", min(tuned) / ours["seconds"], 1)
    if rivals:
        smallest = min(figures["memory_mib"] for figures in rivals.values())
        told("smallest rival's memory over ours", smallest / ours["memory_mib"], 5)


def told(name: str, value: float, bar: float) -> None:
    print(f"{name}: {value:.2f} (bar >= {bar:g}: {'met' if value >= bar else 'MISSED'})")


if __name__ == "__main__":
    main()
