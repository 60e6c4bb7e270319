"""Bundles joined into one: saved, loaded, mapped, and refused where they do not belong together."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from terrazzo.bundle import Bundle, FrozenBackbone
from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import BundleError, ConfigError, ContractError
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.models.external import identity, own_state
from terrazzo.phases.ensemble import _leaning, ensemble
from terrazzo.phases.model_files import ModelFiles
from terrazzo.scene import PredictSettings, map_scene

TINY = {"channels": 16, "inner": 24, "layers": 4, "heads": 2}
SMP = ARCHITECTURES.create("smp", encoder="mobilenet_v2")
MACHINE = MachineSettings(accelerator="cpu", precision="float32", threads=1)


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Save a bundle with seeded random weights."""

    def make(seed: int, **changes: object) -> Path:
        torch.manual_seed(seed)
        bundle = Bundle(
            architecture=SMP,
            bands=Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue"))),
            classes=Classes(items=["wood", "roof", "water"]),
            normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
            patch_size=32,
            resolution_m=None,
            weights=SMP.build(bands=3, classes=3).state_dict(),
            training={},
            versions={},
            licence="MIT",
        )
        path = tmp_path / f"séed {seed}.safetensors"
        replace(bundle, **changes).save(path)
        return path

    return make


def test_an_ensemble_maps_the_mean_and_shows_where_members_differ(save: Callable[..., Path], tmp_path: Path) -> None:
    other = save(1, normalisation=Normalisation(mean=(90.0, 100.0, 80.0), std=(40.0, 50.0, 60.0)))
    paths = [save(0), other]
    summary = ensemble(paths, tmp_path / "joined é.safetensors")
    joined = Bundle.load(summary.bundle)
    assert joined.training["members"] == [Bundle.load(path).fingerprint for path in paths]
    assert summary.parameters == sum(w.numel() for path in paths for w in Bundle.load(path).weights.values())

    scene = tmp_path / "scene.tif"
    values = np.random.default_rng(0).integers(0, 256, (3, 45, 70)).astype(np.uint8)
    with rasterio.open(
        scene, "w", driver="GTiff", count=3, height=45, width=70, dtype="uint8", crs="EPSG:32612",
        transform=rasterio.Affine(1, 0, 0, 0, -1, 0),
    ) as file:  # fmt: skip
        file.write(values)
    settings = PredictSettings(layers=("probabilities",), probability_type="float16", fuse=False)
    single = []
    for number, path in enumerate(paths):
        mapped = map_scene(Bundle.load(path), scene, tmp_path / f"{number}.tif", settings=settings, machine=MACHINE)
        with rasterio.open(mapped.summary.layers["probabilities"]) as file:
            single.append(file.read().astype(np.float64))
    both = settings.model_copy(update={"layers": ("probabilities", "disagreement")})
    mapped = map_scene(joined, scene, tmp_path / "joined.tif", settings=both, machine=MACHINE).summary
    with rasterio.open(mapped.layers["probabilities"]) as file:
        np.testing.assert_allclose(file.read(), np.mean(single, axis=0), atol=2e-3)
    with rasterio.open(mapped.layers["disagreement"]) as file:
        disagreement = file.read(1) / 254
    differ = single[0].argmax(0) != single[1].argmax(0)
    assert differ.any()
    # Where windows fade into each other, shares lie between those of the windows.
    assert np.abs(disagreement - 0.5 * differ).mean() < 0.05
    assert set(np.unique(np.round(disagreement[:8, :8], 2))) <= {0.0, 0.5}


def test_disagreement_of_a_single_network_is_refused(save: Callable[..., Path], tmp_path: Path) -> None:
    scene = tmp_path / "scene.png"
    with rasterio.open(scene, "w", driver="PNG", count=3, height=20, width=20, dtype="uint8") as file:
        file.write(np.ones((3, 20, 20), dtype=np.uint8))
    settings = PredictSettings(layers=("disagreement",))
    with pytest.raises(ConfigError, match="is no ensemble"):
        map_scene(Bundle.load(save(0)), scene, tmp_path / "map.tif", settings=settings, machine=MACHINE)
    assert not (tmp_path / "map.tif").exists()


