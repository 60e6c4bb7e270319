"""Claim: where windows stop early, time follows the steps: within 10 % of encoder + m / t_max of the steps' time.

Usage: python benchmarks/adaptive_time.py [--side 1800] [--window 256] [--rounds 2]

A refiner (`trm`, width 32, six steps, random weights and a random halting head) maps one image of very different
windows through the scene engine, from pixels to classes. The time of the encoder and of a step come from runs of 1 and
of all steps in the same rounds; thresholds are chosen so that windows take different numbers of steps. Printed for
each: the mean steps m, the time, what the steps would cost alone, and their ratio. Exits 1 above 1.1.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.scene import PredictSettings, map_scene

STEPS, CLASSES = 6, 6
BAR = 1.1


def make_bundle(window: int) -> Bundle:
    """Return a refiner whose windows stop at different steps."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES.create("trm", width=32, t_max=STEPS, t_min=1)
    network = architecture.build(bands=3, classes=CLASSES)
    with torch.no_grad():
        network.halting.last.weight.normal_(std=4.0)
        network.halting.last.bias.zero_()
    return Bundle(
        architecture=architecture,
        bands=Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue"))),
        classes=Classes(items=[f"class {number}" for number in range(CLASSES)]),
        normalisation=Normalisation(mean=(120.0,) * 3, std=(60.0,) * 3),
        patch_size=window,
        resolution_m=0.5,
        weights=network.state_dict(),
        training={},
        versions={},
        licence="",
    )


def write_scene(path: Path, side: int, window: int) -> None:
    """Write an image whose windows differ in brightness, contrast and grain."""
    generator = np.random.default_rng(0)
    count = -(-side // window)
    mean, spread = generator.uniform(20, 230, (2, count, count))
    grain = generator.normal(size=(3, side, side))
    large = np.kron(np.stack([mean, spread / 4]), np.ones((1, window, window)))[:, :side, :side]
    values = np.clip(large[0] + large[1] * grain, 0, 255).astype(np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=side, width=side, dtype="uint8", crs="EPSG:32612", tiled=True,
        transform=Affine(0.5, 0, 300_000, 0, -0.5, 4_100_000), blockxsize=256, blockysize=256,
    ) as file:  # fmt: skip
        file.write(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1800)
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    machine = MachineSettings(accelerator="auto")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle, scene = make_bundle(options.window), folder / "scene.tif"
        write_scene(scene, options.side, options.window)

        def seconds_of(**asked: object) -> tuple[float, float]:
            settings = PredictSettings(force=True, stac=False, quick_look=0, batch_size=4, **asked)
            summary = map_scene(bundle, scene, folder / "map.tif", settings=settings, machine=machine).summary
            # From pixels to classes: the probe and the final file are the same whatever the windows do.
            return summary.stage_seconds["compute"], summary.mean_steps or 0.0

        thresholds = thresholds_of(seconds_of)
        ways = {"1 step": {"tau": 1.0, "steps": 1}, "all steps": {"tau": 1.0}}
        ways |= {f"tau {tau:g}": {"tau": tau} for tau in thresholds}
        times: dict[str, list[float]] = {name: [] for name in ways}
        taken: dict[str, float] = {}
        for _ in range(options.rounds):
            for name, asked in ways.items():
                seconds, taken[name] = seconds_of(**asked)
                times[name].append(seconds)
    middle = {name: statistics.median(found) for name, found in times.items()}
    a_step = (middle["all steps"] - middle["1 step"]) / (STEPS - 1)
    encoder = middle["1 step"] - a_step
    print(f"encoder, reading and blending {encoder:.2f} s; a step of all windows {a_step:.2f} s; t_max {STEPS}")
    worst = 0.0
    for name in ways:
        expected = encoder + taken[name] * a_step
        ratio = middle[name] / expected
        worst = max(worst, ratio if name.startswith("tau") else 0.0)
        print(f"{name:12} m {taken[name]:.2f}: {middle[name]:6.2f} s, steps alone {expected:6.2f} s: {ratio:.3f}")
    print(f"worst {worst:.3f} (bar <= {BAR})")
    return int(worst > BAR)


def thresholds_of(seconds_of) -> list[float]:  # noqa: ANN001 - a closure of this script
    """Return thresholds at which windows take about a quarter, a half and three quarters of the steps."""
    found: dict[float, float] = {}
    for logit in np.linspace(-3, 9, 13):
        tau = round(float(1 / (1 + np.exp(-logit))), 5)
        found[tau] = seconds_of(tau=tau)[1]
    wanted = [STEPS * share for share in (0.3, 0.5, 0.75)]
    return sorted({min(found, key=lambda tau: abs(found[tau] - goal)) for goal in wanted})


if __name__ == "__main__":
    sys.exit(main())
