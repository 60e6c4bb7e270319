"""The networks for CamVid: figures beside the published ones, layers, and the contract."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from terrazzo.models import ARCHITECTURES, build
from terrazzo.models.hardnet.block import HarDBlock, layer_width, linked_layers
from terrazzo.testing import check_architecture

LAYERS = {68: (4, 4, 4, 4, 8, 8), 76: (4, 4, 4, 8, 8, 8), 84: (4, 4, 8, 8, 8, 8)}
GROWTH = {68: (4, 6, 8, 8, 10, 10), 76: (8, 10, 12, 12, 12, 14), 84: (10, 12, 14, 16, 20, 22)}
FIRST = {68: 8, 76: 24, 84: 32}
COUNTED = {68: (1_366_037, 7.567, 472.8), 76: (3_461_189, 26.657, 932.4), 84: (8_346_493, 49.984, 1266.7)}
"""Parameters, GMAC and megabytes in and out of convolutions, for 11 classes and 352 x 480 pixels."""
PUBLISHED = {68: (1.4, 15, 473), 76: (3.5, 54, 932), 84: (8.4, 100, 1267)}
"""Millions of parameters, "GMAC" (operations), megabytes: HarDNet paper, table 2."""


def _convolutions(depth):
    """Every convolution as (channels, width, side, pixels in, pixels out, normalised): a count of its own."""
    shape, plan = [352 * 480 // 4**level for level in range(6)], []

    def block(channels, index, pixels, kept):
        widths = [channels]
        for layer in range(1, LAYERS[depth][index] + 1):
            widths.append(layer_width(layer, GROWTH[depth][index]))
            given = sum(widths[link] for link in linked_layers(layer))
            plan.append((given, widths[-1], 3, pixels, pixels, True))
        return sum(widths[1::2]) + widths[-1] + (channels if kept else 0)

    width, skips = FIRST[depth], []
    plan.append((3, width, 3, shape[0], shape[0], True))
    for level in range(5):
        width = block(width, level, shape[level], True)
        skips.append(width)
        plan.append((width, width, 1, shape[level], shape[level], True))
    width = block(width, 5, shape[5], False)
    for level in reversed(range(5)):
        plan.append((width, width, 3, shape[level + 1], shape[level], False))
        width = block(width + skips[level], level, shape[level], False)
    plan.append((width, 11, 1, shape[0], shape[0], False))
    return plan


@pytest.fixture(scope="module", params=[68, 76, 84])
def depth(request):
    return request.param


@pytest.fixture(scope="module")
def network(depth):
    with torch.device("meta"):
        return build(f"hardnet{depth}", classes=11).eval()


def test_parameters(network, depth):
    parameters = sum(one.numel() for one in network.parameters())
    plan = _convolutions(depth)
    assert parameters == sum(
        given * width * side**2 + (2 * width if normalised else width) for given, width, side, *_, normalised in plan
    )
    assert parameters == COUNTED[depth][0]
    # The source's convolutions have a bias before each norm, which the norm takes away again.
    biases = sum(width for _, width, *_, normalised in plan if normalised)
    assert round((parameters + biases) / 1e6, 1) == PUBLISHED[depth][0]


def test_multiplications(network, depth):
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 352, 480, device="meta"))
    operations = counter.get_total_flops()
    # A transposed convolution multiplies once for each of its inputs.
    counted = sum(
        given * width * side**2 * min(before, after) for given, width, side, before, after, _ in _convolutions(depth)
    )
    assert operations == 2 * counted
    assert operations / 2e9 == pytest.approx(COUNTED[depth][1], abs=0.001)
    assert operations / 1e9 == pytest.approx(PUBLISHED[depth][1], rel=0.015)


def test_traffic(network, depth):
    values = []

    def count(_module, given, answer):
        values.append(given[0].numel() + answer[..., : answer.shape[-2] // 2 * 2, : answer.shape[-1] // 2 * 2].numel())

    hooks = [
        one.register_forward_hook(count) for one in network.modules() if isinstance(one, nn.Conv2d | nn.ConvTranspose2d)
    ]
    network(torch.empty(1, 3, 352, 480, device="meta"))
    for hook in hooks:
        hook.remove()
    assert 4 * sum(values) / 1e6 == pytest.approx(COUNTED[depth][2], abs=0.05)
    assert round(4 * sum(values) / 1e6) == PUBLISHED[depth][2]


def test_the_name_counts_the_layers(network, depth):
    layers = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == depth


def test_it_conforms(depth):
    # To export and to train in two processes takes longer than all else: the smallest does it for all.
    whole = depth == 68
    record = ARCHITECTURES.create(f"hardnet{depth}")
    check_architecture(record, bands=(5,), sizes=((32, 64), (33, 65), (1, 1)), export=whole, processes=whole)


def test_a_pixel_moves_its_own_surroundings():
    """Maps going down and up stay in place: what one pixel changes most lies around it."""
    torch.manual_seed(0)
    network = build("hardnet68", classes=2).eval()
    image = torch.randn(1, 3, 64, 64)
    changed = image.clone()
    changed[..., 40, 24] += 1
    with torch.no_grad():
        moved = (network(changed).logits - network(image).logits).abs().sum(dim=(0, 1))
    near = moved[32:49, 16:33].sum()
    # A fourteenth of the image.
    assert near > 0.5 * moved.sum()


def test_dropout_stands_after_each_layer_and_in_training_alone():
    torch.manual_seed(0)
    network = build("hardnet68", classes=2, dropout=0.2)
    drops = [one for one in network.modules() if isinstance(one, nn.Dropout)]
    assert len(drops) == sum(2 * layers for layers in LAYERS[68][:5]) + LAYERS[68][5] + 5
    image = torch.randn(1, 3, 32, 32)
    assert not torch.equal(network(image).logits, network(image).logits)
    network.eval()
    assert torch.equal(network(image).logits, network(image).logits)
    plain = build("hardnet68", classes=2).eval()
    plain.load_state_dict(network.state_dict())
    assert torch.equal(plain(image).logits, network(image).logits)


def test_weights_are_drawn_as_fc_densenet_draws_them():
    torch.manual_seed(0)
    layer = build("hardnet84", classes=2).deepest.layers[7].conv
    bound = (6 / (layer.in_channels * 9)) ** 0.5
    assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.01)


def test_it_can_be_exported():
    network = build("hardnet68", classes=2).eval()

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, image):
            return self.network(image).logits

    image = torch.randn(1, 3, 33, 40)
    exported = torch.export.export(Logits(), (image,)).module()
    torch.testing.assert_close(exported(image), network(image).logits)


def test_gradient_checkpointing_changes_no_gradient():
    gradients = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        network = build("hardnet68", classes=2, dropout=0.2)
        if checkpointed:
            network.checkpoint_gradients()
        assert all(one.recompute == checkpointed for one in network.modules() if isinstance(one, HarDBlock))
        torch.manual_seed(1)
        network(torch.randn(2, 3, 32, 32)).logits.square().mean().backward()
        gradients.append([one.grad for one in network.parameters()] + list(network.buffers()))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*gradients, strict=True))


def test_the_classifier_is_no_hidden_matrix(network):
    assert network.plain_parameters() == {"classifier.weight"}
    assert network.classifier.weight.shape[0] == 11
