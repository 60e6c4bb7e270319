"""Arithmetic of the network: weights in the reduced type once instead of in every pass, and how far answers differ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float

from terrazzo.scene.settings import Blend

__all__ = ["DTYPES", "Difference", "Precision", "compare", "reduce_weights"]

Precision = Literal["float32", "bfloat16", "float16"]

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

# Autocast gives all of these their weights in the reduced type in every pass.
_REDUCED = (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)


@dataclass(frozen=True)
class Difference:
    """How far answers differ from those in float32.

    Attributes:
        agreement: Share of pixels of the same class, 0..1.
        largest: Largest difference of a probability, 0..1; 1 where an answer is no number.
    """

    agreement: float
    largest: float


def compare(
    answer: Float[torch.Tensor, "batch class y x"],
    exact: Float[torch.Tensor, "batch class y x"],
    valid: Bool[torch.Tensor, "batch y x"],
    *,
    blend: Blend,
) -> Difference:
    """Compare answers where the scene was measured.

    Args:
        answer: In the precision that is in question.
        exact: In float32.
        valid: Pixels that count; where none does, all do.
        blend: Whether both are probabilities or logits.
    """
    if not bool(answer.isfinite().all()):
        return Difference(agreement=0.0, largest=1.0)
    counts = valid if bool(valid.any()) else torch.ones_like(valid)
    same = answer.max(dim=1).indices == exact.max(dim=1).indices
    if blend == "logits":
        answer, exact = answer.softmax(dim=1), exact.softmax(dim=1)
    apart = (answer - exact).abs().amax(dim=1)
    return Difference(agreement=float(same[counts].double().mean()), largest=float(apart[counts].max()))


def reduce_weights(
    network: torch.nn.Module, dtype: torch.dtype, answer: Callable[[], tuple[torch.Tensor, ...]]
) -> bool:
    """Keep the weights of convolutions and linear layers in the reduced type, where no bit of the answer moves.

    Autocast converts them in every pass; a network that uses such a weight in full precision somewhere
    stays as it was.

    Args:
        network: In evaluation mode; changed in place.
        dtype: The reduced type.
        answer: Runs the network under autocast on an image.

    Returns:
        Whether the weights were converted.
    """
    layers = [module for module in network.modules() if type(module) in _REDUCED]
    parameters = {id(one): one for layer in layers for one in layer.parameters(recurse=False)}.values()
    kept = [(one, one.data) for one in parameters if one.dtype == torch.float32]
    if not kept:
        return False
    before = answer()
    for one, data in kept:
        one.data = data.to(dtype)
    try:
        after = answer()
    except RuntimeError:
        # Some part computes in float32 and met a weight that is not.
        same = False
    else:
        same = len(before) == len(after) and all(map(torch.equal, before, after))
    if not same:
        for one, data in kept:
            one.data = data
    return same
