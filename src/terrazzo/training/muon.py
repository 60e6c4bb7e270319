"""Muon for the matrices of hidden layers, AdamW for all the rest, in one optimiser."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch.nn.modules.conv import _ConvNd

from terrazzo.models.architecture import Network
from terrazzo.training.optim import Beta, NotNegative, Optimizer, Positive
from terrazzo.training.orthogonal_momentum import OrthogonalMomentum
from terrazzo.training.rates import parameter_groups

__all__ = ["Muon", "reasons"]

SMALLEST = 4
"""A matrix with fewer rows or columns has next to nothing to make orthogonal."""


class Muon(Optimizer):
    """Momentum made orthogonal, for matrices of hidden layers; AdamW for everything else.

    A convolution counts as the matrix of its filters, output channels times (input channels times kernel). Biases,
    norms, scales, embeddings, grouped convolutions, convolutions that read the image, and what the network names by
    `plain_parameters` (classifiers, queries, halting heads) are AdamW's; training begins by saying how many are whose.
    Both halves are groups of one optimiser: gradients are cleared, scaled, clipped and scheduled alike.

    Source: Jordan et al. 2024, Muon, github.com/KellerJordan/Muon; Liu et al. 2025, Muon is scalable for LLM training
    (arXiv 2502.16982), equation 4, for `match_rms_adamw`.
    Differs: momentum is a running mean (as in torch and timm), which the normalisation makes the same; `original`
    scales a convolution by its flattened shape, not by its kernel, and a transposed one by outputs over inputs.
    """

    name: Literal["muon"] = "muon"
    lr: Positive = 1e-3
    """Base learning rate of the matrices; with `adjust: original` about 0.02."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay of both halves, times their learning rates at each update."""
    momentum: Beta = 0.95
    """Share of the running mean of the gradients that is kept."""
    nesterov: bool = True
    """Look ahead along the momentum."""
    adjust: Literal["match_rms_adamw", "original"] = "match_rms_adamw"
    """Scale of an update by its matrix of r rows and c columns: 0.2 * sqrt(max(r, c)), as large as AdamW's, or
    sqrt(max(1, r / c))."""
    ns_steps: Annotated[int, Field(ge=1, le=20)] = 5
    """Newton-Schulz steps, in bfloat16."""
    adamw_lr: Positive | None = None
    """Base learning rate of AdamW's half; null takes `lr`."""
    adamw_betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay of AdamW's running mean and running square of the gradients."""
    adamw_eps: Positive = 1e-8
    """Added to AdamW's denominator."""

    def build(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser, its groups divided.

        Raises:
            ConfigError: `rates` or `layer_decay` name what the network does not have, or nothing is left to train.
        """
        parameters, factors = self.trained(network)
        plain = reasons(network)
        outputs_last = _outputs_last(network)
        groups = []
        for transposed in (False, True):
            matrices = {
                name: parameter
                for name, parameter in parameters.items()
                if name not in plain and (name in outputs_last) == transposed
            }
            settings: dict[str, object] = {"matrices": True, "transposed": transposed, "momentum": self.momentum}
            settings |= {"nesterov": self.nesterov, "adjust": self.adjust, "ns_steps": self.ns_steps}
            groups += self._part(matrices, factors, lr=self.lr, settings=settings)
        rest = {name: parameter for name, parameter in parameters.items() if name in plain}
        settings = {"matrices": False, "betas": self.adamw_betas, "eps": self.adamw_eps}
        groups += self._part(rest, factors, lr=self.adamw_lr or self.lr, settings=settings)
        return OrthogonalMomentum(groups)

    def explain(self, network: torch.nn.Module) -> str:
        """Say which parameters are whose: numbers and an example each."""
        plain = reasons(network)
        trained = {name: value for name, value in network.named_parameters() if value.requires_grad}
        halves: dict[str, list[str]] = {}
        for name in trained:
            halves.setdefault(plain.get(name, ""), []).append(name)
        matrices = halves.pop("", [])
        parts = [f"Muon moves {_counted(matrices, trained, 'matrix', 'matrices')}"]
        parts += [f"AdamW {_counted(names, trained, 'tensor', 'tensors')}: {why}" for why, names in halves.items()]
        rates = super().explain(network)
        return "; ".join([*parts, rates] if rates else parts)

    def _part(
        self,
        parameters: Mapping[str, torch.nn.Parameter],
        factors: Mapping[str, float],
        *,
        lr: float,
        settings: Mapping[str, object],
    ) -> list[dict[str, Any]]:
        groups = parameter_groups(
            parameters, lr=lr, weight_decay=self.weight_decay, factors=factors, decay_norms=self.decay_norms
        )
        return [group | dict(settings) for group in groups]


def reasons(network: torch.nn.Module) -> dict[str, str]:
    """Return why each parameter that is AdamW's is so, by name, in the network's order; all others are Muon's.

    >>> reasons(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 8, 3)))
    {'0.weight': 'reads the image', '0.bias': 'fewer than two axes', '1.bias': 'fewer than two axes'}
    """
    named = network.plain_parameters() if isinstance(network, Network) else frozenset()
    owners: dict[str, torch.nn.Module] = {}
    for prefix, module in network.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            owners[f"{prefix}.{name}" if prefix else name] = module
    bands = next((module.in_channels for module in network.modules() if isinstance(module, _ConvNd)), None)
    found = {}
    for name, parameter in network.named_parameters():
        reason = _plain(parameter, owners[name], bands)
        if not reason and name in named:
            reason = "classifier, query or halting"
        if reason:
            found[name] = reason
    return found


def _outputs_last(network: torch.nn.Module) -> set[str]:
    """Return the names of weights whose first axis is their inputs: those of transposed convolutions."""
    modules = {name: module for name, module in network.named_modules() if isinstance(module, _ConvNd)}
    return {f"{name}.weight" if name else "weight" for name, module in modules.items() if module.transposed}


def _plain(parameter: torch.nn.Parameter, owner: torch.nn.Module, bands: int | None) -> str:
    """Return why a parameter is no matrix of a hidden layer; "" where it is one."""
    if parameter.ndim < 2:
        return "fewer than two axes"
    if not isinstance(owner, torch.nn.Linear | _ConvNd | torch.nn.MultiheadAttention):
        return "embedding or scale"
    if isinstance(owner, _ConvNd):
        if owner.groups > 1:
            # Each group sees other channels: its filters are no rows of one matrix.
            return "grouped convolution"
        if owner.in_channels == bands:
            return "reads the image"
    rows, columns = parameter.shape[0], parameter[0].numel()
    return "too narrow" if min(rows, columns) < SMALLEST else ""


def _counted(names: list[str], parameters: Mapping[str, torch.nn.Parameter], one: str, several: str) -> str:
    values = sum(parameters[name].numel() for name in names)
    example = f", such as {names[0]}" if names else ""
    return f"{len(names):,} {one if len(names) == 1 else several} ({values:,} values{example})"
