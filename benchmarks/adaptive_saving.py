"""Claim: a refiner whose windows stop by themselves saves 30 % of the work, encoder included, at 0.3 points of mIoU.

The threshold comes from images kept apart: of CamVid the first of the val frames calibrate, a gap is left out, since
neighbouring frames show the same street, and the rest judge; of Dubai tile 4 calibrates and tile 7 judges. All maps are
made by the scene engine. Beside it stand runs of fixed steps, and a net of the same parameters trained for one step.

Usage: python benchmarks/adaptive_saving.py [--data camvid dubai] [--epochs 20] [--bundle FILE [--single FILE]]
    [key=value ...]

Multiplications and wall time are those of the judged images, from pixels to classes, against a run of all steps. The
drop of mIoU has a paired 95 % interval over images. `promised` takes tau by risk control (--method, --loss, --epsilon);
`best guess` takes the least careful tau whose mIoU on the calibrating images falls by at most --drop: no promise.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import terrazzo
from terrazzo.assessment.halting_results import HaltingSweep
from terrazzo.assessment.halting_sweep import sweep_halting
from terrazzo.assessment.images import pass_image, target_rows
from terrazzo.bundle import Bundle
from terrazzo.calibration.risk import choose
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.prepare import open_prepared
from terrazzo.data.prepared import Prepared
from terrazzo.machine import MachineSettings
from terrazzo.metrics import Confusion
from terrazzo.metrics.intervals import paired_comparison
from terrazzo.models.halting import HaltingRule
from terrazzo.profiling.stepping import step_costs
from terrazzo.scene import PredictSettings
from terrazzo.scene.image_pass import ImagePass

SHARED = Path(__file__).parents[2] / "shared" / "data"
VARIABLES = {"camvid": "CAMVID_ROOT", "dubai": "DUBAI_ROOT"}
GOAL, STRETCH = 0.30, 0.45


@dataclass(frozen=True)
class Judged:
    """One way to run the judged images.

    Attributes:
        counts: Labelled pixels of each image by label and class.
        seconds: Wall time of all of them.
    """

    counts: np.ndarray
    seconds: float


def trained(recipe: str, folder: Path, arguments: argparse.Namespace, *, steps: int) -> tuple[Bundle, Prepared]:
    """Train a refiner of so many steps, or take the one that was given."""
    config = terrazzo.load_config(
        recipe,
        "model=trm",
        f"model.t_max={steps}",
        "model.t_min=1",
        "loss=steps",
        f"seed={arguments.seed}",
        f"train.epochs={arguments.epochs}",
        f"paths.runs={folder}/runs-{steps}",
        f"paths.prepared={folder}/prepared",
        *arguments.overrides,
    )
    given = arguments.bundle if steps > 1 else arguments.single
    if given is not None:
        terrazzo.prepare(config)
        return Bundle.load(given), open_prepared(config.prepare.folder)
    begun = time.perf_counter()
    run = terrazzo.train(config)
    print(f"  trained for {steps} steps: {(time.perf_counter() - begun) / 60:.1f} min", flush=True)
    return Bundle.load(run.folder / "bundle.safetensors"), open_prepared(config.prepare.folder)


def parts(recipe: str, prepared: Prepared, arguments: argparse.Namespace) -> tuple[list[ImageEntry], list[ImageEntry]]:
    """Return the images that calibrate and those that judge."""
    if recipe == "dubai":
        first, second = prepared.catalog.entries("val"), prepared.catalog.entries("test")
    else:
        # Names of frames go with time.
        frames = prepared.catalog.entries("val")
        half = (len(frames) - arguments.gap) // 2
        first, second = frames[:half], frames[half + arguments.gap :]
    most = arguments.images or max(len(first), len(second))
    return first[:most], second[:most]


def judged(
    bundle: Bundle, entries: Sequence[ImageEntry], settings: PredictSettings, machine: MachineSettings
) -> Judged:
    """Run images through the scene engine and count their pixels; reading is part of the time, judging is not."""
    passing = ImagePass(bundle, settings, machine)
    size = len(bundle.classes)
    counts, seconds = [], 0.0
    first = pass_image(entries[0], bundle.bands, bundle.classes)
    # The probe and the first pages of memory are no part of a map's pace.
    list(passing.rows(first))
    for entry in entries:
        of_image = np.zeros((size, size), dtype=np.int64)
        begun = time.perf_counter()
        rows = [
            (one.y, passing.products.decide(one.scores, y=one.y)["class"][0].numpy(), one.valid)
            for one in passing.rows(pass_image(entry, bundle.bands, bundle.classes))
        ]
        seconds += time.perf_counter() - begun
        for y, classes, valid in rows:
            target, ignored = target_rows(entry, bundle.classes, y, valid)
            kept = target[~ignored].astype(np.int64) * size + classes[~ignored]
            of_image += np.bincount(kept, minlength=size * size).reshape(size, size)
        counts.append(of_image)
    return Judged(np.stack(counts), seconds)


def miou(counts: np.ndarray, names: Sequence[str]) -> float:
    """Return the mean IoU in points."""
    return 100 * Confusion(torch.from_numpy(counts)).scores(names).miou


def guessed(sweep: HaltingSweep, names: Sequence[str], drop: float) -> int:
    """Return the position of the least careful threshold before the first whose mIoU falls by more."""
    full = miou(sweep.full, names)
    fails = [full - miou(counts, names) > drop for counts in sweep.confusions]
    return max(fails.index(True) - 1, 0) if True in fails else len(fails) - 1


def compare(recipe: str, arguments: argparse.Namespace, folder: Path) -> None:
    """Train, calibrate, judge and print one data set's table."""
    machine = MachineSettings(threads=1) if arguments.cpu is False else MachineSettings(accelerator="cpu", threads=1)
    bundle, prepared = trained(recipe, folder, arguments, steps=arguments.steps)
    names = bundle.classes.names
    first, second = parts(recipe, prepared, arguments)
    asked = {"bands": bundle.bands, "classes": bundle.classes, "settings": PredictSettings(), "machine": machine}
    sweep = sweep_halting(bundle, first, **asked)
    delta = None if arguments.method == "crc" else arguments.delta
    choice = choose(
        sweep.losses[arguments.loss],
        method=arguments.method,
        epsilon=arguments.epsilon,
        delta=delta,
        bound=arguments.bound,
    )
    guess = guessed(sweep, names, arguments.drop)
    print(
        f"{recipe}: {len(first)} images calibrate, {len(second)} judge; {arguments.loss} by {arguments.method}: tau "
        f"{choice.threshold:g}, risk {choice.risk:.4f} <= {choice.upper:.4f} (epsilon {arguments.epsilon:g})"
        f"{'' if choice.feasible else '; nothing can be promised'}; best guess tau {sweep.thresholds[guess]:g}"
    )
    if choice.advice:
        print(f"  {choice.advice}")
    taus = sorted({1.0, choice.threshold, sweep.thresholds[guess]}, reverse=True)
    # The judged images are swept at the thresholds that are fixed by now, for their multiplications.
    other = sweep_halting(bundle, second, thresholds=taus, **asked)
    runs = {f"tau {tau:g}": PredictSettings(tau=tau) for tau in taus}
    runs |= {f"{step} steps for all": PredictSettings(tau=1.0, steps=step) for step in range(1, arguments.steps)}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    found: dict[str, Judged] = {}
    for _ in range(arguments.repeats):
        for name, settings in runs.items():
            found[name] = judged(bundle, second, settings, machine)
            seconds[name].append(found[name].seconds)
    full, whole = found["tau 1"], statistics.median(seconds["tau 1"])
    print(f"{'run':22}{'steps':>7}{'mIoU':>8}{'drop':>7}{'95 %':>18}{'FLOPs saved':>13}{'time saved':>12}")
    saved = {f"tau {tau:g}": (other.overall_steps[place], other.savings[place]) for place, tau in enumerate(taus)}
    saved |= {
        f"{step} steps for all": (float(step), other.fixed_savings[step - 1]) for step in range(1, arguments.steps)
    }
    for name, run in found.items():
        steps, share = saved[name]
        told = {"tau 1": " (all)", f"tau {choice.threshold:g}": " (promised)"}.get(name, "")
        told += " (best guess)" if name == f"tau {sweep.thresholds[guess]:g}" and not told else ""
        line(name + told, full, run, names, steps, share, 1 - statistics.median(seconds[name]) / whole)
    print("  mIoU of each step: " + " ".join(f"{miou(counts, names):.2f}" for counts in other.fixed))
    verdict(found, saved, names, f"tau {choice.threshold:g}", arguments.drop)
    if arguments.bundle is None or arguments.single is not None:
        single, _ = trained(recipe, folder, arguments, steps=1)
        plain = judged(single, second, PredictSettings(), machine)
        share = 1 - single_macs(single, second) / sum(one.full_macs for one in other.sweeps)
        line("net of one step", full, plain, names, 1.0, share, 1 - plain.seconds / whole)


