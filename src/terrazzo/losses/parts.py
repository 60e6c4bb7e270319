"""What losses that hold other losses, or read more than logits, have in common."""

from typing import Annotated

import torch
from jaxtyping import Float32
from pydantic import AfterValidator

from terrazzo.errors import ModelError
from terrazzo.losses.loss import LOSSES, Labels, Loss, resolved_weights
from terrazzo.models.output import Kind, Output
from terrazzo.record import family

__all__ = ["InnerLoss", "check_cells", "labels_of_part", "required", "untouched"]


def labels_of_part(part: Loss, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Labels:
    """Return what a part of a larger loss compares with: its own class weights go before the larger loss's."""
    if part.class_weights is None:
        return labels
    return Labels(labels.index, resolved_weights(part, logits, None))


def of_logits_alone(loss: Loss) -> Loss:
    """Let through, as the inner loss of another, what reads logits alone.

    Raises:
        ValueError: It reads auxiliary records; a field's validator reports it.
    """
    if loss.reads:
        kinds = " and ".join(sorted(kind.__name__ for kind in loss.reads))
        raise ValueError(f"{loss.name} reads {kinds}; the loss within another must read logits alone, such as ce")
    return loss


InnerLoss = Annotated[Loss, family(LOSSES), AfterValidator(of_logits_alone)]
"""The loss within another one: any that reads logits alone."""


def required(output: Output, kind: type[Kind], loss: Loss) -> Kind:
    """Return the record of a kind.

    Raises:
        ModelError: The network answers none.
    """
    record = output.find(kind)
    if record is None:
        raise ModelError(
            f"loss {loss.name} reads {kind.__name__}, which the network does not answer; choose a loss that fits it."
        )
    return record


def check_cells(name: str, cells: Float32[torch.Tensor, "*_ y x"], labels: Labels, stride: int) -> None:
    """Check that a map of a stride has the cells of its image.

    Raises:
        ModelError: It has others.
    """
    wanted = tuple(-(-size // stride) for size in labels.index.shape[1:])
    if tuple(cells.shape[-2:]) != wanted:
        raise ModelError(
            f"loss {name}: a map of stride {stride} for images of {tuple(labels.index.shape[1:])} pixels must have "
            f"{wanted} cells, not {tuple(cells.shape[-2:])}; the network must cut off what padding added."
        )


def untouched(*tensors: Float32[torch.Tensor, "..."]) -> Float32[torch.Tensor, ""]:
    """Return 0 with a gradient of exactly 0 for each tensor, whatever it holds: parts that this batch does not train.

    Processes that train together wait for a gradient of every parameter.
    """
    nothing = torch.zeros((), device=tensors[0].device)
    for tensor in tensors:
        nothing = nothing + torch.where(torch.zeros_like(tensor, dtype=torch.bool), tensor, 0.0).sum()
    return nothing
