import random

import numpy as np
import pytest
import torch

from terrazzo.losses import CrossEntropy
from terrazzo.models.output import Output
from terrazzo.training.objective import Objective, seed_step


def draws() -> tuple[float, float, float]:
    return float(torch.rand(())), random.random(), float(np.random.rand())  # noqa: NPY002


def test_the_same_step_draws_the_same_numbers():
    seed_step(3, 10)
    first = draws()
    draws()
    seed_step(3, 10)
    assert draws() == first


@pytest.mark.parametrize("other", [(4, 10, 0, 0), (3, 11, 0, 0), (3, 10, 1, 0), (3, 10, 0, 1)])
def test_another_seed_step_part_or_process_draws_others(other):
    seed, step, part, rank = other
    seed_step(3, 10)
    first = draws()
    seed_step(seed, step, part=part, rank=rank)
    assert all(one != another for one, another in zip(first, draws(), strict=True))


def test_large_seeds_are_taken():
    seed_step(2**63, 2**40)
    first = draws()
    seed_step(2**63, 2**40)
    assert draws() == first


def test_the_objective_is_the_loss_of_the_network(tiny):
    torch.manual_seed(0)
    network = tiny.Tiny(dropout=0.0).build(bands=3, classes=3).eval()
    image, target = torch.randn(2, 3, 5, 7), torch.randint(0, 3, (2, 5, 7))
    ignored = torch.zeros(2, 5, 7, dtype=torch.bool)
    ignored[:, :2] = True
    found = Objective(network, CrossEntropy())(image, target, ignored)
    expected = torch.nn.functional.cross_entropy(
        network(image).logits, target.masked_fill(ignored, -100), ignore_index=-100
    )
    assert torch.allclose(found, expected)


def test_class_weights_take_part_and_are_not_saved(tiny):
    torch.manual_seed(0)
    network = tiny.Tiny(dropout=0.0).build(bands=3, classes=3).eval()
    image, target = torch.randn(1, 3, 6, 6), torch.randint(0, 3, (1, 6, 6))
    ignored = torch.zeros(1, 6, 6, dtype=torch.bool)
    weighted = Objective(network, CrossEntropy(), torch.tensor([1.0, 5.0, 0.5]))
    assert weighted(image, target, ignored) != Objective(network, CrossEntropy())(image, target, ignored)
    assert all(name.startswith("network.") for name in weighted.state_dict())


def test_the_loss_is_float32_under_autocast(tiny):
    network = tiny.Tiny().build(bands=3, classes=3)
    image, target = torch.randn(1, 3, 8, 8), torch.zeros(1, 8, 8, dtype=torch.int64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = Objective(network, CrossEntropy())(image, target, torch.zeros(1, 8, 8, dtype=torch.bool))
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_an_ignored_batch_gives_no_gradient(tiny):
    network = tiny.Tiny().build(bands=3, classes=3)
    image, target = torch.randn(1, 3, 4, 4), torch.full((1, 4, 4), 255)
    loss = Objective(network, CrossEntropy())(image, target, torch.ones(1, 4, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in network.parameters())


def test_logits_become_float32():
    output = Output(torch.zeros(1, 2, 3, 3, dtype=torch.bfloat16)).floating()
    assert output.logits.dtype == torch.float32
