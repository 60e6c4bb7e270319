"""Bundles that lean on weights of a file: without them, never with others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from terrazzo.bundle import Bundle, FrozenBackbone
from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import BundleError
from terrazzo.geo.bands import Band, Bands
from terrazzo.models import ARCHITECTURES
from terrazzo.models.architecture import Architecture, Network
from terrazzo.models.external import identity, own_state

SHAPE = {"channels": 16, "layers": 4, "heads": 2, "inner": 24}


def architecture(weights: Path | None, **settings: object) -> Architecture:
    backbone = {"name": "dinov3_vit", "size": SHAPE, "weights": weights and str(weights), **settings}
    found = ARCHITECTURES.create("dinov3", backbone=backbone, head="linear")
    assert isinstance(found, Architecture)
    return found


def trained(weights: Path | None, **settings: object) -> Network:
    """A network whose own weights are not those of a fresh one."""
    torch.manual_seed(5)
    network = architecture(weights, **settings).build(bands=3, classes=2)
    for parameter in network.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def bundle_of(network: Network, record: Architecture) -> Bundle:
    found = identity(network)
    return Bundle(
        architecture=record,
        bands=Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue"))),
        classes=Classes(items=(Class(name="field"), Class(name="wood"))),
        normalisation=Normalisation(mean=(100.0,) * 3, std=(20.0,) * 3),
        patch_size=32,
        resolution_m=0.5,
        weights=own_state(network),
        training={},
        versions={},
        licence="DINOv3 License",
        backbone=FrozenBackbone(**found) if found else None,
    )


@pytest.fixture
def folder(dinov3_folder: Callable[..., Path]) -> Path:
    return dinov3_folder()


@pytest.fixture
def saved(folder: Path, tmp_path: Path) -> Path:
    bundle_of(trained(folder), architecture(folder)).save(tmp_path / "model é.safetensors")
    return tmp_path / "model é.safetensors"


def image() -> torch.Tensor:
    return torch.randn((1, 3, 33, 40), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("given", ["folder", "file", "copy", "shards"])
def test_the_very_weights_make_the_network_whole_wherever_they_lie(
    given: str, folder: Path, saved: Path, tmp_path: Path, dinov3_folder: Callable[..., Path]
) -> None:
    path = folder
    if given == "shards":
        # Shards have a hash of their own, so that the bundle must have been trained on them.
        path = dinov3_folder("parts", shard="8KB")
        bundle_of(trained(path), architecture(path)).save(saved)
    elif given == "file":
        path = folder / "model.safetensors"
    elif given == "copy":
        path = tmp_path / "elsewhere.safetensors"
        (folder / "model.safetensors").rename(path)
    wanted = trained(path)
    network = Bundle.load(saved, backbone=path).network()
    assert torch.equal(network(image()).logits, wanted(image()).logits)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(module.training for module in network.modules())


def test_no_frozen_weight_stands_in_the_file(saved: Path, folder: Path) -> None:
    assert set(load_file(saved)) == {f"head.{name}" for name in trained(folder).head.state_dict()}
    assert str(folder) not in saved.read_bytes().decode("latin-1")


def test_other_weights_are_refused_however_alike(saved: Path, folder: Path, dinov3_folder: Callable[..., Path]) -> None:
    other = dinov3_folder("other", seed=1)
    with pytest.raises(BundleError, match=r"größe, revision file\); give that very file"):
        Bundle.load(saved, backbone=other)
    # One value of one tensor, the size of the file unchanged.
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["norm.bias"][0] += 1e-6
    save_file(tensors, file)
    with pytest.raises(BundleError, match="give that very file"):
        Bundle.load(saved, backbone=folder)


def test_weights_that_change_after_loading_are_refused(saved: Path, folder: Path) -> None:
    bundle = Bundle.load(saved, backbone=folder)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["norm.bias"] += 1
    save_file(tensors, file)
    with pytest.raises(BundleError, match="give that very file"):
        bundle.network()


def test_missing_weights_are_asked_for(saved: Path, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BundleError, match=r"needs the frozen backbone .*größe, revision file; .*--backbone PATH"):
        Bundle.load(saved)
    with pytest.raises(BundleError, match="gone does not exist"):
        Bundle.load(saved, backbone=tmp_path / "gone")
    with pytest.raises(BundleError, match="load the bundle with backbone=PATH"):
        replace(Bundle.load(saved, backbone=folder), backbone_path=None).network()


def test_what_a_bundle_leans_on_is_read_from_its_header(saved: Path, folder: Path) -> None:
    leaning = Bundle.backbone_of(saved)
    assert leaning is not None
    assert leaning.model_dump() == identity(trained(folder))


@pytest.mark.parametrize("settings", [{}, {"unfreeze": 1}, {"unfreeze": True}])
def test_random_or_trained_backbones_are_the_bundles_own(
    settings: dict[str, object], tmp_path: Path, folder: Path
) -> None:
    weights = folder if settings else None
    network = trained(weights, **settings)
    path = tmp_path / "own.safetensors"
    bundle_of(network, architecture(weights, **settings)).save(path)
    assert Bundle.backbone_of(path) is None
    assert torch.equal(Bundle.load(path).network()(image()).logits, network(image()).logits)
    with pytest.raises(BundleError, match="takes no backbone"):
        Bundle.load(path, backbone=folder)


def test_the_name_of_the_weights_is_no_part_of_the_fingerprint(
    folder: Path, dinov3_folder: Callable[..., Path]
) -> None:
    one = bundle_of(trained(folder), architecture(folder))
    same = dinov3_folder("another name")
    assert bundle_of(trained(same), architecture(same)).fingerprint == one.fingerprint
    other = dinov3_folder("third", seed=1)
    assert bundle_of(trained(other), architecture(other)).fingerprint != one.fingerprint


def test_a_bundle_whose_architecture_leans_on_nothing_is_refused(saved: Path, folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(saved, backbone=folder)
    wrong = replace(bundle, architecture=architecture(None, unfreeze=1))
    wrong.save(tmp_path / "wrong.safetensors")
    with pytest.raises(BundleError, match="makes the weights of dinov3_vit its own"):
        Bundle.load(tmp_path / "wrong.safetensors", backbone=folder)


def test_backbone_weights_that_were_put_into_the_file_are_refused(saved: Path, folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(saved, backbone=folder)
    whole = replace(bundle, weights=trained(folder).state_dict())
    whole.save(tmp_path / "whole.safetensors")
    with pytest.raises(BundleError, match="holds unknown"):
        Bundle.load(tmp_path / "whole.safetensors", backbone=folder)
