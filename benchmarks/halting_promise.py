"""Claim: the promise of a halting threshold holds end to end: on scenes that did not calibrate, risk stays in bounds.

A small refiner is trained on a synthetic landscape. Independent synthetic scenes are swept once through the scene
engine. Then they are divided at random, again and again: one half calibrates, and what its threshold comes to is looked
up on all scenes and on the other half.

Usage: python benchmarks/halting_promise.py [--scenes 500] [--side 96] [--splits 200] [--updates 300] [--out FOLDER] ...

A violation is a threshold whose mean loss over all scenes is above epsilon; `on the rest` counts the same on the half
that did not calibrate. The calibrating half is a part of the first, which is too kind; in the second the mean of so few
scenes strays by itself, which is too strict. `wsr` and `ltt` promise violations in at most a share delta of the
divisions, and both counts must stay below that but for the error of so many divisions; `crc` promises a mean risk on
the rest of at most epsilon; the quantile rule promises nothing.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.crs import CRS

from terrazzo.assessment.halting_results import HaltingSweep
from terrazzo.assessment.halting_samples import HaltingSamples
from terrazzo.assessment.halting_sweep import sweep_halting
from terrazzo.assessment.halting_tables import sweep_findings, tau_rows, write_rows
from terrazzo.bundle import Bundle
from terrazzo.calibration.risk import choose, positions, quantile_threshold
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.synthetic.landscape import BAND_NAMES, IGNORE, landscape
from terrazzo.data.synthetic.scenes import CLASS_COLOURS, CLASS_NAMES
from terrazzo.geo.bands import Band, Bands
from terrazzo.losses import LOSSES
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.scene import PredictSettings

WINDOW, BATCH, RATE = 64, 8, 3e-3
FIRST_SEED = 1_000_000
"""Far from the training scene's."""


def trained(arguments: argparse.Namespace) -> Bundle:
    """Train a refiner on crops of a synthetic landscape of its own; all steps and the halting head learn together."""
    drawn = landscape(arguments.train_side, arguments.train_side, seed=arguments.seed)
    known = drawn.image[:, drawn.valid].astype(np.float64)
    normalisation = Normalisation(mean=tuple(known.mean(axis=1).tolist()), std=tuple(known.std(axis=1).tolist()))
    image = torch.from_numpy(normalisation(drawn.image, drawn.valid))
    target = torch.from_numpy(drawn.label.astype(np.int64))
    settings = {"name": "trm", "width": arguments.width, "t_min": 1, "t_max": arguments.steps}
    torch.manual_seed(arguments.seed)
    network = ARCHITECTURES.create(**settings).build(bands=len(BAND_NAMES), classes=len(CLASS_NAMES))
    loss = LOSSES.create("steps", halting={"kappa": 0.01})
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=arguments.updates, pct_start=0.1)
    generator = np.random.Generator(np.random.PCG64(arguments.seed))
    network.train()
    for _ in range(arguments.updates):
        corners = generator.integers(0, arguments.train_side - WINDOW + 1, (BATCH, 2))
        seen, told = (
            torch.stack([part[..., y : y + WINDOW, x : x + WINDOW] for y, x in corners]) for part in (image, target)
        )
        optimizer.zero_grad()
        loss(network(seen), told.where(told != IGNORE, 0), told == IGNORE).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    items = [{"name": name, "colour": colour} for name, colour in zip(CLASS_NAMES, CLASS_COLOURS, strict=True)]
    return Bundle(
        architecture=ARCHITECTURES.create(**settings),
        bands=Bands(items=tuple(Band(name=name, dtype="uint16", nodata=0) for name in BAND_NAMES)),
        classes=Classes(items=tuple(Class(**one) for one in items), labels="value", ignore_values=(IGNORE,)),
        normalisation=normalisation,
        patch_size=WINDOW,
        resolution_m=0.5,
        weights=network.state_dict(),
        training={},
        versions={},
        licence="",
    )


