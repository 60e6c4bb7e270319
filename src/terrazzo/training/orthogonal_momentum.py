"""The optimiser behind `muon`: orthogonal momentum for groups of matrices, AdamW for the other groups."""

from collections.abc import Callable, Iterable
from typing import Any, Literal, overload

import torch
from jaxtyping import BFloat16, Float
from torch.optim.adamw import adamw

__all__ = ["OrthogonalMomentum", "orthogonal"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the Newton-Schulz iteration, as published."""
EPSILON = 1e-7
"""Smallest norm that an update is divided by."""


class OrthogonalMomentum(torch.optim.Optimizer):
    """Muon and AdamW side by side in the groups of one optimiser.

    Matrices of one shape are made orthogonal together, which saves most of the small kernels that a network of many
    layers would start.

    Source: as `terrazzo.training.muon.Muon`; torch.optim.Muon computes the same for single matrices.

    Args:
        groups: Parameter groups, each with `lr` and `weight_decay`; `matrices` says whose they are. Those of Muon hold
            `momentum`, `nesterov`, `adjust`, `ns_steps` and `transposed` (rows are inputs, columns outputs), those of
            AdamW `betas` and `eps`.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient.

        Args:
            closure: Computes the loss and the gradients anew.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["matrices"]:
                self._move_matrices(parameters, group)
            elif parameters:
                self._move_rest(parameters, group)
        return loss

    def _move_matrices(self, parameters: list[torch.nn.Parameter], group: dict[str, Any]) -> None:
        alike: dict[tuple[int, int], list[torch.nn.Parameter]] = {}
        for parameter in parameters:
            alike.setdefault((parameter.shape[0], parameter[0].numel()), []).append(parameter)
        for shape, members in alike.items():
            updates = torch.stack([self._update(parameter, group).reshape(shape) for parameter in members])
            moved = orthogonal(updates, group["ns_steps"])
            rows, columns = shape[::-1] if group["transposed"] else shape
            rate = group["lr"] * _scale(rows, columns, group["adjust"])
            for parameter, update in zip(members, moved, strict=True):
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                parameter.add_(update.reshape(parameter.shape), alpha=-rate)

    def _update(self, parameter: torch.nn.Parameter, group: dict[str, Any]) -> torch.Tensor:
        """Take the gradient into the momentum; return what is to be made orthogonal."""
        gradient, state = parameter.grad, self.state[parameter]
        if gradient is None:
            raise ValueError("a parameter without gradient has no update")
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        momentum: torch.Tensor = state["momentum_buffer"].lerp_(gradient, 1.0 - group["momentum"])
        return gradient.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum

    def _move_rest(self, parameters: list[torch.nn.Parameter], group: dict[str, Any]) -> None:
        for parameter in parameters:
            state = self.state[parameter]
            if "step" not in state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            list(parameters),
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def orthogonal(
    matrices: Float[torch.Tensor, "matrix row column"], steps: int
) -> BFloat16[torch.Tensor, "matrix row column"]:
    """Return matrices with singular values near 1 (0.7 to 1.2) in the place of their own, by Newton-Schulz steps.

    Source: Jordan et al. 2024, Muon, the quintic iteration.

    Args:
        matrices: Of one shape.
        steps: 5 are usual.
    """
    first, second, third = COEFFICIENTS
    found = matrices.to(torch.bfloat16)
    tall = found.shape[1] > found.shape[2]
    found = found.mT if tall else found
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=EPSILON)
    for _ in range(steps):
        gram = found @ found.mT
        both = torch.baddbmm(gram, gram, gram, beta=second, alpha=third)
        found = torch.baddbmm(found, both, found, beta=first)
    return found.mT if tall else found


def _scale(rows: int, columns: int, adjust: Literal["match_rms_adamw", "original"]) -> float:
    """Return what an orthogonal update is multiplied by, beside the rate."""
    if adjust == "original":
        return float(max(1.0, rows / columns) ** 0.5)
    return float(0.2 * max(rows, columns) ** 0.5)
