"""Illustration: how far confidences can be believed before and after `terrazzo calibrate`, on real images left apart.

CamVid is cut in time: of the frames of its train folder the last but a gap choose the epoch and the rest train; of its
val folder the first half calibrates, a gap is left out, since neighbouring frames show the same street, and the rest
judges. Of Dubai tiles 1 and 2 train, 3 chooses, 4 calibrates and 7 judges.

Usage: python benchmarks/real_calibration.py [--data camvid dubai] [--epochs 6] [--temperature scalar] [key=value ...]

Trains the shipped recipe's network for a few epochs, calibrates, and prints figures of the judging images before and
after; none of them was used to fit anything.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import terrazzo
from terrazzo.config import RunConfig

SHARED = Path(__file__).parents[2] / "shared" / "data"
VARIABLES = {"camvid": "CAMVID_ROOT", "dubai": "DUBAI_ROOT"}
FIGURES = ("ece", "classwise_ece", "ace", "nll", "brier", "boundary_ece", "confidence", "accuracy", "miou")


def camvid_roles(root: Path, folder: Path, gap: int) -> list[str]:
    """Write lists of frames by time, and return the settings that name them."""
    train = sorted(path.stem for path in (root / "train").glob("*.png"))
    later = sorted(path.stem for path in (root / "val").glob("*.png"))
    chooses, half = len(train) // 8, (len(later) - gap) // 2
    lists = {
        "train": train[: -chooses - gap],
        "val": train[-chooses:],
        "calibrate": later[:half],
        "test": later[half + gap :],
    }
    for role, names in lists.items():
        (folder / f"{role}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return [f"data.split.lists.{role}={folder / f'{role}.txt'}" for role in lists]


def dubai_roles() -> list[str]:
    """Return the settings that give whole tiles their roles."""
    tiles = {"train": ["1", "2"], "val": ["3"], "calibrate": ["4"], "test": ["7"]}
    return [f"data.split.regions.{role}={json.dumps(of)}" for role, of in tiles.items()]


def compare(recipe: str, config: RunConfig, kind: str) -> None:
    """Train, calibrate and print one data set's table."""
    begun = time.perf_counter()
    run = terrazzo.train(config)
    print(
        f"{recipe}: best epoch {run.best_epoch} of {run.epochs}, {(time.perf_counter() - begun) / 60:.1f} min",
        flush=True,
    )
    begun = time.perf_counter()
    found = terrazzo.calibrate(run.folder, settings=config.calibrate.model_copy(update={"temperature": kind}))
    images = ", ".join(f"{count} for {name}" for name, count in found.parts.items())
    print(f"  calibrated in {time.perf_counter() - begun:.0f} s on {images}; judged on {found.report_split}")
    for name in FIGURES:
        if name in found.before:
            print(f"  {name:16}{found.before[name]:9.4f} ->{found.after[name]:9.4f}")
    for text in found.warnings:
        print(f"  {text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=sorted(VARIABLES), default=sorted(VARIABLES))
    parser.add_argument("--root", type=Path, default=SHARED, help="folder that holds camvid/ and dubai/")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--gap", type=int, default=15, help="frames left out between parts of a street")
    parser.add_argument("--temperature", choices=("scalar", "vector", "local"), default="scalar")
    parser.add_argument("overrides", nargs="*", help="key=value of the configuration")
    arguments = parser.parse_args()
    for recipe in arguments.data:
        root = (arguments.root / recipe).resolve()
        os.environ[VARIABLES[recipe]] = str(root)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            roles = camvid_roles(root, folder, arguments.gap) if recipe == "camvid" else dubai_roles()
            config = terrazzo.load_config(
                recipe,
                *roles,
                "seed=0",
                f"train.epochs={arguments.epochs}",
                f"paths.runs={folder}/runs",
                f"paths.prepared={folder}/prepared",
                *arguments.overrides,
            )
            compare(recipe, config, arguments.temperature)


if __name__ == "__main__":
    main()
