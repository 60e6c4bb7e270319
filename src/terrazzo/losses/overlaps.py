"""Losses that compare the area of each class, predicted and labelled, over the whole batch."""

from typing import Literal

import torch
from jaxtyping import Float32

from terrazzo.losses.loss import UNCOUNTED, Labels, Loss, NonNegative, Positive

__all__ = ["Dice", "Jaccard", "class_overlaps"]


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


def class_overlaps(
    logits: Float32[torch.Tensor, "batch class y x"], labels: Labels
) -> tuple[Float32[torch.Tensor, " class"], Float32[torch.Tensor, " class"], Float32[torch.Tensor, " class"]]:
    """Return, for each class and over the counted pixels, the sums of p g, of p and of g (p softmax, g label)."""
    axes = (0, 2, 3)
    counted = (labels.index != UNCOUNTED).unsqueeze(1)
    where = labels.one_hot()
    probability = torch.where(counted, torch.softmax(logits, dim=1), 0.0)
    shared = torch.where(where, probability, 0.0).sum(axes)
    return shared, probability.sum(axes), where.sum(axes).float()
