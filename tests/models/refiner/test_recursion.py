"""The small shared net."""

import pytest
import torch

from terrazzo.models.channel_norm import ChannelNorm
from terrazzo.models.refiner.recursion import Block, RecursiveNet, initialise

GENERATOR = torch.Generator().manual_seed(0)


def test_a_block_by_hand():
    block = Block(4, "depthwise", 2, "rms")
    state = torch.randn(1, 4, 9, 9, generator=GENERATOR)
    norm = ChannelNorm(4, "rms", learned=False)
    first = norm(state + torch.nn.functional.conv2d(state, block.mix[0].weight, padding=3, groups=4))
    expanded = torch.einsum("oc,bcyx->boyx", block.expand.weight[:, :, 0, 0], first)
    gate, value = expanded[:, :8], expanded[:, 8:]
    inner = gate * gate.sigmoid() * value
    wanted = norm(first + torch.einsum("oc,bcyx->boyx", block.shrink.weight[:, :, 0, 0], inner))
    torch.testing.assert_close(block(state), wanted)


@pytest.mark.parametrize(("mixing", "count"), [("depthwise", 49), ("dilated", 18)])
def test_parameters(mixing, count):
    net = RecursiveNet(16, mixing=mixing, expansion=3, norm="rms")
    assert sum(one.numel() for one in net.parameters()) == 2 * (16 * count + 16 * 96 + 48 * 16)
    assert not [name for name, _ in net.named_parameters() if "bias" in name or "norm" in name]


@pytest.mark.parametrize(("mixing", "reach"), [("depthwise", 3), ("dilated", 4)])
def test_a_block_sees_all_cells_within_its_reach_and_none_beyond(mixing, reach):
    block = Block(4, mixing, 1, "rms")
    state = torch.randn(1, 4, 21, 21, generator=GENERATOR).requires_grad_()
    block(state)[0, :, 10, 10].square().sum().backward()
    rows, columns = state.grad[0].abs().sum(dim=0).nonzero(as_tuple=True)
    assert len(rows) == (2 * reach + 1) ** 2
    assert (int(rows.min()), int(rows.max())) == (10 - reach, 10 + reach)
    assert (int(columns.min()), int(columns.max())) == (10 - reach, 10 + reach)


def test_a_state_has_root_mean_square_one_however_often_the_net_runs():
    net = RecursiveNet(16, mixing="depthwise", expansion=2, norm="rms")
    initialise(net)
    state = torch.randn(1, 16, 8, 8, generator=GENERATOR)
    for _ in range(20):
        state = net(state)
    torch.testing.assert_close(state.square().mean(dim=1), torch.ones(1, 8, 8), rtol=1e-3, atol=1e-3)


def test_weights_begin_as_large_as_their_fan_in_allows():
    net = RecursiveNet(64, mixing="depthwise", expansion=2, norm="rms")
    initialise(net)
    for name, parameter in net.named_parameters():
        weight = parameter.detach()
        deviation = weight[0].numel() ** -0.5
        assert float(weight.std()) == pytest.approx(0.88 * deviation, rel=0.05), name
        assert float(weight.abs().max()) <= 2 * deviation, name
