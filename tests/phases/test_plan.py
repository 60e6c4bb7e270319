"""The plan of maps, from a model file to plain data."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.phases.plan import plan_maps
from terrazzo.scene.settings import PredictSettings


@pytest.fixture
def model(tmp_path: Path) -> Path:
    record = ARCHITECTURES.create("smp", encoder="resnet18").without_pretraining()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = record.build(bands=1, classes=2).state_dict()
    path = tmp_path / "model.safetensors"
    Bundle(
        architecture=record,
        bands=Bands(items=(Band(name="one"),)),
        classes=Classes(items=["land", "water"]),
        normalisation=Normalisation(mean=(100.0,), std=(50.0,)),
        patch_size=32,
        resolution_m=None,
        weights=weights,
        training={},
        versions={},
        licence="",
    ).save(path)
    return path


@pytest.mark.parametrize(("memory_gib", "fits"), [(None, True), (0.01, False)])
def test_a_plan_is_plain_data(memory_gib: float | None, fits: bool, model: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scene ü.png"
    with rasterio.open(scene, "w", driver="PNG", count=1, height=40, width=50, dtype="uint8") as file:
        file.write(np.full((1, 40, 50), 9, dtype=np.uint8))
    found = plan_maps(
        model,
        [scene],
        tmp_path / "maps",
        settings=PredictSettings(memory_gib=memory_gib),
        machine=MachineSettings(accelerator="cpu", precision="float32", threads=1),
    )
    assert found.fits is fits
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert content["fits"] is fits
    (planned,) = content["scenes"]
    assert planned["out"] == str(tmp_path / "maps" / "scene ü.png")
    assert planned["plan"]["windows"].startswith("4 of 32 x 32")
    assert bool(planned["refusals"]) is not fits
    assert not (tmp_path / "maps").exists()
