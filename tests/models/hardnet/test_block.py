"""Links, widths and order of the harmonic dense block, and its gradient with and without recomputing."""

import copy

import pytest
import torch

from terrazzo.models.hardnet.block import ConvLayer, HarDBlock, layer_width, linked_layers
from terrazzo.models.normalisation_layers import allow_single_values

WIDTHS = {
    (10, 4): [10, 18, 10, 28],
    (16, 4): [16, 28, 16, 46],
    (18, 8): [18, 30, 18, 52, 18, 30, 18, 88],
    (24, 8): [24, 40, 24, 70, 24, 40, 24, 118],
    (32, 8): [32, 54, 32, 92, 32, 54, 32, 158],
}


@pytest.mark.parametrize("layer", range(1, 33))
def test_links_are_the_powers_of_two_that_divide(layer):
    wanted = [layer - 2**power for power in range(6) if layer % 2**power == 0 and layer >= 2**power]
    assert list(linked_layers(layer)) == wanted


@pytest.mark.parametrize(("growth", "layers"), WIDTHS)
def test_widths_are_the_published(growth, layers):
    assert [layer_width(layer, growth) for layer in range(1, layers + 1)] == WIDTHS[growth, layers]


@pytest.mark.parametrize(("growth", "layers"), WIDTHS)
@pytest.mark.parametrize("keep_input", [False, True])
def test_the_answer_is_the_odd_layers_and_the_last_in_order(growth, layers, keep_input):
    block = HarDBlock(6, growth=growth, layers=layers, keep_input=keep_input).eval()
    answers = []
    for layer in block.layers:
        layer.register_forward_hook(lambda _module, _given, answer: answers.append(answer))
    image = torch.randn(1, 6, 4, 5)
    with torch.no_grad():
        answer = block(image)
    odd = [answers[index] for index in range(0, layers, 2)]
    assert torch.equal(answer, torch.cat([image] * keep_input + [*odd, answers[-1]], dim=1))
    assert block.width == answer.shape[1]


def test_a_layer_takes_the_nearest_first():
    block = HarDBlock(3, growth=4, layers=4).eval()
    seen = {}
    for number, layer in enumerate(block.layers, 1):
        layer.register_forward_hook(
            lambda _module, given, answer, number=number: seen.update({number: (given[0], answer)})
        )
    image = torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        block(image)
    assert torch.equal(seen[4][0], torch.cat([seen[3][1], seen[2][1], image], dim=1))
    assert torch.equal(seen[3][0], seen[2][1])


def test_a_layer_is_convolution_norm_relu():
    layer = ConvLayer(2, 5, stride=2, dropout=0.3).eval()
    image = torch.randn(1, 2, 6, 6)
    layer.norm.running_mean.normal_()
    with torch.no_grad():
        assert torch.equal(layer(image), layer.norm(layer.conv(image)).relu())
    assert layer.conv.bias is None
    assert layer.dropout.p == 0.3
    assert len(ConvLayer(2, 5)) == 3


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_recomputing_changes_no_bit(dropout):
    torch.manual_seed(0)
    block = HarDBlock(4, growth=6, layers=8, dropout=dropout)
    other = copy.deepcopy(block)
    other.recompute = True
    image = torch.randn(2, 4, 8, 8)
    results = []
    for one in (block, other):
        torch.manual_seed(1)
        given = image.clone().requires_grad_()
        answer = one(given)
        answer.square().sum().backward()
        results.append([answer.detach(), given.grad, *(each.grad for each in one.parameters()), *one.buffers()])
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*results, strict=True))
    assert int(other.layers[0].norm.num_batches_tracked) == 1


def test_recomputing_keeps_the_input_alone():
    block = HarDBlock(4, growth=6, layers=8)
    image = torch.randn(1, 4, 16, 16, requires_grad=True)
    kept = []
    for recompute in (False, True):
        block.recompute = recompute
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda one, sizes=sizes: sizes.append(one.numel()) or one, lambda one: one
        ):
            block(image)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 20


def test_recomputing_takes_one_value_a_channel():
    block = HarDBlock(4, growth=6, layers=4)
    allow_single_values(block)
    block.recompute = True
    block(torch.randn(1, 4, 1, 1, requires_grad=True)).sum().backward()
    assert all(each.grad is not None for each in block.parameters())
