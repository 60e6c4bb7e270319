"""Encoders of segmentation_models_pytorch and timm as backbones."""

import pytest
import segmentation_models_pytorch
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from terrazzo.errors import ModelError
from terrazzo.models.backbones.smp import SmpBackbone
from terrazzo.models.normalisation_layers import SingleValueNorm

TIMM = "tu-mobilenetv3_small_050"


@pytest.mark.parametrize(
    ("encoder", "taps", "channels"),
    [
        ("resnet18", (2, 3, 4, 5), (64, 64, 128, 256, 512)),
        ("resnet18", (1, 3), (64, 64, 128)),
        ("mit_b0", (2, 3, 4, 5), (0, 32, 64, 160, 256)),
        (TIMM, (1, 2), (16, 8)),
    ],
)
def test_chosen_stages_are_answered_at_their_strides(encoder, taps, channels):
    network = SmpBackbone(encoder=encoder, taps=taps).build(bands=4)
    layout = network.layout
    assert layout.strides == tuple(2**tap for tap in taps)
    assert layout.channels == tuple(channels[tap - 1] for tap in taps)
    assert layout.multiple == 2 ** max(taps)
    maps = network(torch.randn(2, 4, 2 * layout.multiple, layout.multiple))
    for one, count, stride in zip(maps, layout.channels, layout.strides, strict=True):
        assert one.shape == (2, count, 2 * layout.multiple // stride, layout.multiple // stride)


def test_stages_behind_the_last_tap_are_not_trained():
    network = SmpBackbone(encoder="resnet18", taps=(2, 3)).build(bands=3)
    trained = {name for name, one in network.named_parameters() if one.requires_grad}
    assert not [name for name in trained if "layer3" in name or "layer4" in name]
    sum(one.square().sum() for one in network(torch.randn(1, 3, 16, 16))).backward()
    grown = {name for name, one in network.named_parameters() if one.grad is not None}
    assert grown == trained


def test_it_is_the_librarys_encoder():
    network = SmpBackbone(encoder="resnet18", taps=(2, 5)).build(bands=3).eval()
    plain = segmentation_models_pytorch.encoders.get_encoder("resnet18", weights=None).eval()
    network.encoder.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        maps = plain(image)
        assert [torch.equal(one, maps[tap]) for one, tap in zip(network(image), (2, 5), strict=True)] == [True, True]


def test_it_trains_on_the_smallest_image_and_is_left_ready():
    network = SmpBackbone(encoder=TIMM).build(bands=3)
    assert network.training
    assert all(one.grad is None for one in network.parameters())
    norms = [one for one in network.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(one, SingleValueNorm) for one in norms)
    assert all(int(one.num_batches_tracked) == 0 for one in norms)
    network(torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize("encoder", ["resnet18", TIMM])
def test_weights_come_from_a_file(encoder, tmp_path):
    library = segmentation_models_pytorch.encoders.get_encoder(encoder, weights=None)
    source = library if encoder == "resnet18" else library.model
    file = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in source.state_dict().items()}, file)
    record = SmpBackbone(encoder=encoder, weights=str(file), taps=(2, 3, 4, 5))
    network = record.build(bands=3)
    for name, value in library.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[name], value), name
    assert record.without_pretraining().weights is None
    with pytest.raises(ModelError, match="does not exist"):
        SmpBackbone(encoder=encoder, weights=str(tmp_path / "none.safetensors")).build(bands=3)


def test_what_weights_expect_is_known_of_names_alone():
    assert SmpBackbone().pretraining(bands=3) is None
    told = SmpBackbone(encoder="tu-resnet18", weights="a1_in1k").pretraining(bands=3)
    assert told is not None
    assert told.mean == pytest.approx((0.485, 0.456, 0.406))


def test_encoder_settings_reach_timm():
    network = SmpBackbone(encoder=TIMM, encoder_settings={"drop_path_rate": 0.5}).build(bands=3)
    assert any(type(module).__name__ == "DropPath" for module in network.modules())
    with pytest.raises(ModelError, match="zebra"):
        SmpBackbone(encoder=TIMM, encoder_settings={"zebra": 1}).build(bands=3)


def test_a_stage_that_an_encoder_lacks_is_refused():
    with pytest.raises(ModelError, match=r"mit_b0 .* stages \[1, 2\]: it has no map at stage 1"):
        SmpBackbone(encoder="mit_b0", taps=(1, 2)).build(bands=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "resnet19"}, 'no encoder is called "resnet19"'),
        ({"taps": (3, 2)}, "must rise"),
        ({"taps": (2, 2)}, "must rise"),
        ({"taps": ()}, "taps"),
        ({"taps": (0, 2)}, "taps"),
        ({"weights": "model.pth"}, "pickle"),
        ({"weights": "imagnet"}, 'Did you mean "imagenet"'),
        ({"encoder_settings": {"drop_path_rate": 0.5}}, "takes none"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        SmpBackbone(**settings)


def test_a_transformer_of_one_stride_is_refused():
    with pytest.raises(ModelError, match="downsampling"):
        SmpBackbone(encoder="tu-test_vit").build(bands=3)
