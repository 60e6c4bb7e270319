"""The encoder of FC-HarDNet-70 as a backbone: its maps, cut after any block."""

import pytest
import torch
from pydantic import ValidationError

from terrazzo.models import build
from terrazzo.models.backbones.backbone import BACKBONES
from terrazzo.models.backbones.hardnet import HardnetBackbone
from terrazzo.models.hardnet.encoder import HardnetEncoder

CHANNELS, STRIDES = (48, 78, 160, 214, 320), (4, 8, 16, 32, 64)


@pytest.mark.parametrize("blocks", range(6))
@pytest.mark.parametrize("bands", [1, 4])
def test_maps_are_those_of_the_layout(blocks, bands):
    network = HardnetBackbone(blocks=blocks).build(bands=bands)
    depth = max(blocks, 1)
    assert network.layout.channels == CHANNELS[:depth]
    assert network.layout.strides == STRIDES[:depth]
    assert network.layout.multiple == STRIDES[depth - 1]
    rows, columns = network.layout.multiple, 2 * network.layout.multiple
    maps = network(torch.randn(1, bands, rows, columns))
    shapes = [(1, width, rows // stride, columns // stride) for width, stride in zip(CHANNELS, STRIDES, strict=True)]
    assert [tuple(one.shape) for one in maps] == shapes[:depth]


@pytest.mark.parametrize("blocks", range(1, 5))
def test_a_short_encoder_answers_what_the_whole_one_does(blocks):
    torch.manual_seed(0)
    whole = build("hardnet70", classes=2).encoder.eval()
    short = HardnetEncoder(3, depth=blocks).eval()
    missing, _ = short.load_state_dict(whole.state_dict(), strict=False)
    assert not missing
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(one, other) for one, other in zip(short(image), whole(image), strict=False))


def test_without_blocks_the_stem_answers():
    torch.manual_seed(0)
    network = HardnetBackbone(blocks=0).build(bands=3).eval()
    image = torch.randn(1, 3, 8, 12)
    with torch.no_grad():
        (answer,) = network(image)
        assert torch.equal(answer, network.encoder.stem(image))
    assert sum(one.numel() for one in network.parameters()) == 24_864


def test_the_whole_backbone_has_the_encoders_parameters():
    network = HardnetBackbone(blocks=5).build(bands=3)
    assert sum(one.numel() for one in network.parameters()) == 2_378_908


@pytest.mark.parametrize("blocks", range(6))
def test_every_parameter_is_reached_and_one_value_trains(blocks):
    network = HardnetBackbone(blocks=blocks).build(bands=3)
    side = network.layout.multiple
    torch.stack([one.square().mean() for one in network(torch.randn(1, 3, side, side))]).sum().backward()
    assert all(one.grad is not None for one in network.parameters())


def test_the_table_knows_it(tmp_path):
    record = BACKBONES.create("hardnet", blocks=2, pretrain=tmp_path / "a.pth")
    assert type(record).model_validate(record.model_dump(mode="json")) == record
    assert record.without_pretraining() == HardnetBackbone(blocks=2)
    assert record.pretraining(bands=3).mean == (0.485, 0.456, 0.406)
    assert HardnetBackbone().pretraining(bands=3) is None


def test_no_more_blocks_than_there_are():
    with pytest.raises(ValidationError, match="less than or equal to 5"):
        HardnetBackbone(blocks=6)
