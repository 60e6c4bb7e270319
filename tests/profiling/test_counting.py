"""Counts are those that a hand would make."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from terrazzo.profiling.counting import count_operations, count_parameters


def test_convolutions_of_every_kind_are_counted_by_their_outputs() -> None:
    image = torch.randn(1, 4, 9, 11)
    cases = [
        (nn.Conv2d(4, 6, 3, padding=1), 9 * 11 * 6 * 4 * 9),
        (nn.Conv2d(4, 6, 3, stride=2), 4 * 5 * 6 * 4 * 9),
        (nn.Conv2d(4, 8, 3, groups=4), 7 * 9 * 8 * 1 * 9),
        (nn.Conv2d(4, 6, (1, 5)), 9 * 7 * 6 * 4 * 5),
        # A transposed convolution multiplies once a weight for each cell that goes in.
        (nn.ConvTranspose2d(4, 5, 2, stride=2), 9 * 11 * 4 * 5 * 4),
    ]
    for layer, hand in cases:
        assert count_operations(lambda layer=layer: layer(image)).macs == hand


def test_functions_are_counted_as_modules_are() -> None:
    image, weight = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 1, 1)
    found = count_operations(lambda: functional.conv2d(image, weight).flatten(2).mT @ torch.randn(5, 7))
    assert found.macs == 2 * 64 * 5 * 3 + 2 * 64 * 5 * 7
    assert found.kinds["convolution"] == 2 * 64 * 5 * 3


def test_torchs_fused_transformer_layers_are_looked_into() -> None:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    tokens, length, width = torch.randn(2, 10, 32), 10, 32
    projections = 2 * length * (3 * width * width + width * width)
    attention = 2 * 4 * length * length * 8 * 2
    unit = 2 * length * 2 * width * 64
    assert count_operations(lambda: layer(tokens)).macs == projections + attention + unit
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_fused_layers_come_back_after_an_error() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        count_operations(broken)
    assert torch.backends.mha.get_fastpath_enabled()


def test_reduced_precision_changes_no_count() -> None:
    layer, image = nn.Conv2d(3, 8, 3), torch.randn(1, 3, 16, 16)

    def reduced() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return layer(image)

    assert count_operations(reduced) == count_operations(lambda: layer(image))


def test_what_works_element_by_element_costs_nothing() -> None:
    image = torch.randn(1, 3, 16, 16)
    work = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.AvgPool2d(2), nn.Upsample(scale_factor=2)).eval()
    found = count_operations(lambda: work(image))
    assert (found.macs, found.kinds) == (0, {})


def test_parameters_are_told_apart_and_shared_ones_counted_once() -> None:
    one = nn.Linear(4, 4)
    network = nn.Sequential(one, one, nn.BatchNorm1d(4), nn.Linear(4, 2).requires_grad_(False))
    found = count_parameters(network)
    assert (found.trainable, found.frozen, found.bytes) == (20 + 8, 10, 4 * 38)
