"""Training a head on weights of a file: they stand in no checkpoint, and a run goes on with the very same ones only."""

import pytest
import torch
from safetensors import safe_open

from terrazzo.bundle import Bundle
from terrazzo.errors import TrainingError
from terrazzo.models import ARCHITECTURES
from terrazzo.models.external import identity
from terrazzo.training.checkpoint import load_checkpoint
from terrazzo.training.folder import RunFolder
from terrazzo.training.loop import fit, update
from terrazzo.training.settings import TrainSettings

SHAPE = {"channels": 16, "layers": 4, "heads": 2, "inner": 24}


@pytest.fixture
def job(tiny, prepared, tmp_path):
    def make(name, weights, *, unfreeze=False, **settings):
        backbone = {"name": "dinov3_vit", "size": SHAPE, "weights": weights and str(weights), "unfreeze": unfreeze}
        wanted = {"epochs": 1, "batch_size": 4, "worst_samples": 0, "sanity_batches": 0, "debug": True} | settings
        return tiny.tiny_job(
            tmp_path / name,
            prepared,
            architecture=ARCHITECTURES.create("dinov3", backbone=backbone, head="linear"),
            settings=TrainSettings(**wanted),
        )

    return make


def names(path):
    with safe_open(path, framework="pt") as file:
        return set(file.keys())


def test_a_run_leaves_the_head_alone_in_checkpoint_and_bundle(job, dinov3_folder):
    folder = dinov3_folder()
    record = job("run", folder)
    fit(record)
    run = RunFolder(record.folder)
    for path in (run.last, run.bundle):
        assert names(path)
        assert not any("backbone" in name for name in names(path))
    bundle = Bundle.load(record.folder, backbone=folder)
    network = bundle.network()
    assert identity(network)["sha256"] == bundle.backbone.sha256
    fresh = record.architecture.build(bands=3, classes=3)
    assert all(
        torch.equal(one, other)
        for one, other in zip(network.backbone.parameters(), fresh.backbone.parameters(), strict=True)
    )
    trained = load_checkpoint(run.last).weights
    assert not torch.equal(trained["head.classifier.weight"], fresh.head.classifier.weight)


def test_a_stopped_run_goes_on_to_the_same_bits(job, dinov3_folder, monkeypatch):
    folder = dinov3_folder()
    settings = {"checkpoint_every_steps": 1, "batch_size": 6}
    whole = fit(job("whole", folder, **settings))

    class Stopped(Exception):  # noqa: N818
        pass

    real, calls = update, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise Stopped
        return real(*arguments)

    record = job("stopped", folder, **settings)
    monkeypatch.setattr("terrazzo.training.loop.update", stopping)
    with pytest.raises(Stopped):
        fit(record)
    monkeypatch.undo()
    again = fit(record)
    assert again.resumed
    assert again.steps == whole.steps > 2
    one, other = (load_checkpoint(RunFolder(run.folder).last).weights for run in (whole, again))
    assert set(one) == set(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_does_not_go_on_with_other_weights(job, dinov3_folder, monkeypatch):
    folder, other = dinov3_folder("a"), dinov3_folder("b", seed=1)
    record = job("run", folder, epochs=2)
    first = RunFolder(record.folder)
    real, calls = update, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr("terrazzo.training.loop.update", stopping)
    with pytest.raises(KeyboardInterrupt):
        fit(record)
    monkeypatch.undo()
    assert load_checkpoint(first.last).state.external["sha256"]
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(TrainingError, match=r"frozen weights a, revision file, of SHA-256 .* name those very weights"):
        fit(record)


def test_weights_may_have_moved(job, dinov3_folder, tmp_path):
    folder = dinov3_folder("a")
    first = fit(job("run", folder))
    moved = folder.rename(tmp_path / "moved")
    again = fit(job("run", moved))
    assert again.already_finished
    assert again.steps == first.steps
    assert str(moved) in (RunFolder(again.folder).config).read_text()
    for other in (None, dinov3_folder("other", seed=1)):
        with pytest.raises(TrainingError, match=r"(?s)holds another run.*model\.backbone\.weights"):
            fit(job("run", other))
    assert str(moved) in (RunFolder(again.folder).config).read_text()


@pytest.mark.parametrize("unfreeze", [False, 2])
def test_random_or_trained_backbones_are_kept_in_checkpoints(unfreeze, job, dinov3_folder):
    weights = dinov3_folder() if unfreeze else None
    record = job("run", weights, unfreeze=unfreeze)
    fit(record)
    kept = names(RunFolder(record.folder).last)
    assert any(name.startswith("weights.backbone.model.embeddings") for name in kept)
    assert Bundle.load(record.folder).backbone is None
