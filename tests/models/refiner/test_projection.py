"""Feature maps of any strides brought to stride 4."""

import pytest
import torch

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.channel_norm import ChannelNorm
from terrazzo.models.refiner.projection import Projection


def made(*pairs: tuple[int, int]) -> Projection:
    channels, strides = zip(*pairs, strict=True)
    return Projection(FeatureLayout(channels, strides, max(strides)), 8, "rms")


def maps(*pairs: tuple[int, int], size: int = 32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, count, size // stride, size // stride, generator=generator) for count, stride in pairs]


def test_a_map_of_stride_four_is_projected_alone():
    one = made((5, 4))
    (features,) = maps((5, 4))
    weight, bias = one.projections[0].weight[:, :, 0, 0], one.projections[0].bias
    wanted = torch.einsum("oc,bcyx->boyx", weight, features) + bias[:, None, None]
    torch.testing.assert_close(one([features], 8, 8), ChannelNorm(8, "rms", learned=False)(wanted))


@pytest.mark.parametrize("stride", [1, 2, 8, 16, 32])
def test_a_map_of_any_stride_comes_to_stride_four(stride):
    """A plane that rises evenly stays one: whatever moved it by a part of a cell would show."""
    one = made((1, stride))
    torch.nn.init.ones_(one.projections[0].weight)
    one.norm = torch.nn.Identity()
    size = 128
    middles = (torch.arange(size // stride) + 0.5) * stride
    plane = middles[None, None, :, None].expand(1, 1, -1, size // stride)
    found = one([plane], size // 4, size // 4)[0, 0, :, 0]
    wanted = (torch.arange(size // 4) + 0.5) * 4
    inner = slice(stride // 4, size // 4 - stride // 4)
    torch.testing.assert_close(found[inner], wanted[inner])


def test_several_maps_are_projected_together_as_one_stack_would_be():
    pairs = ((3, 2), (4, 4), (6, 16))
    one, given = made(*pairs), maps(*pairs)
    one.norm = torch.nn.Identity()
    stack = torch.cat(
        [
            torch.nn.functional.avg_pool2d(given[0], 2),
            given[1],
            torch.nn.functional.interpolate(given[2], scale_factor=4, mode="bilinear"),
        ],
        dim=1,
    )
    weight = torch.cat([each.weight for each in one.projections], dim=1)
    wanted = torch.nn.functional.conv2d(stack, weight, one.projections[0].bias)
    torch.testing.assert_close(one(given, 8, 8), wanted, rtol=1e-4, atol=1e-5)
    assert [each.bias is not None for each in one.projections] == [True, False, False]


def test_features_are_as_large_as_the_states():
    pairs = ((3, 4), (6, 16))
    features = made(*pairs)([100 * one for one in maps(*pairs)], 8, 8)
    torch.testing.assert_close(features.square().mean(dim=1), torch.ones(2, 8, 8), rtol=1e-3, atol=1e-3)
