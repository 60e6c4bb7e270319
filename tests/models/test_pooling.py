"""Averaging over cells is torch's adaptive pooling, value and gradient."""

import copy

import pytest
import torch
from torch import nn

from terrazzo.models import build
from terrazzo.models.pooling import RepeatablePool, average_cells, make_pooling_repeatable


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (6, 12), (40, 33)])
@pytest.mark.parametrize("cells", [(1, 1), (2, 2), (3, 3), (6, 6), (1, 4)])
def test_cells_are_torchs(size, cells):
    image = torch.randn((2, 3, *size), requires_grad=True)
    ours, theirs = average_cells(image, *cells), nn.functional.adaptive_avg_pool2d(image, cells)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn(ours.shape)
    mine, other = (torch.autograd.grad((pooled * weight).sum(), image)[0] for pooled in (ours, theirs))
    torch.testing.assert_close(mine, other)


def test_by_hand():
    image = torch.tensor([[[[1.0, 2.0, 6.0]]]])
    assert average_cells(image, 1, 2).flatten().tolist() == [1.5, 4.0]


def test_half_precision_sums_in_full():
    image = torch.full((1, 1, 100, 100), 3.0, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = average_cells(image, 1, 1)
    assert pooled.dtype == torch.bfloat16
    assert pooled.item() == 3


def test_channels_last_pools_alike():
    image = torch.randn(2, 3, 8, 9)
    turned = average_cells(image.contiguous(memory_format=torch.channels_last), 3, 2)
    torch.testing.assert_close(turned, average_cells(image, 3, 2))


def test_every_pool_of_a_network_is_replaced():
    plain = nn.Sequential(nn.AdaptiveAvgPool2d((2, 3)), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)))
    replaced = copy.deepcopy(plain)
    make_pooling_repeatable(replaced)
    assert sum(isinstance(module, RepeatablePool) for module in replaced.modules()) == 2
    image = torch.randn(1, 2, 6, 6)
    assert torch.equal(plain(image), replaced(image))
    assert list(replaced.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("architecture", ["pspnet", "upernet"])
def test_pyramids_of_the_library_pool_repeatably(architecture):
    network = build("smp", architecture=architecture, encoder="tu-mobilenetv3_small_050", classes=2)
    pools = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    assert len(pools) >= 4
    assert all(isinstance(module, RepeatablePool) for module in pools)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("given", [3, (2, None)])
def test_a_gpu_gives_the_same_gradient_twice(given):
    pool = nn.AdaptiveAvgPool2d(given)
    make_pooling_repeatable(pool)
    image = torch.randn(2, 3, 17, 19, device="cuda", requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        one, two = (torch.autograd.grad(pool(image).square().sum(), image)[0] for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(one, two)
    torch.testing.assert_close(pool(image).cpu(), nn.functional.adaptive_avg_pool2d(image.cpu(), given))
