"""What a network answers: logits at the input's size, and typed records of anything it says beside them."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float

__all__ = ["Auxiliary", "DeepSupervision", "Output", "Steps"]


@dataclass(frozen=True)
class DeepSupervision:
    """Coarser answers of the same image, finest first.

    Attributes:
        logits: Each `batch class y x` at its own stride.
    """

    logits: tuple[Float[torch.Tensor, "batch class _y _x"], ...]


@dataclass(frozen=True)
class Steps:
    """The answers of a model that refines in steps.

    Attributes:
        logits: One `batch class y x` a step, first to last, each at the model's own stride.
        halting: One `batch` (a tile) or `batch y x` (a pixel) halting logit a step.
    """

    logits: tuple[Float[torch.Tensor, "batch class _y _x"], ...]
    halting: tuple[Float[torch.Tensor, "batch *_"], ...]


Auxiliary = DeepSupervision | Steps


@dataclass(frozen=True)
class Output:
    """A network's answer.

    Attributes:
        logits: Unnormalised log-probabilities at the size of the input.
        auxiliary: At most one record of each kind.
    """

    logits: Float[torch.Tensor, "batch class y x"]
    auxiliary: tuple[Auxiliary, ...] = field(default=())
