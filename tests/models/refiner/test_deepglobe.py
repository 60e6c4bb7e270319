"""DeepGlobe-TRM's net, as it was published."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from terrazzo.models import build
from terrazzo.models.adaptive import refine
from terrazzo.models.halting import HaltingRule
from terrazzo.models.normalisation_layers import SingleValueNorm
from terrazzo.models.output import Steps
from terrazzo.models.refiner.deepglobe import TrmDeepglobe
from terrazzo.testing import check_architecture


@pytest.mark.parametrize(
    "settings", [{}, {"pixel_act": True, "t_max": 2}, {"t_min": 1, "t_max": 1}, {"act": False, "t_max": 2}]
)
def test_it_conforms(settings):
    record = TrmDeepglobe(**{"width": 8, "t_max": 3, **settings})
    # To export and to train in two processes takes longer than all else: once is enough.
    whole = not settings
    check_architecture(record, bands=(4,), sizes=((12, 16), (9, 7), (1, 1)), export=whole, processes=whole)


def test_it_has_the_published_parameters():
    network = build("trm_deepglobe", bands=3, classes=6)
    assert sum(one.numel() for one in network.parameters()) == 67_181
    assert (network.t_min, network.t_max) == (2, 6)


def test_it_costs_what_was_published():
    """MACs are half of what torch's FlopCounterMode counts: convolutions and products of matrices alone."""
    network = build("trm_deepglobe", bands=3, classes=6).eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as encoder:
            state = network.start(torch.zeros(1, 3, 256, 256))
        with FlopCounterMode(display=False) as step:
            network.step(state)
    assert round(encoder.get_total_flops() / 2e9, 3) == 2.529
    assert round(step.get_total_flops() / 2e9, 3) == 1.549
    assert encoder.get_total_flops() == 2 * 256**2 * (9 * 3 * 64 + 9 * 64 * 64)
    assert step.get_total_flops() == 2 * 256**2 * 23_642


def test_a_step_adds_to_the_running_logits():
    network = build("trm_deepglobe", classes=4, width=8).eval()
    image = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        state = network.start(image)
        assert torch.equal(state.logits, torch.zeros(1, 4, 8, 8))
        for _ in range(2):
            seen = torch.cat([state.moving[0], state.logits.softmax(dim=1)], dim=1)
            hidden = network.refine(seen) + network.shortcut(seen)
            after = network.step(state)
            torch.testing.assert_close(after.logits, state.logits + network.difference(hidden))
            torch.testing.assert_close(after.moving[0], network.onward(hidden))
            state = after


def test_its_receptive_field_is_the_published_one():
    """5 + 4 t pixels; the defect that it is kept with."""
    network = build("trm_deepglobe", classes=2, width=4, t_max=3).eval().double()
    image = torch.randn(1, 3, 25, 25, dtype=torch.float64, requires_grad=True)
    network.t_max = 3
    for steps in (1, 3):
        state = network.start(image)
        for _ in range(steps):
            state = network.step(state)
        # float32 logits of a float64 network would round small influences off.
        (gradient,) = torch.autograd.grad(state.moving[1][0, :, 12, 12].square().sum(), image)
        rows = gradient[0].abs().sum(dim=(0, 2)).nonzero()
        assert int(rows.max() - rows.min()) + 1 == 5 + 4 * steps


def test_batch_norms_take_single_values():
    norms = [
        one for one in build("trm_deepglobe", classes=3, width=8).modules() if isinstance(one, torch.nn.BatchNorm2d)
    ]
    assert len(norms) == 4
    assert all(isinstance(one, SingleValueNorm) for one in norms)


def test_steps_computed_again_move_no_statistics_twice():
    networks = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        network = build("trm_deepglobe", classes=3, width=8, t_max=3)
        if checkpointed:
            network.checkpoint_gradients()
        network(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))).logits.square().mean().backward()
        networks.append(network)
    plain, again = networks
    for (name, one), other in zip(plain.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    for (name, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        assert one.grad is None or torch.equal(one.grad, other.grad), name


def test_it_stops_as_the_dense_refiner_does():
    network = build("trm_deepglobe", classes=3, width=8, t_max=4).eval()
    torch.nn.init.normal_(network.halting.last.weight, std=8)
    images = (
        torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(5))
        * torch.tensor([0.1, 1, 3, 9])[:, None, None, None]
    )
    with torch.no_grad():
        steps = network(images).find(Steps)
        threshold = float(steps.halting[0].sigmoid().median())
        rule = HaltingRule(threshold=threshold, first=1, last=4)
        found = refine(network, images, rule=rule)
    assert torch.equal(found.steps, rule.steps(steps.halting))
    assert len(set(found.steps.tolist())) > 1
    for tile, step in enumerate(found.steps.tolist()):
        torch.testing.assert_close(found.logits[tile], steps.logits[step - 1][tile], rtol=1e-4, atol=1e-5)


def test_only_what_makes_logits_and_the_halting_head_are_plain():
    names = build("trm_deepglobe", classes=3, width=8).plain_parameters()
    assert {name.partition(".")[0] for name in names} == {"difference", "halting"}
