"""A network in steps stops in ONNX Runtime as it does in torch: in one graph, and part by part in the engine."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import rasterio
import torch

from terrazzo.bundle import Bundle
from terrazzo.machine import MachineSettings
from terrazzo.models.adaptive import CellSteps, Freezing, Joining, refine, refine_refilled
from terrazzo.models.architecture import Adaptive
from terrazzo.models.output import Steps
from terrazzo.scene import PredictSettings, map_scene

Case = Any  # a bundle and what was exported of it


@pytest.fixture(scope="module")
def images(stepping: Case) -> torch.Tensor:
    raw = torch.randint(1, 255, (6, 3, 37, 50), generator=torch.Generator().manual_seed(3)).float()
    return torch.nn.functional.avg_pool2d(raw, 3, stride=1, padding=1)


def seen_of(bundle: Bundle, images: torch.Tensor) -> torch.Tensor:
    valid = np.ones(images.shape[-2:], dtype=bool)
    return torch.from_numpy(np.stack([bundle.normalisation(one.numpy(), valid) for one in images]))


def test_the_engine_finds_every_promise_kept(stepping: Case) -> None:
    network = Bundle.load(stepping.file).network()
    for promise in (Adaptive, Freezing, Joining, CellSteps):
        assert isinstance(network, promise)
    assert Bundle.load(stepping.file).architecture.halting_rule == stepping.bundle.architecture.halting_rule


def test_every_step_answers_as_in_torch(stepping: Case, images: torch.Tensor) -> None:
    seen = seen_of(stepping.bundle, images)
    ours, theirs = stepping.bundle.network(), Bundle.load(stepping.file).network()
    with torch.inference_mode():
        one, other = ours.start(seen), theirs.start(seen)
        for _ in range(3):
            one, other = ours.freeze(ours.step(one), 0.6), theirs.freeze(theirs.step(other), 0.6)
            assert torch.allclose(ours.answer(one), theirs.answer(other), atol=1e-4)
            assert torch.allclose(ours.halt(one), theirs.halt(other), atol=1e-4)
            differing = (ours.skipped_steps(one) != theirs.skipped_steps(other)).double().mean()
            assert differing < 0.01
        output = theirs(seen)
        steps = output.find(Steps)
        assert steps is not None
        assert len(steps.logits) == 3
        assert torch.allclose(output.logits, ours(seen).logits, atol=1e-4)


def test_one_graph_stops_each_image_by_itself(stepping: Case, images: torch.Tensor) -> None:
    rule = stepping.bundle.architecture.halting_rule
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(stepping.file), options, providers=["CPUExecutionProvider"])
    seen = seen_of(stepping.bundle, images)
    network = stepping.bundle.network()
    for tau in (0.0, 0.6, 2.0):
        with torch.inference_mode():
            wanted = refine(network, seen, rule=type(rule)(tau, rule.first, rule.last))
        given = {"image": images.numpy(), **({} if tau == 0.6 else {"tau": np.array(tau, dtype=np.float32)})}
        logits, steps = session.run(["logits", "steps"], given)
        assert steps.tolist() == wanted.steps.tolist()
        assert np.abs(logits - wanted.logits.numpy()).max() < 1e-3
        if tau != 0.6:
            assert set(steps.tolist()) == ({1} if tau == 0 else {3})


def test_free_places_are_filled(stepping: Case, images: torch.Tensor) -> None:
    seen = seen_of(stepping.bundle, images)
    rule = stepping.bundle.architecture.halting_rule
    found: dict[str, dict[int, int]] = {}
    with torch.inference_mode():
        for name, network in (("torch", stepping.bundle.network()), ("onnx", Bundle.load(stepping.file).network())):
            parts = list(refine_refilled(network, seen.split(2), rule=rule, places=3))
            found[name] = {tile: steps for one in parts for tile, steps in zip(one.tiles, one.steps, strict=True)}
            assert all(one.skipped is not None for one in parts)
    assert found["torch"] == found["onnx"]
    assert sorted(found["onnx"]) == list(range(6))


def test_maps_with_a_layer_of_steps(stepping: Case, tmp_path: Path) -> None:
    values = np.random.default_rng(5).integers(1, 255, (3, 90, 70)).astype(np.uint8)
    scene = tmp_path / "scène.tif"
    with rasterio.open(scene, "w", driver="GTiff", count=3, height=90, width=70, dtype="uint8", nodata=0) as file:
        file.write(values)
    machine = MachineSettings(accelerator="cpu", precision="float32", threads=1)
    settings = PredictSettings(layers=("steps", "confidence"), window=40, report=False)
    maps = []
    for name, bundle in (("torch", stepping.bundle), ("onnx", Bundle.load(stepping.file))):
        out = tmp_path / name / "map.tif"
        map_scene(bundle, scene, out, settings=settings, machine=machine)
        with rasterio.open(out) as file, rasterio.open(out.with_name("map_steps.tif")) as steps:
            maps.append((file.read(1), steps.read(1)))
    assert (maps[0][0] == maps[1][0]).mean() >= 0.999
    assert (maps[0][1] == maps[1][1]).mean() >= 0.99
