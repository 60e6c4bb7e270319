"""Cross-entropy of each image's hardest pixels."""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float32
from pydantic import Field

from terrazzo.losses.loss import Labels, Loss, NonNegative
from terrazzo.losses.pixels import pixel_cross_entropy

__all__ = ["BootstrappedCrossEntropy"]

REFERENCE_AREA = 1024 * 1024
"""Pixels of the crop that the published `min_K` was chosen for."""


class BootstrappedCrossEntropy(Loss):
    """Mean cross-entropy of the hardest pixels of each image, averaged over the images.

    Of an image's counted pixels, ordered from the largest loss to the smallest: where the (K + 1)-th is above
    `loss_th`, those above `loss_th` count; else the K largest do. So at least K pixels count, and all that are wrong
    enough.

    Source: Wu et al., Bridging Category-level and Instance-level Semantic Image Segmentation, 2016; FC-HarDNet
        (Chao et al., ICCV 2019, `ptsemseg/loss/loss.py`): `min_K` 4096 and `loss_th` 0.3 for crops of 1024 x 1024.
    Differs: there, ignored pixels stay in the order with a loss of 0, so that they enter the mean of an image with
        fewer than K others, and an image without any counts as 0; here K is taken among counted pixels (all of them
        where they are fewer), and images without any leave the mean. There, K is fixed; here it shrinks with the area
        of the crop (1024 at 512 x 512, 256 at 256 x 256) unless `scale_with_area` is false. There, `size_average` is
        accepted and not used. There, class weights enter the order; here pixels are ordered and compared with `loss_th`
        without them, since it stands for a probability, and the mean divides by them. Pixels of equal loss at the K-th
        place share what places are left.
    """

    name: Literal["bootstrapped_ce"] = "bootstrapped_ce"
    """Cross-entropy of the hardest pixels."""
    min_K: Annotated[int, Field(ge=1)] = 4096  # noqa: N815 - the published name
    """Fewest pixels of an image that count, in a crop of 1024 x 1024."""
    scale_with_area: bool = True
    """Whether `min_K` shrinks and grows with the area of the crop; false takes it as it is."""
    loss_th: NonNegative = 0.3
    """Loss above which every pixel counts; 0.3 is a probability of exp(-0.3) = 0.74."""
    size_average: bool = True
    """Mean of an image's hardest pixels; false adds them up."""

    def hardest(self, *, height: int, width: int) -> int:
        """Return K for maps of a size.

        >>> BootstrappedCrossEntropy().hardest(height=512, width=512)
        1024
        """
        if not self.scale_with_area:
            return self.min_K
        return max(1, round(self.min_K * height * width / REFERENCE_AREA))

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the mean, over the images that hold a counted pixel, of that of their hardest pixels."""
        plain = pixel_cross_entropy(logits, labels.unweighted).flatten(1)
        counted = labels.counted.flatten(1)
        hardest = self.hardest(height=logits.shape[2], width=logits.shape[3])
        shares = _shares(plain.detach(), counted, hardest=hardest, threshold=self.loss_th)
        weights = labels.weights[labels.index.clamp_min(0)].flatten(1) * shares
        total = weights.sum(dim=1)
        each = (plain * weights).sum(dim=1) / torch.where(total > 0, total, 1.0)
        if not self.size_average:
            each = each * shares.sum(dim=1)
        return each.sum() / counted.any(dim=1).sum().clamp_min(1)


def _shares(
    plain: Float32[torch.Tensor, "batch pixel"],
    counted: Bool[torch.Tensor, "batch pixel"],
    *,
    hardest: int,
    threshold: float,
) -> Float32[torch.Tensor, "batch pixel"]:
    """Return how far each pixel counts: 1, 0, or between for those that share the last places."""
    score = plain.masked_fill(~counted, -torch.inf)
    pixels = score.shape[1]
    largest = score.topk(min(hardest + 1, pixels), dim=1).values
    last = largest[:, min(hardest, pixels) - 1, None]
    above, equal = score > last, (score == last) & counted
    places = (hardest - above.sum(dim=1, keepdim=True)) / equal.sum(dim=1, keepdim=True).clamp_min(1)
    fewest = above + equal * places.clamp(0, 1)
    if pixels <= hardest:
        return fewest
    return torch.where(largest[:, hardest, None] > threshold, (score > threshold).float(), fewest)
