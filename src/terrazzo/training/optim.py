"""Optimisers: records of their settings that build torch's own, weight decay kept away from norms and biases."""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator

from terrazzo.errors import ConfigError
from terrazzo.record import Component, Table
from terrazzo.training.rates import LayerDecay, parameter_groups, rate_factors

__all__ = ["OPTIMIZERS", "Adam", "AdamW", "Optimizer", "Sgd"]

OPTIMIZERS = Table(
    "optimizers",
    {
        "adam": "terrazzo.training.optim:Adam",
        "adamw": "terrazzo.training.optim:AdamW",
        "muon": "terrazzo.training.muon:Muon",
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

    rates: dict[Annotated[str, Field(min_length=1)], NotNegative] = Field(default_factory=dict)
    """Factors of the learning rate by the beginning of parameter names, such as `{model.encoder: 0.1}`; the longest
    that fits counts, and 0 freezes."""
    layer_decay: LayerDecay | None = None
    """Rates that fall with the depth of a backbone's blocks; null for none."""

    def build(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of a network's trainable parameters, after freezing those whose rate is 0.

        Raises:
            ConfigError: `rates` or `layer_decay` name what the network does not have, or nothing is left to train.
        """
        raise NotImplementedError(f"{type(self).__name__} has no build")

    def explain(self, network: torch.nn.Module) -> str:
        """Return what a reader should know of how this network's parameters are moved; "" where nothing is special.

        Args:
            network: After `build`.
        """
        if not self.rates and self.layer_decay is None:
            return ""
        factors = rate_factors(network, self.rates, self.layer_decay).values()
        frozen = sum(not parameter.requires_grad for parameter in network.parameters())
        return f"learning rates by name from x{min(factors):.3g} to x{max(factors):.3g}, {frozen} tensors frozen"

    def groups(self, network: torch.nn.Module) -> list[dict[str, Any]]:
        """Return parameter groups of all that this record trains, after freezing what its rates freeze."""
        parameters, factors = self.trained(network)
        return parameter_groups(
            parameters, lr=self.lr, weight_decay=self.weight_decay, factors=factors, decay_norms=self.decay_norms
        )

    def trained(self, network: torch.nn.Module) -> tuple[dict[str, torch.nn.Parameter], dict[str, float]]:
        """Freeze the parameters whose rate is 0; return the others, and the factors of their rates, by name.

        Raises:
            ConfigError: `rates` or `layer_decay` name what the network does not have, or nothing is left to train.
        """
        factors = rate_factors(network, self.rates, self.layer_decay)
        parameters = {name: parameter for name, parameter in network.named_parameters() if name in factors}
        for name, factor in factors.items():
            if factor == 0:
                # Without a gradient it costs nothing, is not averaged, and momentum or decay cannot move it.
                parameters.pop(name).requires_grad_(False)
        if not parameters:
            raise ConfigError("Nothing is left to train: the network is frozen, or optimizer.rates freezes all of it.")
        return parameters, {name: factors[name] for name in parameters}


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
