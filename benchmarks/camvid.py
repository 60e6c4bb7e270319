"""Claim: the shipped `camvid` recipe reaches val mIoU >= 0.40 within 20 minutes on two cores, without pre-training.

Usage: python benchmarks/camvid.py [--seeds 0 1 2] [--root ../shared/data/camvid] [key=value ...]

Prints one line a seed (val mIoU of the best epoch, minutes of training) and the mean with its spread. CamVid is not
part of the project; name its folder with --root.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import terrazzo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "camvid")
    parser.add_argument("--epochs", type=int, default=6, help="the recipe trains longer")
    parser.add_argument("overrides", nargs="*", help="key=value for the recipe")
    arguments = parser.parse_args()
    os.environ["CAMVID_ROOT"] = str(arguments.root.resolve())
    scores = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            config = terrazzo.load_config(
                "camvid",
                f"seed={seed}",
                f"train.epochs={arguments.epochs}",
                f"paths.runs={folder}/runs",
                f"paths.prepared={folder}/prepared",
                *arguments.overrides,
            )
            begun = time.perf_counter()
            trained = terrazzo.train(config)
            seconds = time.perf_counter() - begun
            result = terrazzo.evaluate(trained.folder, split="val")
            scores.append(result.miou)
            print(
                f"seed {seed}: val mIoU {result.miou:.4f} (best epoch {trained.best_epoch} of {trained.epochs}), "
                f"trained in {seconds / 60:.1f} min, {trained.steps} steps",
                flush=True,
            )
    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
    print(f"mean of {len(scores)} seeds: {statistics.mean(scores):.4f} +- {spread:.4f} (bar >= 0.40)")


if __name__ == "__main__":
    main()
