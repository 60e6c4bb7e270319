"""The Lovász extension of the intersection over union."""

from typing import Literal

import torch
from jaxtyping import Bool, Float32

from terrazzo.losses.loss import Labels, Loss

__all__ = ["Lovasz"]


class Lovasz(Loss):
    """Lovász-softmax: the convex surrogate of 1 - IoU of each class, averaged over the classes present.

    With errors m = |1[label = c] - softmax_c| in falling order, the sum of m_i (J_i - J_(i-1)), where J_i is the
    Jaccard loss of calling the first i pixels wrong. Written out, a pixel of the class adds m_i / (G + B_i) and another
    one m_i (G - F_i) / ((G + B_i - 1) (G + B_i)): G pixels hold the class, F_i and B_i of the first i do and do not.
    That form has no difference of nearly equal numbers, which float32 would lose.

    Source: Berman et al., The Lovász-Softmax loss, CVPR 2018, equations 8, 9 and 11.
    Differs: `classes` is always "present", as in the authors' code by default; weights of classes move the mean. Which
        classes are present is asked of the whole batch, or of each image where `per_image`.
    """

    name: Literal["lovasz"] = "lovasz"
    """Lovász-softmax loss."""
    per_image: bool = False
    """Measure each image alone and average over those with a counted pixel; false takes the batch as one image."""

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted mean of the present classes' surrogates."""
        probability = torch.softmax(logits, dim=1)
        if not self.per_image:
            return _of_batch(probability, labels)
        each = [_of_batch(image[None], labels.of_image(number)) for number, image in enumerate(probability)]
        counting = labels.counted.flatten(1).any(dim=1).sum()
        return torch.stack(each).sum() / counting.clamp_min(1)


def _of_batch(probability: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
    counted, where = labels.counted.unsqueeze(1), labels.one_hot()
    errors = torch.where(counted, (where.float() - probability).abs(), 0.0).movedim(1, 0).flatten(1)
    # Pixels that do not count come last of all, where they move nothing.
    score = errors.detach() - 2.0 * (~counted).movedim(1, 0).flatten(1)
    slopes = _slopes(score, where.movedim(1, 0).flatten(1))
    return labels.mean_of_present((errors * slopes).sum(dim=1))


def _slopes(
    score: Float32[torch.Tensor, "class pixel"], where: Bool[torch.Tensor, "class pixel"]
) -> Float32[torch.Tensor, "class pixel"]:
    """Return J_i - J_(i-1) of each pixel, in the pixels' own order."""
    order = score.argsort(dim=1, descending=True, stable=True)
    hit = where.gather(1, order)
    # Whole numbers: sums of floats along an axis do not repeat on GPUs, and lose units beyond 2^24.
    found, other = hit.cumsum(dim=1), (~hit).cumsum(dim=1)
    held = hit.sum(dim=1, keepdim=True)
    union = (held + other).clamp_min(1).float()
    within = 1 / union
    outside = (held - found) / union / (held + other - 1).clamp_min(1)
    return torch.empty_like(score).scatter_(1, order, torch.where(hit, within, outside))
