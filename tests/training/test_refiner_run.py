"""A refiner trained, logged, taken up again and judged step by step."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from terrazzo.bundle import Bundle
from terrazzo.losses import LOSSES
from terrazzo.models.backbones.stem import Stem
from terrazzo.models.refiner.trm import Trm
from terrazzo.phases.evaluate import evaluate
from terrazzo.training.loop import fit
from terrazzo.training.settings import EvaluateSettings, TrainSettings

TRM = Trm(width=4, backbone=Stem(width=4, blocks=0), t_min=1, t_max=3, random_steps=True)


def run(tiny, prepared, folder: Path, epochs: int = 1):
    settings = TrainSettings(epochs=epochs, batch_size=4, worst_samples=0, sanity_batches=0)
    job = tiny.tiny_job(folder, prepared, architecture=TRM, loss=LOSSES.create("steps"), settings=settings)
    fit(job)
    return Bundle.load(folder / "bundle.safetensors")


@pytest.fixture(scope="module")
def trained(tiny, prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("refiner") / "run"
    return folder, run(tiny, prepared, folder)


def test_the_log_holds_the_steps_that_the_rule_needs(trained):
    with (trained[0] / "log.csv").open() as file:
        (row,) = csv.DictReader(file)
    # An untrained head does not stop anything.
    assert float(row["val_avg_steps"]) == 3.0


def test_the_same_seed_draws_the_same_steps(tiny, prepared, trained, tmp_path):
    again = run(tiny, prepared, tmp_path / "again")
    for name, value in trained[1].weights.items():
        assert torch.equal(value, again.weights[name]), name


def test_each_step_is_judged_and_written(trained, prepared, tmp_path):
    bundle = shutil.copy(trained[0] / "bundle.safetensors", tmp_path)
    patches = evaluate(Path(bundle), data=prepared.folder, split="val", settings=EvaluateSettings(on="patches"))
    assert len(patches.miou_by_step) == 3
    assert patches.miou_by_step[-1] == patches.miou
    summary = evaluate(Path(bundle), data=prepared.folder, split="val")
    assert summary.miou_by_step == patches.miou_by_step
    assert patches.avg_steps == summary.avg_steps == 3.0
    written = json.loads((tmp_path / "evaluate" / "val" / "summary.json").read_text())
    assert written["miou_by_step"] == list(summary.miou_by_step)
    assert written["avg_steps"] == 3.0


def test_the_bundle_keeps_rule_and_first_states(trained):
    bundle = trained[1]
    assert bundle.architecture == TRM
    assert bundle.architecture.halting_rule == TRM.halting_rule
    assert {"start_answer", "start_latent"} <= set(bundle.weights)
