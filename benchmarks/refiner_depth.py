"""Claim: depth pays: `trm` gains at least one point of mIoU over the same net trained to answer after one step.

Both have the same parameters; they differ in t_max alone. mIoU of each step is that of one network, trained for all
steps. If step 1 is as good as the last, stopping early saves nothing that a one-step net would not save too.

Usage: python benchmarks/refiner_depth.py [--data camvid] [--seeds 0 1 2] [--epochs 20] [--root FOLDER] [key=value ...]

Prints one line a seed and net, then mean and spread of each step, and the gain of depth.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import terrazzo

SHARED = Path(__file__).parents[2] / "shared" / "data"
VARIABLES = {"camvid": "CAMVID_ROOT", "dubai": "DUBAI_ROOT"}
JUDGED = {"camvid": "val", "dubai": "test"}
"""CamVid's test frames are kept back."""
GOAL = 1.0


def trained(recipe: str, overrides: Sequence[str], *, steps: int, seed: int, epochs: int) -> tuple[float, ...]:
    """Train a refiner of so many steps and return the mIoU of each, in per cent."""
    with tempfile.TemporaryDirectory() as folder:
        config = terrazzo.load_config(
            recipe,
            "model=trm",
            f"model.t_max={steps}",
            f"model.t_min={min(2, steps)}",
            "loss=steps",
            f"seed={seed}",
            f"train.epochs={epochs}",
            f"paths.runs={folder}/runs",
            f"paths.prepared={folder}/prepared",
            *overrides,
        )
        begun = time.perf_counter()
        run = terrazzo.train(config)
        seconds = time.perf_counter() - begun
        result = terrazzo.evaluate(run.folder, split=JUDGED[recipe])
    scores = tuple(100 * value for value in result.miou_by_step)
    told = " ".join(f"{score:.2f}" for score in scores)
    print(
        f"seed {seed}, t_max {steps}: {JUDGED[recipe]} mIoU of each step {told} (best epoch {run.best_epoch} of "
        f"{run.epochs}, {run.steps} updates, {seconds / 60:.1f} min; tau asks for {result.avg_steps:.2f} steps)",
        flush=True,
    )
    return scores


def described(scores: Sequence[float]) -> str:
    """Return mean and spread."""
    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return f"{statistics.mean(scores):.2f} +- {spread:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(VARIABLES), default="camvid")
    parser.add_argument("--root", type=Path, default=None, help="the data's folder")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=6, help="t_max of the deep net")
    parser.add_argument("overrides", nargs="*", help="key=value for both, such as model.width=96")
    arguments = parser.parse_args()
    os.environ[VARIABLES[arguments.data]] = str((arguments.root or SHARED / arguments.data).resolve())
    deep, shallow = [], []
    for seed in arguments.seeds:
        for steps, scores in ((arguments.steps, deep), (1, shallow)):
            scores.append(trained(arguments.data, arguments.overrides, steps=steps, seed=seed, epochs=arguments.epochs))
    for step in range(arguments.steps):
        print(f"step {step + 1} of {arguments.steps}: mIoU {described([scores[step] for scores in deep])}")
    print(f"trained with t_max 1:  mIoU {described([scores[0] for scores in shallow])}")
    gains = [one[-1] - other[0] for one, other in zip(deep, shallow, strict=True)]
    reached = "reached" if statistics.mean(gains) >= GOAL else "missed"
    print(f"gain of depth: {described(gains)} points over {len(gains)} seeds (goal >= +{GOAL}: {reached})")


if __name__ == "__main__":
    main()
