"""A tiny data set and a configuration that trains on it in seconds."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import Result
from typer.testing import CliRunner

from terrazzo.cli.application import application

SIDE = 64


def write_scene(image: Path, label: Path, seed: int) -> None:
    """Write a georeferenced scene in which bright squares are class 1; a corner is nodata."""
    generator = np.random.default_rng(seed)
    target = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for _ in range(4):
        y, x = generator.integers(0, SIDE - 16, 2)
        target[y : y + 16, x : x + 16] = 1
    values = (60 + 120 * target[None] + generator.integers(0, 20, (3, SIDE, SIDE))).astype(np.uint8)
    values[:, :6, :6] = 0
    profile = {
        "driver": "GTiff",
        "height": SIDE,
        "width": SIDE,
        "crs": "EPSG:32612",
        # Scenes lie apart: splits that share ground would stop a run.
        "transform": Affine(0.5, 0, 500_000 + 100 * seed, 0, -0.5, 4_100_000),
    }
    for path, data, nodata in ((image, values, 0), (label, target[None], None)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(path, "w", count=len(data), dtype="uint8", nodata=nodata, **profile) as out:
            out.write(data)


CONFIG = """
name: tiny
paths: {{data: "{root}/my dàta", prepared: "{root}/prepared", runs: "{root}/runs"}}
data:
  source: {{name: geotiff, folder: "${{paths.data}}", images: "images/{{split}}_*.tif", labels: "gt/{{split}}_*.tif"}}
  classes: [background, square]
  patch: {{size: 32}}
augment: light
model: {{name: smp, encoder: resnet18, settings: {{decoder_channels: [32, 16, 8, 8, 8]}}}}
optimizer: {{name: adamw, lr: 0.002}}
train: {{epochs: 2, batch_size: 8}}
machine: {{workers: 0, precision: float32, threads: 1}}
predict: {{enable: true, inputs: ["${{paths.data}}/images/test_0.tif"]}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with eight scenes and `terrazzo.yaml`."""
    data = tmp_path / "my dàta"
    for number, name in enumerate(["train_0", "train_1", "train_2", "train_3", "val_0", "val_1", "test_0", "test_1"]):
        write_scene(data / "images" / f"{name}.tif", data / "gt" / f"{name}.tif", number)
    (tmp_path / "terrazzo.yaml").write_text(CONFIG.format(root=tmp_path), encoding="utf-8")
    return tmp_path


@pytest.fixture
def terrazzo(project: Path, monkeypatch: pytest.MonkeyPatch, quiet_torch: None) -> Callable[..., Result]:
    """Call the command line in the project's folder, in this process: imports are paid for once."""
    monkeypatch.chdir(project)
    monkeypatch.delenv("TERRAZZO_CONFIG", raising=False)
    runner = CliRunner()

    def call(*arguments: str) -> Result:
        return runner.invoke(application, arguments, prog_name="terrazzo")

    return call


@pytest.fixture
def program(project: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Start the command line as its own process, alone or under a launcher."""

    def call(*arguments: str, launcher: Sequence[str] = ("-m", "terrazzo.cli")) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment.pop("TERRAZZO_CONFIG", None)
        return subprocess.run(
            [sys.executable, *launcher, *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return call
