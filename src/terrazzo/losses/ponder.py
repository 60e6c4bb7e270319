"""What a refiner pays for each further step, through its halting logits."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float32
from pydantic import Field
from torch.nn import functional

from terrazzo.losses.loss import NonNegative
from terrazzo.losses.parts import untouched
from terrazzo.record import Record

__all__ = ["Ponder", "exit_log_probabilities"]


class Ponder(Record):
    """A price of thinking, differentiable in the halting logits q.

    With l_t = sigmoid(q_t), a sample leaves at step t with p_t = l_t prod_(s<t) (1 - l_s); the last step takes what is
    left. `kl`: beta KL(p || prior), the prior being the geometric distribution of `lambda_p` cut off at the last step
    and divided by its sum. `expected_steps`: rho sum_t t p_t. Both are means over the samples that count.

    Source: Banino et al., PonderNet, 2021 (arXiv 2107.05407), equations 3 and 5: beta 0.01, lambda_p near 0.2.
    Differs: PonderNet weighs each step's loss by p_t; here every step is trained at the weights of `steps`, and halting
        learns beside it.
    """

    kind: Literal["none", "kl", "expected_steps"] = "none"
    """No price; the distance to a prior; or the expected number of steps, for halting that is too unsure of itself."""
    beta: NonNegative = 0.01
    """Factor of `kl`."""
    lambda_p: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Chance of leaving at each step in the prior of `kl`, whose mean before it is cut off is 1 / lambda_p steps."""
    rho: NonNegative = 0.001
    """Factor of `expected_steps`: the price of a step in units of the loss."""

    def measure(
        self, halting: Sequence[Float32[torch.Tensor, "batch *cell"]], counted: Bool[torch.Tensor, "batch *cell"]
    ) -> Float32[torch.Tensor, ""]:
        """Return the mean price over the samples that count; 0 where none does.

        Args:
            halting: Logits of each step, for tiles or for cells.
            counted: Which of them count.
        """
        nothing = untouched(*halting)
        if self.kind == "none":
            return nothing
        leaving = exit_log_probabilities(halting)
        steps = torch.arange(len(leaving), device=leaving.device).view(-1, *[1] * counted.ndim)
        if self.kind == "kl":
            prior = functional.log_softmax(steps * torch.log1p(torch.tensor(-self.lambda_p)).to(steps.device), dim=0)
            price = self.beta * (leaving.exp() * (leaving - prior)).sum(dim=0)
        else:
            price = self.rho * (leaving.exp() * (steps + 1)).sum(dim=0)
        return torch.where(counted, price, 0.0).sum() / counted.sum().clamp_min(1) + nothing


def exit_log_probabilities(
    halting: Sequence[Float32[torch.Tensor, "batch *cell"]],
) -> Float32[torch.Tensor, "step batch *cell"]:
    """Return log p_t: of leaving at each step, the last taking what is left; their exponentials add up to 1."""
    staying = torch.zeros_like(halting[0])
    each: list[torch.Tensor] = []
    for logits in halting[:-1]:
        each.append(staying + functional.logsigmoid(logits))
        staying = staying + functional.logsigmoid(-logits)
    return torch.stack([*each, staying])