def test_members_of_different_tasks_are_refused(save: Callable[..., Path], tmp_path: Path) -> None:
    first, out = save(0), tmp_path / "out.safetensors"
    with pytest.raises(ConfigError, match="two members"):
        ensemble([first], out)
    with pytest.raises(ConfigError, match="would be replaced"):
        ensemble([first, save(1)], first)
    renamed = save(2, classes=Classes(items=["wood", "roof", "road"]))
    with pytest.raises(ContractError, match="classes differ"):
        ensemble([first, renamed], out)
    with pytest.raises(ContractError, match="patch size differ"):
        ensemble([first, save(3, patch_size=64)], out)
    assert not out.exists()


@pytest.fixture
def save_head(tmp_path: Path, dinov3_folder: Callable[..., Path]) -> Callable[..., tuple[Path, Path]]:
    """Save a bundle of a head on a frozen backbone whose weights lie in a folder, which is returned too."""

    def make(seed: int, folder: Path | None = None, head: str = "linear") -> tuple[Path, Path]:
        folder = folder or dinov3_folder()
        backbone = {"name": "dinov3_vit", "weights": str(folder), "size": TINY, "taps": [0, 3]}
        record = ARCHITECTURES.create("dinov3", backbone=backbone, head=head)
        torch.manual_seed(seed)
        network = record.build(bands=3, classes=3)
        for parameter in network.head.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        bundle = Bundle(
            architecture=record,
            bands=Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue"))),
            classes=Classes(items=["wood", "roof", "water"]),
            normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
            patch_size=32,
            resolution_m=None,
            weights=own_state(network),
            training={},
            versions={},
            licence="DINOv3",
            backbone=FrozenBackbone(**identity(network)),
            backbone_path=folder,
        )
        path = tmp_path / f"head {seed}.safetensors"
        bundle.save(path)
        return path, folder

    return make


def test_heads_on_one_frozen_backbone_share_its_maps(
    save_head: Callable[..., tuple[Path, Path]], save: Callable[..., Path], tmp_path: Path
) -> None:
    first, folder = save_head(0)
    second, _ = save_head(1, folder, "unet")
    whole = save(2)
    out = tmp_path / "joined.safetensors"
    summary = ensemble([first, second, whole], out, backbone=folder)
    joined = Bundle.load(out, backbone=folder)
    assert joined.backbone == Bundle.load(first, backbone=folder).backbone
    assert not [name for name in joined.weights if "backbone" in name]
    assert summary.parameters == sum(weight.numel() for weight in joined.weights.values())

    network, image = joined.network(), torch.randn(2, 3, 32, 48)
    members = [Bundle.load(path, backbone=folder).network() for path in (first, second)] + [
        Bundle.load(whole).network()
    ]
    passes: list[int] = []
    network.backbone.register_forward_hook(lambda *_: passes.append(1))
    with torch.inference_mode():
        mean = sum(member(image).logits.float().softmax(dim=1) for member in members) / 3
        torch.testing.assert_close(network(image).logits.softmax(dim=1), mean)
    assert passes == [1]
    # Elsewhere, as workers do it: read from the file anew.
    again = Bundle.load(out, backbone=folder).network()
    with torch.inference_mode():
        assert torch.equal(again(image).logits, network(image).logits)


def test_frozen_backbones_of_an_ensemble_are_one(
    save_head: Callable[..., tuple[Path, Path]],
    save: Callable[..., Path],
    dinov3_folder: Callable[..., Path],
    tmp_path: Path,
) -> None:
    first, folder = save_head(0)
    other, elsewhere = save_head(1, dinov3_folder("another", seed=1))
    out = tmp_path / "joined.safetensors"
    with pytest.raises(BundleError, match="SHA-256"):
        ensemble([first, other], out, backbone=folder)
    # Two files, each with its own weights at hand.
    bundles = [Bundle.load(first, backbone=folder), Bundle.load(other, backbone=elsewhere)]
    with pytest.raises(BundleError, match="one frozen backbone at the most"):
        _leaning([ModelFiles(first), ModelFiles(other)], bundles)
    with pytest.raises(BundleError, match="has no place in the ensemble"):
        ensemble([save(2), save(3)], out, backbone=folder)
    assert not out.exists()
