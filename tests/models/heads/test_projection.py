"""The fidelity-aware projection: its formula, written out anew, and its size."""

import pytest
import torch
from torch.nn import functional

from terrazzo.models.heads.decoder import UNetDecoder
from terrazzo.models.heads.projection import FidelityProjection, SqueezeExcitation


def plain(projection: FidelityProjection, scale: int, given: torch.Tensor) -> torch.Tensor:
    """Return one scale's output by matrix products, norms as fresh ones are in evaluation."""
    rank = projection.shared.weight.shape[0]

    def pointwise(layer, values):
        return torch.einsum("oc,bcyx->boyx", layer.weight[:, :, 0, 0], values)

    def normed(layer, values):
        return values / (1 + layer.eps) ** 0.5

    both = pointwise(projection.modulation[scale], pointwise(projection.shared, given))
    gamma, beta = both[:, :rank], both[:, rank:]
    modulated = gamma * pointwise(projection.own[scale], given) + beta
    first, norm, _, depth, point, other_norm, _, last, excite = projection.refinement[scale]
    values = normed(norm, pointwise(first, modulated)).clamp_min(0)
    values = functional.conv2d(values, depth.weight, padding=1, groups=values.shape[1])
    values = pointwise(last, normed(other_norm, pointwise(point, values)).clamp_min(0))
    weights = pointwise(excite.squeeze, values.mean((2, 3), keepdim=True)) + excite.squeeze.bias[:, None, None]
    weights = pointwise(excite.excite, weights.clamp_min(0)) + excite.excite.bias[:, None, None]
    short = projection.shortcut[scale]
    kept = modulated if isinstance(short, torch.nn.Identity) else pointwise(short, modulated)
    return values / (1 + (-weights).exp()) + kept


def test_it_is_modulation_of_an_own_basis_by_a_shared_one_then_refined():
    torch.manual_seed(0)
    # The second width is the rank, so that its shortcut is nothing.
    projection = FidelityProjection(5, 6, (4, 6), doublings=0).eval()
    maps = [torch.randn(2, 5, 7, 3), torch.randn(2, 5, 4, 2)]
    for scale, found in enumerate(projection(maps)):
        torch.testing.assert_close(found, plain(projection, scale, maps[scale]))


def test_one_basis_is_shared_by_all_scales():
    projection = FidelityProjection(5, 6, (4, 4, 4), doublings=1)
    maps = [torch.randn(2, 5, 4, 4) for _ in range(3)]
    reached = []
    for scale in range(3):
        projection.zero_grad(set_to_none=True)
        projection(maps)[scale].square().sum().backward()
        own = [layer.weight.grad is not None for layer in projection.own]
        reached.append((projection.shared.weight.grad is not None, own))
    assert reached == [(True, [scale == other for other in range(3)]) for scale in range(3)]


def test_one_transposed_convolution_is_applied_again_and_again():
    once = FidelityProjection(4, 4, (3,), doublings=1).eval()
    twice = FidelityProjection(4, 4, (3,), doublings=2).eval()
    twice.load_state_dict(once.state_dict())
    given = torch.randn(1, 4, 2, 3)
    (small,), (large,) = once([given]), twice([given])
    assert (small.shape[2:], large.shape[2:]) == ((4, 6), (8, 12))
    torch.testing.assert_close(once.enlargement[0](small), large)


@pytest.mark.parametrize(
    ("channels", "adapter", "total"),
    [(384, 3.698, 6.2), (768, 10.194, 13.2), (1024, 16.654, 20.0), (4096, 227.1, 234)],
)
def test_with_decoder_and_adapter_it_has_dino_unets_size(channels, adapter, total):
    # Trainable millions of Dino U-Net with widths 32 to 256 and of its adapter alone, as they were counted there.
    with torch.device("meta"):
        parts = (
            FidelityProjection(channels, 256, (32, 64, 128, 256), doublings=2),
            UNetDecoder((32, 64, 128, 256), (32, 64, 128)),
        )
    ours = sum(each.numel() for part in parts for each in part.parameters()) / 1e6
    assert ours + adapter == pytest.approx(total, abs=0.05 if total < 100 else 0.5)


def test_excitation_weighs_channels_by_their_means():
    excitation = SqueezeExcitation(32)
    assert excitation.squeeze.out_channels == 2
    assert SqueezeExcitation(4).squeeze.out_channels == 1
    given = torch.randn(1, 32, 3, 3)
    ratio = excitation(given) / given
    assert ratio.min() > 0
    assert ratio.max() < 1
    torch.testing.assert_close(ratio, ratio[..., :1, :1].expand_as(ratio))
