"""A batch norm that meets one value per channel uses what it learned before, and is itself otherwise."""

import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from terrazzo.models.normalisation_layers import SingleValueNorm, allow_single_values


def _trained(norm):
    """Give a norm statistics of its own."""
    generator = torch.Generator().manual_seed(3)
    norm.train()
    for _ in range(5):
        norm(3 + 2 * torch.randn(4, 6, 5, 5, generator=generator))
    return norm


@pytest.fixture(params=[nn.BatchNorm2d, BatchNormAct2d], ids=["torch", "timm"])
def pair(request):
    """A trained norm as its library made it, and the same one allowed to take single values."""
    plain = _trained(request.param(6))
    allowed = copy.deepcopy(plain)
    allow_single_values(allowed)
    return plain, allowed


def test_torch_refuses_one_value(pair):
    plain, _ = pair
    with pytest.raises(ValueError, match="more than 1 value"):
        plain(torch.ones(1, 6, 1, 1))


def test_one_value_is_normalised_with_running_statistics(pair):
    plain, allowed = pair
    image = torch.randn(1, 6, 1, 1)
    assert torch.equal(allowed.train()(image), plain.eval()(image))


def test_one_value_moves_no_statistics(pair):
    _, allowed = pair
    before = copy.deepcopy(allowed.state_dict())
    allowed.train()(torch.full((1, 6, 1, 1), 100.0))
    after = allowed.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert allowed.training


@pytest.mark.parametrize("shape", [(2, 6, 1, 1), (1, 6, 2, 1), (3, 6, 4, 4)])
def test_more_values_are_normalised_as_ever(pair, shape):
    plain, allowed = pair
    image = torch.randn(shape)
    assert torch.equal(allowed.train()(image), plain.train()(image))
    assert torch.equal(allowed.running_mean, plain.running_mean)
    assert torch.equal(allowed.running_var, plain.running_var)
    assert torch.equal(allowed.num_batches_tracked, plain.num_batches_tracked)


def test_evaluation_is_as_ever(pair):
    plain, allowed = pair
    image = torch.randn(1, 6, 1, 1)
    assert torch.equal(allowed.eval()(image), plain.eval()(image))
    assert not allowed.training


def test_a_state_dict_fits_both_ways(pair):
    plain, allowed = pair
    fresh = type(plain)(6)
    fresh.load_state_dict(allowed.state_dict())
    allowed.load_state_dict(plain.state_dict())
    assert torch.equal(fresh.running_mean, plain.running_mean)


def test_gradient_passes_through_one_value(pair):
    _, allowed = pair
    image = torch.full((1, 6, 1, 1), 5.0, requires_grad=True)
    allowed.train()(image).sum().backward()
    assert allowed.weight.grad is not None
    assert bool(image.grad.isfinite().all())


def test_the_mode_survives_an_error(pair):
    _, allowed = pair
    with pytest.raises((ValueError, RuntimeError, AssertionError)):
        allowed.train()(torch.ones(1, 6))
    assert allowed.training


def test_every_norm_of_a_network_is_reached_once():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(BatchNormAct2d(4), nn.GroupNorm(2, 4)))
    allow_single_values(network)
    kinds = [type(module) for module in network.modules()]
    allow_single_values(network)
    assert kinds == [type(module) for module in network.modules()]
    assert sum(isinstance(module, SingleValueNorm) for module in network.modules()) == 2
    network.train()(torch.rand(1, 3, 1, 1)).sum().backward()


def test_a_norm_without_running_statistics_still_says_no():
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    allow_single_values(norm)
    with pytest.raises(ValueError, match="more than 1 value"):
        norm.train()(torch.ones(1, 4, 1, 1))


def test_a_batch_of_one_dimension_is_covered():
    norm = nn.BatchNorm1d(4)
    allow_single_values(norm)
    assert norm.train()(torch.ones(1, 4)).shape == (1, 4)


def test_activation_stays():
    norm = BatchNormAct2d(4)
    allow_single_values(norm)
    assert float(norm.train()(torch.full((1, 4, 1, 1), -1.0)).detach().min()) == 0
