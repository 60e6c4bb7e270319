"""A small world in which the pages' examples run: images, labels, a finished run, and a scene that nobody has seen."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from terrazzo import load_config, run

SIDE = 48
COUNTS = {"train": 2, "val": 1, "calibrate": 8, "test": 2}
CONFIG = """
name: fields
data:
  source: {name: geotiff, folder: data, images: "images/{split}_*.tif", labels: "gt/{split}_*.tif"}
  bands: [red, green, blue, nir]
  classes: [background, field]
  patch: {size: 24}
augment: none
model: {name: trm, backbone: {name: stem, width: 8, blocks: 0}, width: 8, t_min: 1, t_max: 3}
loss: {name: steps, halting: {target: remaining_gain}}
train: {epochs: 1, batch_size: 8}
calibrate: {halting: {thresholds: 5}}
evaluate: {splits: [test]}
machine: {workers: 0, precision: float32, threads: 1, accelerator: cpu}
"""


def write_pair(image: Path, label: Path, seed: int) -> None:
    """Write an image of four bands in which squares are brighter, and its label."""
    generator = np.random.default_rng(seed)
    target = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for y, x in generator.integers(0, SIDE - 12, (4, 2)):
        target[y : y + 12, x : x + 12] = 1
    values = (60 + 90 * target[None] + generator.integers(1, 30, (4, SIDE, SIDE))).astype(np.uint8)
    profile = {
        "driver": "GTiff",
        "height": SIDE,
        "width": SIDE,
        "dtype": "uint8",
        "crs": "EPSG:32612",
        "transform": Affine(0.5, 0, 500_000 + 200 * seed, 0, -0.5, 4_100_000),
    }
    for path, data in ((image, values), (label, target[None])):
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(path, "w", count=len(data), **profile) as file:
            file.write(data)
            for number, name in enumerate(("red", "green", "blue", "nir")[: len(data)] if len(data) > 1 else (), 1):
                file.set_band_description(number, name)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `data`, `scene.tif` and the finished run `runs/fields`; not to be changed."""
    folder = tmp_path_factory.mktemp("pages")
    seeds = iter(range(100))
    for role, count in COUNTS.items():
        for number in range(count):
            name = f"{role}_{number}.tif"
            write_pair(folder / "data" / "images" / name, folder / "data" / "gt" / name, next(seeds))
    write_pair(folder / "scene.tif", folder / "scene_truth.tif", next(seeds))
    (folder / "split").mkdir()
    np.save(folder / "split" / "colormap.npy", np.array([[128, 64, 128], [0, 0, 142]], np.uint8))
    (folder / "terrazzo.yaml").write_text(CONFIG, encoding="utf-8")
    before, threads = Path.cwd(), torch.get_num_threads()
    os.chdir(folder)
    try:
        run(load_config("terrazzo.yaml"))
    finally:
        os.chdir(before)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    return folder


@pytest.fixture
def place(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet_torch: None, own_plugins: None
) -> Path:
    """A copy of that folder as the working directory; names that plug-ins add are gone afterwards."""
    del quiet_torch, own_plugins
    folder = tmp_path / "seite ä"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    return folder
