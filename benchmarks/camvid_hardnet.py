"""Question: on CamVid, what does hardnet68 reach beside smp Unet/resnet18 after the same wall time of training?

Usage: python benchmarks/camvid_hardnet.py [--minutes 20] [--seeds 0 1 2] [--only NETWORK] [--epochs N]
                                           [--root FOLDER] [key=value ...]

Both start from random weights with the `camvid` recipe. One epoch of each is timed first; each then trains as many
whole epochs as fit into the minutes, its schedule ending there; `--epochs` says how many without timing. Prints a
table: parameters, epochs, minutes really spent, val mIoU of the best epoch. Times mean something only on a machine that
does nothing else. CamVid is not part of the project; name its folder with --root.
"""

import argparse
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import terrazzo
from terrazzo.bundle import Bundle

NETWORKS = {
    "hardnet68": ["model=hardnet68"],
    "unet/resnet18": ["model.name=smp", "model.architecture=unet", "model.encoder=resnet18"],
}


@dataclass(frozen=True)
class Result:
    """What one training came to."""

    parameters: int
    epochs: int
    minutes: float
    miou: float


def train(name: str, folder: str, overrides: list[str], *, seed: int, epochs: int) -> Result:
    """Train afresh; the best epoch is the one with the best mIoU on the validation frames."""
    config = terrazzo.load_config(
        "camvid",
        *NETWORKS[name],
        f"name={name.replace('/', '-')}-{seed}-{epochs}",
        f"seed={seed}",
        f"train.epochs={epochs}",
        f"paths.runs={folder}/runs",
        f"paths.prepared={folder}/prepared",
        *overrides,
    )
    terrazzo.prepare(config)
    trained = terrazzo.train(config)
    network = Bundle.load(trained.folder).network()
    return Result(
        parameters=sum(one.numel() for one in network.parameters()),
        epochs=trained.epochs,
        minutes=trained.seconds / 60,
        miou=trained.best_value,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="of training, validation included, for each network"
    )
    parser.add_argument("--only", nargs="+", choices=sorted(NETWORKS), default=sorted(NETWORKS))
    parser.add_argument("--epochs", type=int, default=None, help="instead of those that fit into the minutes")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "camvid")
    parser.add_argument("overrides", nargs="*", help="key=value for the recipe, for both networks")
    arguments = parser.parse_args()
    os.environ["CAMVID_ROOT"] = str(arguments.root.resolve())
    results: dict[str, list[Result]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            epochs = arguments.epochs
            if epochs is None:
                pilot = train(name, folder, arguments.overrides, seed=10_000, epochs=1)
                epochs = max(round(arguments.minutes * pilot.epochs / pilot.minutes), 1)
                print(f"{name}: {60 * pilot.minutes / pilot.epochs:.0f} s an epoch, so {epochs} epochs", flush=True)
            results[name] = []
            for seed in arguments.seeds:
                result = train(name, folder, arguments.overrides, seed=seed, epochs=epochs)
                print(f"{name} seed {seed}: val mIoU {result.miou:.4f}, {result.minutes:.1f} min", flush=True)
                results[name].append(result)
    print("| network | parameters | epochs | minutes | val mIoU | spread |\n|---|---|---|---|---|---|")
    for name, found in results.items():
        scores = [one.miou for one in found]
        spread = f"{statistics.stdev(scores):.4f}" if len(scores) > 1 else "-"
        minutes = statistics.mean(one.minutes for one in found)
        print(
            f"| {name} | {found[0].parameters:,} | {found[0].epochs} | {minutes:.1f} | "
            f"{statistics.mean(scores):.4f} | {spread} |"
        )


if __name__ == "__main__":
    main()