def line(
    name: str, full: Judged, run: Judged, names: Sequence[str], steps: float, share: float, time_share: float
) -> None:
    """Print one run beside the run of all steps."""
    found = paired_comparison(full.counts, run.counts, names).miou
    ends = f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"
    print(
        f"{name:22}{steps:7.2f}{miou(run.counts.sum(axis=0), names):8.2f}{100 * found.value:7.2f}{ends:>18}"
        f"{100 * share:12.1f}%{100 * time_share:11.1f}%",
        flush=True,
    )


def verdict(
    found: dict[str, Judged], saved: dict[str, tuple[float, float]], names: Sequence[str], chosen: str, drop: float
) -> None:
    """Print whether the goal is reached, and what runs of fixed steps with the same mean are worth."""
    steps, share = saved[chosen]
    scores = {name: miou(run.counts.sum(axis=0), names) for name, run in found.items()}
    fixed = [(saved[name][0], score) for name, score in scores.items() if name.endswith("for all")]
    fixed.append((saved["tau 1"][0], scores["tau 1"]))
    at_same = float(np.interp(steps, *zip(*sorted(fixed), strict=True)))
    print(
        f"  fixed steps with the same mean of {steps:.2f}: mIoU {at_same:.2f}, between those of whole steps; "
        f"windows that stop by themselves: {scores[chosen]:.2f}"
    )
    kept = scores["tau 1"] - scores[chosen] <= drop
    reached = "stretch reached" if kept and share >= STRETCH else "reached" if kept and share >= GOAL else "missed"
    print(f"  goal >= {100 * GOAL:.0f} % at a drop <= {drop}: {reached}")