def scenes(folder: Path, count: int, side: int) -> list[ImageEntry]:
    """Write independent landscapes with their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    places = tuple(BandPlace(name, 0, number) for number, name in enumerate(BAND_NAMES))
    found = []
    for number in range(count):
        drawn = landscape(side, side, seed=FIRST_SEED + number)
        paths = folder / f"scene_{number:05d}.tif", folder / f"label_{number:05d}.tif"
        for path, values in zip(paths, (drawn.image, drawn.label[None]), strict=True):
            profile = {"count": len(values), "height": side, "width": side, "dtype": values.dtype}
            where = {"crs": CRS.from_epsg(32632), "transform": Affine(0.5, 0, 432_000, 0, -0.5, 5_412_000)}
            nodata = 0 if values is drawn.image else 255
            with rasterio.open(path, "w", driver="GTiff", nodata=nodata, **profile, **where) as file:
                file.write(values)
        label = RasterLabel(rasters=(paths[1],))
        found.append(
            ImageEntry(f"scene_{number:05d}", paths[0], label, (), "calibrate", None, side, side, stack=places)
        )
    return found


def by_quantile(sweep: HaltingSweep, chosen: np.ndarray, delta: float) -> int:
    """Return the position of the threshold that the quantile rule finds on some scenes."""
    ends = np.cumsum([0, *(int(one.exits[0].sum()) for one in sweep.sweeps)])
    parts = [HaltingSamples(sweep.halting.q[ends[one] : ends[one + 1]], sweep.halting.gain[:0]) for one in chosen]
    tau = quantile_threshold(np.concatenate([part.q.ravel() for part in parts]), delta=delta)
    # The grid's most careful threshold that is not above it.
    return int(next((place for place, one in enumerate(sweep.thresholds) if one <= tau), len(sweep.thresholds) - 1))


def judge(sweep: HaltingSweep, loss: str, epsilon: float, arguments: argparse.Namespace) -> bool:
    """Print what each method comes to over random divisions; return whether the promises held."""
    clipped = np.minimum(sweep.losses[loss].losses, arguments.bound)
    count = len(clipped)
    half = arguments.calibrate or count // 2
    generator = np.random.Generator(np.random.PCG64(arguments.seed))
    orders = [generator.permutation(count) for _ in range(arguments.splits)]
    everywhere = clipped.mean(axis=0)
    error = 2 * math.sqrt(arguments.delta * (1 - arguments.delta) / arguments.splits)
    held = True
    print(
        f"\n{loss}: epsilon {epsilon:g}, delta {arguments.delta:g}, B {arguments.bound:g}, n {half} of {count} scenes"
    )
    print(
        f"{'method':10}{'violations':>12}{'on the rest':>13}{'mean risk':>11}{'mean tau':>10}{'steps':>7}{'saved':>8}"
    )
    for method in ("wsr", "ltt", "crc", "quantile"):
        if method == "quantile":
            found = np.array([by_quantile(sweep, order[:half], arguments.delta) for order in orders])
        else:
            delta = None if method == "crc" else arguments.delta
            parts = np.stack([sweep.losses[loss].losses[order[:half]] for order in orders])
            asked = {"method": method, "epsilon": epsilon, "delta": delta, "bound": arguments.bound}
            # Where nothing passes the most careful threshold is taken.
            found = np.maximum(positions(parts, **asked), 0)
        rest = np.array([clipped[order[half:], place].mean() for order, place in zip(orders, found, strict=True)])
        violations, on_rest = (everywhere[found] > epsilon).mean(), (rest > epsilon).mean()
        print(
            f"{method:10}{100 * violations:11.1f}%{100 * on_rest:12.1f}%{rest.mean():11.5f}"
            f"{np.array(sweep.thresholds)[found].mean():10.3f}{sweep.overall_steps[found].mean():7.2f}"
            f"{100 * sweep.savings[found].mean():7.1f}%"
        )
        if method in {"wsr", "ltt"}:
            held &= bool(max(violations, on_rest) <= arguments.delta + error)
        elif method == "crc":
            held &= bool(rest.mean() <= epsilon + 2 * rest.std() / math.sqrt(arguments.splits))
    allowed = f"violations of wsr and ltt <= {100 * (arguments.delta + error):.1f} %, mean risk of crc <= {epsilon:g}"
    print(f"{allowed}: {'held' if held else 'BROKEN'}")
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--side", type=int, default=96, help="pixels along a scene")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--calibrate", type=int, default=0, help="scenes that calibrate; half of them if 0")
    parser.add_argument("--updates", type=int, default=300, help="of the training, in batches of 8 crops")
    parser.add_argument("--train-side", type=int, default=1024, help="pixels along the training scene")
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--delta", type=float, default=0.1)
    parser.add_argument("--bound", type=float, default=0.2)
    parser.add_argument("--epsilon", type=float, nargs=2, default=(0.02, 0.01), help="of disagreement, of error")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", type=Path, default=None, help="a trained refiner of the same bands and classes")
    parser.add_argument("--out", type=Path, default=None, help="keep tables and findings here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, begun = Path(temporary), time.perf_counter()
        bundle = trained(arguments) if arguments.bundle is None else Bundle.load(arguments.bundle)
        print(f"trained: {time.perf_counter() - begun:.0f} s", flush=True)
        begun = time.perf_counter()
        entries = scenes(folder / "scenes", arguments.scenes, arguments.side)
        print(f"{len(entries)} scenes of {arguments.side} pixels: {time.perf_counter() - begun:.0f} s", flush=True)
        begun = time.perf_counter()
        sweep = sweep_halting(
            bundle,
            entries,
            bands=bundle.bands,
            classes=bundle.classes,
            settings=PredictSettings(),
            machine=MachineSettings(accelerator="cpu", threads=1),
        )
        print(f"swept: {time.perf_counter() - begun:.0f} s; {len(sweep.left_out)} left out", flush=True)
    names = bundle.classes.names
    for row in tau_rows(sweep, names)[:: max(1, len(sweep.thresholds) // 10)]:
        print(", ".join(f"{key} {value:.4g}" for key, value in row.items() if value is not None))
    asked = dict(zip(("disagreement", "error"), arguments.epsilon, strict=True))
    found = [judge(sweep, name, one, arguments) for name, one in asked.items()]
    if arguments.out is not None:
        keep(sweep, names, arguments)
    sys.exit(0 if all(found) else 1)


def keep(sweep: HaltingSweep, names: list[str], arguments: argparse.Namespace) -> None:
    """Write the sweep's table and what a report shows of it."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    choice = choose(
        sweep.losses["error"], method="wsr", epsilon=arguments.epsilon[1], delta=arguments.delta, bound=arguments.bound
    )
    uppers = choice.uppers
    write_rows(arguments.out / "tau_sweep.csv", tau_rows(sweep, names, bound=arguments.bound, uppers={"error": uppers}))
    findings = sweep_findings(
        sweep,
        names,
        tau=choice.threshold,
        loss="error",
        epsilon=choice.epsilon,
        bound=choice.bound,
        uppers=uppers,
    )
    (arguments.out / "halting.json").write_text(json.dumps(findings, indent=1))


if __name__ == "__main__":
    main()
