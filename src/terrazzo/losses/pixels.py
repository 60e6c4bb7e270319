"""Losses that are means over pixels."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float32
from pydantic import Field

from terrazzo.losses.loss import UNCOUNTED, Labels, Loss, NonNegative

__all__ = ["CrossEntropy", "Focal", "pixel_cross_entropy"]


class CrossEntropy(Loss):
    """Mean cross-entropy of the counted pixels: -log softmax(logits)[label].

    Source: torch.nn.CrossEntropyLoss, with `ignore_index`, `weight` and `label_smoothing`.
    Differs: a batch without a counted pixel gives 0 where torch gives NaN.
    """

    name: Literal["ce"] = "ce"
    """Cross-entropy."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a label that is spread evenly over all classes."""

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted mean of the pixels' cross-entropies."""
        return labels.mean(pixel_cross_entropy(logits, labels, self.label_smoothing))


class Focal(Loss):
    """Cross-entropy that turns from what is already right: -(1 - p)^gamma log p, p the softmax of the label's class.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, equation 5, over a softmax as in
        GLNet (Chen et al., CVPR 2019), gamma 3 there.
    Differs: segmentation_models_pytorch's multiclass focal loss is one sigmoid a class, not this one; the mean divides
        by the class weights of the counted pixels, as cross-entropy does, and they take the place of the paper's alpha.
    """

    name: Literal["focal"] = "focal"
    """Focal loss over a softmax."""
    gamma: NonNegative = 2.0
    """Strength of the turn; 0 is cross-entropy."""

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted mean of the pixels' focal losses."""
        plain = pixel_cross_entropy(logits, labels.unweighted)
        # 1 - p by expm1 keeps its digits near 0; the bound keeps the slope of a power below 1 finite there.
        doubt = (-torch.expm1(-plain)).clamp_min(torch.finfo(torch.float32).tiny)
        return labels.mean(doubt.pow(self.gamma) * plain * labels.weights[labels.index.clamp_min(0)])


def pixel_cross_entropy(
    logits: Float32[torch.Tensor, "batch class y x"], labels: Labels, label_smoothing: float = 0.0
) -> Float32[torch.Tensor, "batch y x"]:
    """Return each pixel's cross-entropy, weighted by class; 0 where the pixel does not count."""
    flat, index = logits, labels.index
    if logits.is_cuda:
        # Only the kernel of matrices is deterministic there; the one of images refuses in deterministic mode.
        flat, index = logits.movedim(1, -1).flatten(0, 2), labels.index.flatten()
    each = torch.nn.functional.cross_entropy(
        flat,
        index,
        weight=labels.weights,
        ignore_index=UNCOUNTED,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return each.reshape(labels.index.shape)
