"""DINOv3's ConvNeXts: a true pyramid, the last map through the final norm."""

import pytest
import torch
import transformers
from pydantic import ValidationError

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.backbones.dinov3_convnext import ConvNextShape, DinoV3ConvNext

TINY = ConvNextShape()


def images(batch=2, bands=3, size=(32, 64)):
    return torch.randn((batch, bands, *size), generator=torch.Generator().manual_seed(3))


@pytest.fixture
def folder(tmp_path):
    """A folder as the library writes it, every part of the network at work."""
    torch.manual_seed(0)
    config = transformers.DINOv3ConvNextConfig(hidden_sizes=list(TINY.channels), depths=list(TINY.layers))
    model = transformers.DINOv3ConvNextModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path / "convnext")
    return tmp_path / "convnext"


@pytest.mark.parametrize(
    ("size", "exact", "published"),
    [
        ("tiny", 27_820_128, 29),
        ("small", 49_454_688, 50),
        ("base", 87_566_464, 89),
        ("large", 196_230_336, 198),
    ],
)
def test_published_sizes_have_the_published_parameters(size, exact, published):
    """The published figures count a classifier of 1000 classes, as those of ConvNeXt's own paper do."""
    record = DinoV3ConvNext(size=size)
    count = sum(parameter.numel() for parameter in record.build_without_external(bands=3).parameters())
    assert count == exact
    classifier = 1000 * (record.shape.channels[-1] + 1)
    assert round((count + classifier) / 1e6) == published
    assert record.layout == FeatureLayout(record.shape.channels, (4, 8, 16, 32), 32)


def test_maps_are_those_of_the_stages_the_last_one_normed(folder):
    network = DinoV3ConvNext(size=TINY, weights=str(folder)).build(bands=3)
    model = transformers.DINOv3ConvNextModel.from_pretrained(folder).eval()
    stages = transformers.DINOv3ConvNextBackbone.from_pretrained(
        folder, out_features=["stage1", "stage2", "stage3", "stage4"]
    ).eval()
    image = images()
    with torch.no_grad():
        maps = network(image)
        raw = stages(image).feature_maps
        last = model(image).last_hidden_state[:, 1:].transpose(1, 2).reshape(maps[-1].shape)
    for found, wanted in zip(maps[:3], raw[:3], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(maps[3], last, rtol=1e-5, atol=1e-5)
    assert (maps[3] - raw[3]).abs().max() > 0.1
    assert [tuple(one.shape[-2:]) for one in maps] == [(8, 16), (4, 8), (2, 4), (1, 2)]


def test_frozen_is_frozen():
    network = DinoV3ConvNext(size=TINY).build(bands=4)
    network.train()
    assert network.frozen
    assert not any(module.training for module in network.modules())
    assert all(one.grad_fn is None for one in network(images(bands=4).requires_grad_()))


@pytest.mark.parametrize(("taps", "unfreeze", "first"), [((0, 1, 2, 3), 2, 2), ((0, 1), True, 0), ((1, 2), 1, 2)])
def test_unfreezing_counts_stages(taps, unfreeze, first):
    network = DinoV3ConvNext(size=TINY, taps=taps, unfreeze=unfreeze).build(bands=3)
    torch.stack([one.square().mean() for one in network(images())]).sum().backward()
    for number, stage in enumerate(network.blocks()):
        trained = first <= number <= taps[-1]
        assert all((one.grad is not None) == one.requires_grad == trained for one in stage.parameters()), number
    norm = network.model.get_submodule("layer_norm").weight
    assert norm.requires_grad == (norm.grad is not None) == (taps[-1] == 3)


def test_some_stages_alone(folder):
    network = DinoV3ConvNext(size=TINY, weights=str(folder), taps=(1, 3)).build(bands=3)
    whole = DinoV3ConvNext(size=TINY, weights=str(folder)).build(bands=3)
    assert network.layout == FeatureLayout((16, 32), (8, 32), 32)
    maps = whole(images())
    assert all(torch.equal(one, maps[tap]) for one, tap in zip(network(images()), (1, 3), strict=True))


def test_weights_of_another_size_or_kind_are_refused(folder, dinov3_folder):
    other = ConvNextShape(layers=(1, 1, 1, 1))
    with pytest.raises(ModelError, match=r"has depths \[1, 1, 2, 1\], but the size given has \[1, 1, 1, 1\]"):
        DinoV3ConvNext(size=other, weights=str(folder)).build(bands=3)
    with pytest.raises(ModelError, match="is of the kind dinov3_vit, not dinov3_convnext"):
        DinoV3ConvNext(size=TINY, weights=str(dinov3_folder())).build(bands=3)


def test_weights_are_of_the_web_alone(folder):
    assert DinoV3ConvNext(size=TINY, weights=str(folder)).pretraining(bands=3).mean == (0.485, 0.456, 0.406)
    with pytest.raises(ValidationError, match="variant"):
        DinoV3ConvNext(variant="satellite")
    with pytest.raises(ValidationError, match="between 0 and 3"):
        DinoV3ConvNext(taps=(0, 4))