def single_macs(bundle: Bundle, entries: Sequence[ImageEntry]) -> int:
    """Return the multiplications of a net of one step on images."""
    passing = ImagePass(bundle, PredictSettings(), MachineSettings(accelerator="cpu", threads=1))
    network, total = bundle.network(), 0
    for entry in entries:
        plan = passing.plan(pass_image(entry, bundle.bands, bundle.classes))
        image = torch.zeros((1, len(bundle.bands), *plan.window_shape))
        costs = step_costs(network, image, HaltingRule(2.0, 1, 1))
        total += plan.windows * (costs.encoder + costs.step + costs.answer)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=sorted(VARIABLES), default=sorted(VARIABLES))
    parser.add_argument("--root", type=Path, default=SHARED, help="folder that holds camvid/ and dubai/")
    parser.add_argument("--bundle", type=Path, default=None, help="a trained refiner, in place of training one")
    parser.add_argument("--single", type=Path, default=None, help="a trained net of one step, likewise")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=6, help="t_max")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gap", type=int, default=15, help="CamVid frames between those that calibrate and the judges")
    parser.add_argument("--images", type=int, default=0, help="at most so many calibrate and judge; all if 0")
    parser.add_argument("--loss", choices=("disagreement", "error", "iou", "brier"), default="error")
    parser.add_argument("--method", choices=("crc", "wsr", "ltt"), default="crc")
    parser.add_argument("--epsilon", type=float, default=0.01)
    parser.add_argument("--delta", type=float, default=0.1)
    parser.add_argument("--bound", type=float, default=0.05)
    parser.add_argument("--drop", type=float, default=0.3, help="points of mIoU")
    parser.add_argument("--repeats", type=int, default=3, help="timed passes over the judged images")
    parser.add_argument("--cpu", action="store_true", help="leave a GPU aside")
    parser.add_argument("overrides", nargs="*", help="key=value of the configuration, such as model.width=96")
    arguments = parser.parse_args()
    for recipe in arguments.data:
        os.environ[VARIABLES[recipe]] = str((arguments.root / recipe).resolve())
        with tempfile.TemporaryDirectory() as folder:
            compare(recipe, arguments, Path(folder))


if __name__ == "__main__":
    main()
