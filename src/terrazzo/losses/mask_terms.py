"""How far the mask of a query is from that of a class: of every pair, or of pairs that belong together."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float32
from pydantic import Field
from torch.nn import functional

from terrazzo.losses.loss import NonNegative
from terrazzo.record import Record

__all__ = ["MaskTerm", "paired_dice", "pairwise_dice"]


class MaskTerm(Record):
    """Binary cross-entropy of mask logits, or its focal form, averaged over points.

    `focal`: a (1 - p)^gamma (-log p) inside the mask and (1 - a) p^gamma (-log(1 - p)) outside, a = `alpha`.

    Source: MaskFormer (Cheng et al., NeurIPS 2021): `focal`; Mask2Former (Cheng et al., CVPR 2022): `bce`. Focal: Lin
        et al., ICCV 2017, equation 5.
    """

    kind: Literal["bce", "focal"] = "bce"
    """Which."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Share of `focal` that pixels inside the mask have."""
    gamma: NonNegative = 2.0
    """Exponent of `focal`."""

    def pairwise(
        self, logits: Float32[torch.Tensor, "query point"], truth: Float32[torch.Tensor, "class point"]
    ) -> Float32[torch.Tensor, "query class"]:
        """Return the term of each query with each class."""
        inside, outside = self._sides(logits)
        return (inside @ truth.T + outside @ (1 - truth).T) / logits.shape[1]

    def paired(
        self, logits: Float32[torch.Tensor, "pair point"], truth: Float32[torch.Tensor, "pair point"]
    ) -> Float32[torch.Tensor, " pair"]:
        """Return the term of each pair."""
        inside, outside = self._sides(logits)
        return torch.where(truth > 0, inside, outside).mean(dim=1)

    def _sides(
        self, logits: Float32[torch.Tensor, "query point"]
    ) -> tuple[Float32[torch.Tensor, "query point"], Float32[torch.Tensor, "query point"]]:
        """Return what each point costs where it is inside the true mask, and where outside."""
        inside, outside = functional.softplus(-logits), functional.softplus(logits)
        if self.kind == "bce":
            return inside, outside
        probability = logits.sigmoid()
        return (
            self.alpha * (1 - probability).pow(self.gamma) * inside,
            (1 - self.alpha) * probability.pow(self.gamma) * outside,
        )


def pairwise_dice(
    logits: Float32[torch.Tensor, "query point"], truth: Float32[torch.Tensor, "class point"]
) -> Float32[torch.Tensor, "query class"]:
    """Return 1 - (2 S pg + 1) / (S p + S g + 1) of each query with each class, p the sigmoid and g the mask."""
    probability = logits.sigmoid()
    sums = probability.sum(dim=1)[:, None] + truth.sum(dim=1)[None]
    return 1 - (2 * probability @ truth.T + 1) / (sums + 1)


def paired_dice(
    logits: Float32[torch.Tensor, "pair point"], truth: Float32[torch.Tensor, "pair point"]
) -> Float32[torch.Tensor, " pair"]:
    """Return the same of each pair."""
    probability = logits.sigmoid()
    return 1 - (2 * (probability * truth).sum(dim=1) + 1) / (probability.sum(dim=1) + truth.sum(dim=1) + 1)
