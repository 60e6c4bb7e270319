"""Optimisers: records of their settings that build torch's own, weight decay kept away from norms and biases."""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator

from terrazzo.record import Component, Table

__all__ = ["OPTIMIZERS", "Adam", "AdamW", "Optimizer", "Sgd", "parameter_groups", "set_rate"]

OPTIMIZERS = Table(
    "optimizers",
    {
        "adam": "terrazzo.training.optim:Adam",
        "adamw": "terrazzo.training.optim:AdamW",
        "sgd": "terrazzo.training.optim:Sgd",
    },
)
"""Optimisers by name; plug-ins join through the entry-point group `terrazzo.optimizers`."""

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Component):
    """Settings of an optimiser; `build` makes it."""

    lr: Positive = 1e-3
    """Base learning rate, reached after the schedule's warm-up."""
    weight_decay: NotNegative = 0.0
    """Weight decay."""
    decay_norms: bool = False
    """Apply weight decay to norms and biases too (every parameter with fewer than two axes)."""

    def build(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of a network's trainable parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no build")

    def groups(self, network: torch.nn.Module) -> list[dict[str, Any]]:
        """Return the parameter groups that this record's weight decay asks for."""
        return parameter_groups(network, self.weight_decay, decay_norms=self.decay_norms)


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2.
    """

    name: Literal["adamw"] = "adamw"
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay, times the learning rate at each update."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay of the running mean and of the running square of the gradients."""
    eps: Positive = 1e-8
    """Added to the denominator."""

    def build(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """Return torch's AdamW."""
        return torch.optim.AdamW(self.groups(network), lr=self.lr, betas=self.betas, eps=self.eps)


class Adam(Optimizer):
    """Adam; its weight decay is a squared penalty in the gradient.

    Source: Kingma and Ba 2015, Adam, algorithm 1.
    """

    name: Literal["adam"] = "adam"
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay of the running mean and of the running square of the gradients."""
    eps: Positive = 1e-8
    """Added to the denominator."""

    def build(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """Return torch's Adam."""
        return torch.optim.Adam(self.groups(network), lr=self.lr, betas=self.betas, eps=self.eps)


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    lr: Positive = 1e-2
    """Base learning rate, reached after the schedule's warm-up."""
    weight_decay: NotNegative = 1e-4
    """Squared penalty in the gradient."""
    momentum: Beta = 0.9
    """Share of the last update that is kept."""
    nesterov: bool = False
    """Look ahead along the momentum."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Sgd":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: true needs momentum above 0")
        return self

    def build(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """Return torch's SGD."""
        return torch.optim.SGD(self.groups(network), lr=self.lr, momentum=self.momentum, nesterov=self.nesterov)


def parameter_groups(
    network: torch.nn.Module, weight_decay: float, *, decay_norms: bool = False
) -> list[dict[str, Any]]:
    """Split a network's trainable parameters into those with weight decay and those without.

    Args:
        network: Its frozen parameters are left out.
        weight_decay: Of the first group.
        decay_norms: Give parameters with fewer than two axes (norms, biases) weight decay too.

    Returns:
        One or two groups for torch.optim, none of them empty; the order follows the network's.

    >>> groups = parameter_groups(torch.nn.Linear(2, 3), 0.1)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.1), (1, 0.0)]
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trainable if decay_norms or parameter.ndim >= 2]
    plain = [parameter for parameter in trainable if not decay_norms and parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group's learning rate to its base rate times a factor.

    Args:
        optimizer: The base rates are what it was built with.
        factor: From a schedule.

    Returns:
        The largest rate set.
    """
    rates = []
    for group in optimizer.param_groups:
        # torch's own key for the rate that schedules start from.
        base = group.setdefault("initial_lr", group["lr"])
        group["lr"] = base * factor
        rates.append(float(group["lr"]))
    return max(rates)
