import pytest
import torch
from pydantic import ValidationError

from terrazzo.training.optim import OPTIMIZERS, Adam, AdamW, Optimizer, Sgd


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))


def test_table_holds_every_optimizer():
    assert OPTIMIZERS.names() == ["adam", "adamw", "muon", "sgd"]
    assert all(issubclass(OPTIMIZERS.find(name), Optimizer) for name in OPTIMIZERS)


def test_norms_and_biases_are_not_decayed():
    built = AdamW(weight_decay=0.3).build(network())
    shapes = [[parameter.ndim for parameter in group["params"]] for group in built.param_groups]
    assert shapes == [[4, 2], [1, 1, 1, 1]]
    assert [group["weight_decay"] for group in built.param_groups] == [0.3, 0.0]


def test_decay_norms_decays_everything():
    built = AdamW(weight_decay=0.3, decay_norms=True).build(network())
    assert [(len(group["params"]), group["weight_decay"]) for group in built.param_groups] == [(6, 0.3)]


def test_frozen_parameters_are_left_out():
    frozen = network()
    frozen[0].requires_grad_(False)
    assert sum(len(group["params"]) for group in AdamW().build(frozen).param_groups) == 4
    assert AdamW().explain(frozen) == ""


def test_every_setting_reaches_torch():
    adamw = AdamW(lr=0.2, betas=(0.5, 0.6), eps=1e-4).build(network())
    assert isinstance(adamw, torch.optim.AdamW)
    assert (adamw.defaults["lr"], adamw.defaults["betas"], adamw.defaults["eps"]) == (0.2, (0.5, 0.6), 1e-4)
    adam = Adam(lr=0.3, betas=(0.1, 0.2), eps=1e-3, weight_decay=0.5).build(network())
    assert isinstance(adam, torch.optim.Adam)
    assert (adam.defaults["lr"], adam.defaults["betas"], adam.defaults["eps"]) == (0.3, (0.1, 0.2), 1e-3)
    assert adam.param_groups[0]["weight_decay"] == 0.5
    sgd = Sgd(lr=0.4, momentum=0.7, nesterov=True, weight_decay=0.6).build(network())
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["lr"], sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.4, 0.7, True)
    assert sgd.param_groups[0]["weight_decay"] == 0.6


def test_sgd_moves_against_the_gradient():
    line = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(line.weight, 1.0)
    optimizer = Sgd(lr=0.5, momentum=0.0, weight_decay=0.0).build(line)
    line(torch.tensor([[2.0]])).sum().backward()
    optimizer.step()
    assert line.weight.item() == 0.0


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValidationError, match="nesterov"):
        Sgd(momentum=0, nesterov=True)


@pytest.mark.parametrize("settings", [{"lr": 0}, {"weight_decay": -1}, {"betas": (0.9, 1.0)}, {"speed": 1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValidationError):
        AdamW.model_validate(settings)


def test_the_base_builds_nothing():
    with pytest.raises(NotImplementedError):
        Optimizer(name="none").build(network())
