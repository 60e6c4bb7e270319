"""Claim: trained on Dubai tiles 1-3 and chosen on tile 4, the shipped `dubai` recipe beats two baselines on tile 7.

The baselines: always the most frequent training class, and a random forest on the colour of single pixels. Scores are
mIoU over the same labelled pixels from the same confusion matrix.

Usage: python benchmarks/dubai.py [--root ../shared/data/dubai] [--out FOLDER] [key=value ...]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier

import terrazzo
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.prepare import open_prepared
from terrazzo.data.prepared import Prepared
from terrazzo.data.reading import read_image, read_target
from terrazzo.geo.grid import Window
from terrazzo.metrics import Confusion

SAMPLES_AN_IMAGE = 4_000


def pixels(prepared: Prepared, entry: ImageEntry) -> tuple[np.ndarray, np.ndarray]:
    """Return the labelled pixels of an image: values `pixel band` and classes `pixel`."""
    whole = Window(0, 0, entry.height, entry.width)
    raster = read_image(entry, whole, prepared.bands)
    target = read_target(entry, whole, prepared.classes)
    counted = raster.valid & (target != prepared.classes.ignore)
    return raster.values[:, counted].T, target[counted]


def answered(forest: RandomForestClassifier, values: np.ndarray) -> np.ndarray:
    """Return the forest's class of each pixel, asking it once for each colour that occurs."""
    colours, where = np.unique(values, axis=0, return_inverse=True)
    return forest.predict(colours)[where.ravel()]


def baseline_scores(prepared: Prepared) -> tuple[float, float]:
    """Return the mIoU on the test split of the majority class and of a per-pixel random forest."""
    generator = np.random.default_rng(0)
    values, classes = [], []
    for entry in prepared.catalog.entries("train"):
        image_values, image_classes = pixels(prepared, entry)
        chosen = generator.choice(len(image_classes), min(SAMPLES_AN_IMAGE, len(image_classes)), replace=False)
        values.append(image_values[chosen])
        classes.append(image_classes[chosen])
    forest = RandomForestClassifier(100, min_samples_leaf=5, n_jobs=-1, random_state=0)
    forest.fit(np.concatenate(values), np.concatenate(classes))
    majority = int(np.argmax(prepared.pixel_counts["train"]))
    names = prepared.classes.names
    by_forest, by_majority = Confusion.zero(len(names)), Confusion.zero(len(names))
    for entry in prepared.catalog.entries("test"):
        image_values, image_classes = pixels(prepared, entry)
        target = torch.from_numpy(image_classes.astype(np.int64))[None, None]
        none_ignored = torch.zeros_like(target, dtype=torch.bool)
        prediction = torch.from_numpy(answered(forest, image_values).astype(np.int64))[None, None]
        by_forest += Confusion.of(prediction, target, none_ignored, len(names))
        by_majority += Confusion.of(torch.full_like(target, majority), target, none_ignored, len(names))
    return by_majority.scores(names).miou, by_forest.scores(names).miou


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "dubai")
    parser.add_argument("--out", type=Path, default=None, help="keep run and maps here")
    parser.add_argument("--epochs", type=int, default=8, help="the recipe trains longer")
    parser.add_argument("overrides", nargs="*", help="key=value for the recipe")
    arguments = parser.parse_args()
    os.environ["DUBAI_ROOT"] = str(arguments.root.resolve())
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        config = terrazzo.load_config(
            "dubai",
            f"train.epochs={arguments.epochs}",
            f"paths.runs={folder}/runs",
            f"paths.prepared={folder}/prepared",
            *arguments.overrides,
        )
        begun = time.perf_counter()
        trained = terrazzo.train(config)
        seconds = time.perf_counter() - begun
        result = terrazzo.evaluate(trained.folder, split="test")
        majority, forest = baseline_scores(open_prepared(config.prepare.folder))
        largest = max(
            (arguments.root / "Tile 7" / "images").iterdir(), key=lambda path: path.stat().st_size, default=None
        )
        if largest is not None and arguments.out is not None:
            mapped = terrazzo.predict(trained.folder, [largest], folder / "map")
            print(f"mapped {largest.name}: {mapped.maps[0].out}")
    print(f"terrazzo, tile 7:        mIoU {result.miou:.4f} ({trained.epochs} epochs, {seconds / 60:.1f} min)")
    print(f"majority class:          mIoU {majority:.4f} (ratio {result.miou / majority:.2f}, goal >= 2)")
    print(f"per-pixel random forest: mIoU {forest:.4f} (ratio {result.miou / forest:.2f}, goal > 1)")


if __name__ == "__main__":
    main()
