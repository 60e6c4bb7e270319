"""The feature cache through the verbs: prepare, train, evaluate, verify and its cure."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from terrazzo.config import RunConfig, load_config
from terrazzo.data.prepare import open_prepared
from terrazzo.errors import ConfigError
from terrazzo.models.architecture import ARCHITECTURES
from terrazzo.phases import features as module
from terrazzo.phases.evaluate import evaluate
from terrazzo.phases.features import cached_features, features_before_training
from terrazzo.phases.prepare import prepare
from terrazzo.phases.train import train
from terrazzo.phases.verify import verify
from terrazzo.progress import Event
from terrazzo.training.settings import EvaluateSettings

PLUGIN = Path(__file__).parents[1] / "training" / "frozen_network.py"
SIDE = 40
PATCHES = EvaluateSettings(on="patches")
"""What is cached belongs to patches; whole images are always computed."""
TRAINING = "epochs: 1, batch_size: 4, worst_samples: 1, sanity_batches: 0"


@pytest.fixture
def project(tmp_path: Path, quiet_torch: None) -> Path:
    for split, name in (("train", "a"), ("train", "b"), ("val", "c"), ("test", "d")):
        draw = np.random.default_rng(list(name.encode()))
        target = np.kron(draw.integers(0, 2, (4, 4)), np.ones((10, 10))).astype(np.uint8)
        target[0, :2] = 0, 1
        image = (90 + 60 * target[..., None] + draw.integers(0, 40, (SIDE, SIDE, 3))).astype(np.uint8)
        for kind, content in (("images", image), ("gt", target)):
            path = tmp_path / "data" / split / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)
    return tmp_path


def configured(project: Path, *changes: str, cache: str = "features") -> RunConfig:
    path = project / "terrazzo.yaml"
    path.write_text(
        f"name: tiny\npaths: {{prepared: {project}/prepared, runs: {project}/runs}}\nplugins: [{PLUGIN}]\n"
        f"data: {{source: {{name: folder, folder: {project}/data}}, classes: [land, water], patch: {{size: 24}}}}\n"
        f"model: {{name: tiny_frozen}}\naugment: none\ntrain: {{{TRAINING}}}\n"
        f"machine: {{accelerator: cpu, precision: float32, threads: 1, workers: 0}}\n"
        f"prepare: {{cache: {cache}, cache_views: [identity, hflip], device: cpu}}\n"
    )
    return load_config(path, *changes)


def refuse(_self: torch.nn.Module, _image: torch.Tensor) -> None:
    raise AssertionError("the frozen part was computed again")


def network_class() -> type[torch.nn.Module]:
    return type(ARCHITECTURES.create("tiny_frozen").build(bands=3, classes=2))


def jobs(events: list[Event]) -> list[str]:
    return [event.job for event in events if event.kind == "start"]


def test_prepare_computes_once(project: Path) -> None:
    config = configured(project)
    summary = prepare(config)
    assert summary.features is not None
    assert summary.features.parent == project / "prepared" / "features"
    events: list[Event] = []
    again = prepare(config, listener=events.append)
    assert (again.features, "features" in jobs(events)) == (summary.features, False)
    prepare(config, force=True, listener=events.append)
    assert "features" in jobs(events)


def test_without_a_cache_nothing_is_computed(project: Path) -> None:
    assert prepare(configured(project, cache="none")).features is None
    assert not (project / "prepared" / "features").exists()


def test_training_fills_the_cache_and_everything_reads_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(project)
    first = train(config)
    assert first.epochs == 1
    shutil.rmtree(config.folder)
    monkeypatch.setattr(network_class(), "encode", refuse)
    assert train(config).best_value == first.best_value
    found = evaluate(config.folder, config, split="test", settings=PATCHES)
    monkeypatch.undo()
    without = configured(project, cache="none")
    online = evaluate(config.folder, without, split="test", out=project / "online", settings=PATCHES)
    assert found.loss == pytest.approx(online.loss, rel=1e-3)
    assert found.pixels == online.pixels == SIDE * SIDE


def test_a_bundle_reads_no_features_but_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(project)
    train(config)
    other = configured(project, "model.weights=1")
    prepare(other)
    monkeypatch.setattr(network_class(), "encode", refuse)
    evaluate(config.folder, config, split="test", settings=PATCHES)
    # The configuration has been changed since: its cache is whole, but not this bundle's.
    with pytest.raises(AssertionError, match="computed again"):
        evaluate(config.folder, other, split="test", settings=PATCHES)
    next((project / "prepared" / "features").rglob("index.json")).unlink()
    shutil.rmtree(project / "prepared" / "features")
    with pytest.raises(AssertionError, match="computed again"):
        evaluate(config.folder, config, split="test", settings=PATCHES)


def test_the_features_of_another_model_stay_beside(project: Path) -> None:
    first = prepare(configured(project)).features
    second = prepare(configured(project, "model.weights=1")).features
    third = prepare(configured(project, "prepare.cache_dtype=bfloat16")).features
    assert len({first, second, third}) == 3
    assert all(folder is not None and (folder / "index.json").is_file() for folder in (first, second, third))


def test_verify_finds_a_flipped_byte_and_mends_it(project: Path) -> None:
    config = configured(project)
    folder = prepare(config).features
    assert folder is not None
    paths = sorted(folder.glob("*.safetensors"))
    whole = [path.read_bytes() for path in paths]
    damaged = bytearray(whole[0])
    damaged[-1] ^= 1
    paths[0].write_bytes(damaged)
    paths[1].unlink()
    found = [finding for finding in verify(config).findings if finding.check == "features"]
    assert [(one.severity, one.file, one.what) for one in found] == [
        ("error", str(paths[0]), "its bytes are not those that were written"),
        ("warning", str(paths[1]), "it is missing"),
    ]
    assert "verify --fix" in found[0].to_do
    summary = verify(config, fix=True)
    assert [finding for finding in summary.findings if finding.check == "features"] == []
    assert [path.read_bytes() for path in paths] == whole


def test_prepare_mends_what_was_changed_and_follows_the_images(project: Path) -> None:
    config = configured(project)
    folder = prepare(config).features
    assert folder is not None
    paths = sorted(folder.glob("*.safetensors"))
    whole = [path.read_bytes() for path in paths]
    paths[0].write_bytes(whole[0][:-1] + b"?")
    prepare(config)
    assert [path.read_bytes() for path in paths] == whole
    image = project / "data" / "train" / "images" / "a.png"
    Image.fromarray(255 - np.asarray(Image.open(image))).save(image)
    after = prepare(config).features
    assert after is not None
    assert {path.read_bytes() for path in after.glob("*.safetensors")}.isdisjoint(whole)


def test_of_several_processes_none_computes_before_training(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(project)
    prepare(configured(project, cache="none"))
    prepared = open_prepared(project / "prepared")
    monkeypatch.setattr(module, "started_together", lambda: True)
    assert features_before_training(config, prepared) is None
    monkeypatch.setattr(module, "started_together", lambda: False)
    cache = features_before_training(config, prepared)
    assert cache is not None
    assert cache.settled


def test_random_draws_of_the_caller_stay_as_they_were(project: Path) -> None:
    config = configured(project)
    prepare(configured(project, cache="none"))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    cached_features(config, open_prepared(project / "prepared"))
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_a_missing_device_is_told(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"prepare\.device is cuda, but this machine has none; use auto or cpu"):
        prepare(configured(project, "prepare.device=cuda"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["model.frozen=false"], "features needs a model with a frozen part, and tiny_frozen with these settings"),
        (["augment=safe"], "brightness, contrast cannot be made with prepare.cache: features"),
        (["augment=dihedral"], "but prepare.cache_views are identity, hflip"),
        (["prepare.cache_views=[]"], "cache_views"),
        (["prepare.cache_views=[hflip,hflip]"], "hflip may be listed once"),
    ],
)
def test_what_does_not_fit_is_refused(project: Path, changes: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(project, *changes)
    assert words in str(caught.value)


def test_mirrors_that_are_cached_may_be_asked_for(project: Path) -> None:
    assert configured(project, "augment=[hflip]").prepare.cache == "features"
    assert configured(project, "augment=safe", cache="none").augment.set == "safe"
