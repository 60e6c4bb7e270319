"""The spatial prior module: its size and the strides of its maps."""

import pytest
import torch

from terrazzo.models.heads.prior import SpatialPrior


@pytest.mark.parametrize(("channels", "parameters"), [(384, 1_307_456), (768, 1_579_328), (1024, 1_760_576)])
def test_it_has_the_published_size(channels, parameters):
    # 1.307 M for a ViT-S and 1.761 M for a ViT-L.
    with torch.device("meta"):
        prior = SpatialPrior(3, channels)
    assert sum(each.numel() for each in prior.parameters()) == parameters == 1_035_584 + 708 * channels


@pytest.mark.parametrize("size", [(64, 96), (48, 16), (33, 1)])
def test_maps_have_strides_4_to_32(size):
    maps = SpatialPrior(2, 5, inner=4).eval()(torch.randn(1, 2, *size))
    cells = [tuple(-(-axis // stride) for axis in size) for stride in (4, 8, 16, 32)]
    assert [tuple(each.shape) for each in maps] == [(1, 5, *one) for one in cells]


def test_it_sees_single_pixels():
    prior = SpatialPrior(1, 4, inner=4).eval()
    image = torch.zeros(1, 1, 64, 64)
    other = image.clone()
    other[0, 0, 17, 42] = 1.0
    fine, changed = prior(image)[0], prior(other)[0]
    assert (fine != changed).any(dim=1)[0, 4, 10]


def test_weights_start_from_their_fan_out():
    torch.manual_seed(0)
    prior = SpatialPrior(3, 512)
    deep = prior.levels[2][0].weight
    assert deep.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert not prior.projections[0].bias.any()
