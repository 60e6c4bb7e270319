"""The light stem."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from terrazzo.models.backbones.backbone import BACKBONES
from terrazzo.models.backbones.stem import Stem


@pytest.mark.parametrize("bands", [1, 3, 7])
def test_one_map_at_stride_four(bands):
    network = Stem(width=8, blocks=1).build(bands=bands)
    (features,) = network(torch.randn(2, bands, 12, 20))
    assert features.shape == (2, 8, 3, 5)
    layout = network.layout
    assert (layout.channels, layout.strides, layout.multiple) == ((8,), (4,), 4)
    assert not network.frozen


def test_the_default_is_light():
    network = BACKBONES.create("stem").build(bands=3)
    parameters = sum(one.numel() for one in network.parameters())
    assert parameters == 27 * 32 + 32 + 2 * 32 + 9 * 32 * 64 + 64 + 4 * (9 * 64 * 64 + 64 + 2 * 64) + 2 * 64
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 256, 256))
    macs = 128**2 * 27 * 32 + 64**2 * 9 * (32 * 64 + 4 * 64 * 64)
    assert counter.get_total_flops() == 2 * macs


def test_a_cell_depends_on_what_is_near_alone():
    """No statistics of tile or batch: a tile's features are those of a larger image, but for its borders."""
    network = Stem(width=8, blocks=1).build(bands=3).train()
    image = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    (whole,) = network(image)
    (part,) = network(image[..., 32:64, 32:64])
    torch.testing.assert_close(part[..., 3:5, 3:5], whole[..., 11:13, 11:13], rtol=1e-4, atol=1e-5)


def test_the_smallest_image_trains():
    network = Stem(width=4, blocks=2).build(bands=2)
    (features,) = network(torch.randn(1, 2, 4, 4))
    features.square().sum().backward()
    assert all(one.grad is not None for one in network.parameters())
