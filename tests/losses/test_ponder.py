"""Ponder prices are their formulas, and can be learned from."""

import math

import pytest
import torch
from pydantic import ValidationError

from terrazzo.losses import Ponder
from terrazzo.losses.ponder import exit_log_probabilities

LOGITS = [[0.3, -1.0], [-0.5, 2.0], [1.5, 0.0]]
"""Three steps, two tiles."""


def _leaving(logits):
    """Return p_t of one sample by hand."""
    left, each = 1.0, []
    for logit in logits[:-1]:
        stop = 1 / (1 + math.exp(-logit))
        each.append(left * stop)
        left *= 1 - stop
    return [*each, left]


def _halting(requires_grad=False):
    return [torch.tensor(one, requires_grad=requires_grad) for one in LOGITS]


def test_what_is_left_goes_to_the_last_step():
    found = exit_log_probabilities(_halting()).exp()
    for tile in (0, 1):
        assert found[:, tile].tolist() == pytest.approx(_leaving([one[tile] for one in LOGITS]), rel=1e-5)
    torch.testing.assert_close(found.sum(0), torch.ones(2))


@pytest.mark.parametrize("chance", [0.2, 0.5, 0.9])
def test_kl_by_hand(chance):
    geometric = [chance * (1 - chance) ** step for step in range(3)]
    prior = [one / sum(geometric) for one in geometric]
    wanted = 0.0
    for tile in (0, 1):
        leaving = _leaving([one[tile] for one in LOGITS])
        wanted += sum(p * math.log(p / q) for p, q in zip(leaving, prior, strict=True)) / 2
    record = Ponder(kind="kl", beta=0.25, lambda_p=chance)
    assert record.measure(_halting(), torch.tensor([True, True])).item() == pytest.approx(0.25 * wanted, rel=1e-5)


def test_kl_of_the_prior_itself_is_0():
    """lambda_t of a geometric distribution that is cut off: p_t over what is left."""
    geometric = torch.tensor([0.2 * 0.8**step for step in range(4)])
    prior = geometric / geometric.sum()
    left = 1 - torch.cat((torch.zeros(1), prior.cumsum(0)[:-1]))
    halting = list(torch.logit((prior / left).clamp(1e-6, 1 - 1e-6))[:, None])
    assert Ponder(kind="kl", beta=1).measure(halting, torch.tensor([True])).item() == pytest.approx(0, abs=1e-6)


def test_expected_steps_by_hand():
    wanted = [sum((step + 1) * p for step, p in enumerate(_leaving([one[tile] for one in LOGITS]))) for tile in (0, 1)]
    record = Ponder(kind="expected_steps", rho=0.5)
    assert record.measure(_halting(), torch.tensor([True, True])).item() == pytest.approx(sum(wanted) / 4, rel=1e-5)
    assert record.measure(_halting(), torch.tensor([False, True])).item() == pytest.approx(wanted[1] / 2, rel=1e-5)


@pytest.mark.parametrize("kind", ["kl", "expected_steps"])
def test_the_price_can_be_learned_from(kind):
    """DeepGlobe-TRM's ponder term was a constant, so that its factor had no effect."""
    halting = _halting(requires_grad=True)
    Ponder(kind=kind).measure(halting, torch.tensor([True, True])).backward()
    assert all(bool(one.grad.all()) for one in halting[:-1])
    if kind == "expected_steps":
        assert all(bool((one.grad < 0).all()) for one in halting[:-1]), "stopping sooner must cost less"


def test_no_price_is_0():
    halting = _halting(requires_grad=True)
    value = Ponder().measure(halting, torch.tensor([True, True]))
    value.backward()
    assert value.item() == 0
    assert not any(bool(one.grad.any()) for one in halting)


@pytest.mark.parametrize("kind", ["kl", "expected_steps"])
def test_certain_logits_stay_finite(kind):
    halting = [torch.tensor([200.0, -200.0], requires_grad=True) for _ in range(5)]
    value = Ponder(kind=kind).measure(halting, torch.tensor([True, True]))
    value.backward()
    assert value.isfinite()
    assert all(bool(one.grad.isfinite().all()) for one in halting)


def test_cells_are_samples():
    halting = [torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(step)) for step in range(3)]
    counted = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(7)) < 0.5
    record = Ponder(kind="kl")
    flat = record.measure([one[counted] for one in halting], torch.ones(int(counted.sum()), dtype=torch.bool))
    torch.testing.assert_close(record.measure(halting, counted), flat)


@pytest.mark.parametrize("settings", [{"kind": "act"}, {"lambda_p": 0}, {"lambda_p": 1}, {"rho": -1}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        Ponder(**settings)
