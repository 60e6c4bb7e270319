"""Losses that compare the area of each class, predicted and labelled, over the whole batch."""

from typing import Literal

import torch
from jaxtyping import Float32
from pydantic import model_validator

from terrazzo.losses.loss import Labels, Loss, NonNegative, Positive

__all__ = ["Dice", "Jaccard", "Tversky", "class_overlaps"]


class Dice(Loss):
    """One minus the Dice coefficient of each class over the whole batch, averaged over the classes present.

    1 - (2 S pg + smooth) / (S p + S g + smooth), p the softmax and g the label, summed over the counted pixels.

    Source: Milletari et al., V-Net, 3DV 2016, with p in place of p squared, as in segmentation_models_pytorch.
    Differs: there, a class absent from the labels stays in the mean as a perfect 0, and `smooth` counts twice.
    """

    name: Literal["dice"] = "dice"
    """Dice loss."""
    smooth: NonNegative = 0.0
    """Pixels added above and below the line; larger values calm classes of few pixels."""
    eps: Positive = 1e-7
    """Smallest divisor."""

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted mean over the classes present of 1 - Dice."""
        shared, predicted, labelled = class_overlaps(logits, labels)
        score = (2 * shared + self.smooth) / (predicted + labelled + self.smooth).clamp_min(self.eps)
        return labels.mean_of_present(1 - score)


class Jaccard(Loss):
    """One minus the soft intersection over union of each class over the whole batch, averaged over the classes present.

    1 - (S pg + smooth) / (S p + S g - S pg + smooth), p the softmax and g the label, summed over the counted pixels.

    Source: Rahman and Wang, Optimizing Intersection-Over-Union in Deep Neural Networks, ISVC 2016, equation 3.
    Differs: in segmentation_models_pytorch a class absent from the labels stays in the mean as a perfect 0.
    """

    name: Literal["jaccard"] = "jaccard"
    """Jaccard loss."""
    smooth: NonNegative = 0.0
    """Pixels added above and below the line; larger values calm classes of few pixels."""
    eps: Positive = 1e-7
    """Smallest divisor."""

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted mean over the classes present of 1 - soft IoU."""
        shared, predicted, labelled = class_overlaps(logits, labels)
        union = predicted + labelled - shared
        score = (shared + self.smooth) / (union + self.smooth).clamp_min(self.eps)
        return labels.mean_of_present(1 - score)


class Tversky(Loss):
    """Dice with a price of its own for each kind of error, over the whole batch, averaged over the classes present.

    (1 - T)^gamma, T = (TP + smooth) / (TP + alpha FP + beta FN + smooth), with TP = S pg, FP = S p(1 - g) and
    FN = S (1 - p)g, p the softmax and g the label, summed over the counted pixels. `alpha` is the price of false
    positives and `beta` that of false negatives; both 0.5 make it Dice, both 1 Jaccard.

    Source: Salehi et al., Tversky loss function, 2017 (arXiv 1706.05721): alpha 0.3, beta 0.7. The exponent: Abraham
        and Khan, A Novel Focal Tversky Loss, ISBI 2019.
    Differs: Abraham and Khan write alpha for false negatives and beta for false positives, and 1/gamma for the
        exponent, 4/3 there, which is gamma 0.75 here. In segmentation_models_pytorch a class absent from the labels
        stays in the mean as a perfect 0.
    """

    name: Literal["tversky"] = "tversky"
    """Tversky loss, focal where `gamma` is not 1."""
    alpha: NonNegative = 0.3
    """Price of false positives."""
    beta: NonNegative = 0.7
    """Price of false negatives: above `alpha`, missing a class costs more than seeing it where it is not."""
    gamma: Positive = 1.0
    """Exponent of 1 - T of each class: below 1 small errors count more, above 1 large ones."""
    smooth: NonNegative = 0.0
    """Pixels added above and below the line; larger values calm classes of few pixels."""
    eps: Positive = 1e-7
    """Smallest divisor, and smallest 1 - T, where the slope of a power below 1 has no bound."""

    @model_validator(mode="after")
    def _prices_something(self) -> "Tversky":
        if not self.alpha and not self.beta:
            raise ValueError("alpha and beta are both 0; one kind of error must have a price")
        return self

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted mean over the classes present of (1 - T)^gamma."""
        shared, predicted, labelled = class_overlaps(logits, labels)
        errors = self.alpha * (predicted - shared) + self.beta * (labelled - shared)
        missing = errors / (shared + errors + self.smooth).clamp_min(self.eps)
        if self.gamma != 1:
            missing = missing.clamp_min(self.eps).pow(self.gamma)
        return labels.mean_of_present(missing)


def class_overlaps(
    logits: Float32[torch.Tensor, "batch class y x"], labels: Labels
) -> tuple[Float32[torch.Tensor, " class"], Float32[torch.Tensor, " class"], Float32[torch.Tensor, " class"]]:
    """Return, for each class and over the counted pixels, the sums of p g, of p and of g (p softmax, g label)."""
    axes = (0, 2, 3)
    counted = labels.counted.unsqueeze(1)
    where = labels.one_hot()
    probability = torch.where(counted, torch.softmax(logits, dim=1), 0.0)
    shared = torch.where(where, probability, 0.0).sum(axes)
    return shared, probability.sum(axes), where.sum(axes).float()
