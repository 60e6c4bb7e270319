"""What a refiner's halting logits are taught: where further steps would not help."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float32
from pydantic import Field
from torch.nn import functional

from terrazzo.losses.loss import Labels, NonNegative
from terrazzo.losses.parts import untouched
from terrazzo.losses.pixels import pixel_cross_entropy
from terrazzo.record import Record

__all__ = ["Halting", "halting_targets"]

Maps = Sequence[Float32[torch.Tensor, "batch class y x"]]


class Halting(Record):
    """Binary cross-entropy of the halting logits against targets from the same forward pass, without gradient.

    A sample is a tile (Q is a mean over its counted pixels) or a cell of the model's stride (Q is the cell's own):
    whichever the network's halting logits are for. `remaining_gain`: further steps gain at most `kappa`. Of a cell,
    with `accuracy`, that is 1 - [wrong at t and right at some s > t]. `consistency`: at most a share `kappa` of the
    pixels has another class at the last step; a cell has the same. The mean runs over samples, then over steps; the
    last step, where nothing is left to decide, has no target.

    `last_gain` is for comparison with DeepGlobe-TRM alone: the tile's mIoU grew by at most `kappa` (0.002 there) since
    the step before, 0 before the first, so that it looks back, and growing worse reads "stop"; cells take their tile's.

    Source: Jazbec et al., Fast yet Safe, NeurIPS 2024: the mean of what is left to gain is the performance risk of an
        early exit, that of changed answers its consistency risk. The weight 0.5: TRM (Jolicoeur-Martineau, 2025).
    Differs: TRM's target is an answer right in every pixel, which never comes in segmentation. DeepGlobe-TRM has one
        target for a whole batch and adds up its steps.
    """

    target: Literal["remaining_gain", "consistency", "last_gain"] = "remaining_gain"
    """What "stop" means."""
    quality: Literal["accuracy", "nll"] = "accuracy"
    """Q of `remaining_gain`: accuracy, or 1 - negative log-likelihood, which is smoother."""
    against: Literal["best", "last"] = "best"
    """What `remaining_gain` compares a step with: the best of the later ones, or the last."""
    kappa: Annotated[float, Field(gt=0, lt=1)] = 0.005
    """Gain, or share of pixels that change, up to which further steps are said not to help."""
    soft: bool = False
    """Target exp(-gain / kappa) in place of gain <= kappa: calmer where gains are noisy."""
    balance: bool = True
    """Give samples that should stop and those that should not the same weight in each step, where it has both."""
    beta: NonNegative = 0.5
    """Factor beside the loss of the steps."""

    def measure(
        self, halting: Sequence[Float32[torch.Tensor, "batch *cell"]], maps: Maps, labels: Labels
    ) -> Float32[torch.Tensor, ""]:
        """Return the mean over steps of the mean over samples, times `beta`.

        Args:
            halting: Logits of each step.
            maps: Logits of the classes of each step, at the resolution at which samples are judged.
            labels: Of that resolution; where cells halt, of the cells.
        """
        nothing = untouched(*halting)
        targets = halting_targets(self, maps, labels, cells=halting[0].ndim > 1)
        if not len(targets):
            return nothing
        counted = labels.counted if halting[0].ndim > 1 else labels.counted.flatten(1).any(dim=1)
        each = [self._of_step(*pair, counted) for pair in zip(halting, targets, strict=False)]
        return self.beta * torch.stack(each).mean() + nothing

    def _of_step(
        self,
        logits: Float32[torch.Tensor, "batch *cell"],
        target: Float32[torch.Tensor, "batch *cell"],
        counted: Bool[torch.Tensor, "batch *cell"],
    ) -> Float32[torch.Tensor, ""]:
        each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        stops = target >= 0.5
        sides = (counted & stops, counted & ~stops) if self.balance else (counted,)
        means = [torch.where(side, each, 0.0).sum() / side.sum().clamp_min(1) for side in sides]
        present = torch.stack([side.any() for side in sides]).sum()
        return torch.stack(means).sum() / present.clamp_min(1)


@torch.no_grad()
def halting_targets(
    settings: Halting, maps: Maps, labels: Labels, *, cells: bool
) -> Float32[torch.Tensor, "step batch *cell"]:
    """Return what each step's halting logits should say: 1 for "stop", 0 for "go on", between them where soft.

    Args:
        settings: Which target.
        maps: Logits of the classes of each step.
        labels: Of the same resolution.
        cells: Whether each cell halts, or the tile.

    Returns:
        One target a step but the last, which has none; of `last_gain`, one a step. Anything where nothing counts.
    """
    if settings.target == "last_gain":
        scores = torch.stack([_miou(one.argmax(dim=1), labels) for one in maps])
        gain = scores - torch.cat((torch.zeros_like(scores[:1]), scores[:-1]))
        gain = gain[..., None, None].expand(-1, -1, *labels.index.shape[1:]) if cells else gain
    elif settings.target == "consistency":
        last = maps[-1].argmax(dim=1)
        changed = torch.stack([(one.argmax(dim=1) != last).float() for one in maps])
        gain = _of_samples(changed, labels, cells=cells)[:-1]
    else:
        each = torch.stack([_quality(settings.quality, one, labels) for one in maps])
        gain = _remaining(_of_samples(each, labels, cells=cells), to_best=settings.against == "best")
    if settings.soft:
        return torch.exp(-gain.clamp_min(0) / settings.kappa)
    return (gain <= settings.kappa).float()


def _quality(
    quality: Literal["accuracy", "nll"], logits: Float32[torch.Tensor, "batch class y x"], labels: Labels
) -> Float32[torch.Tensor, "batch y x"]:
    if quality == "accuracy":
        return (logits.argmax(dim=1) == labels.index).float()
    return 1 - pixel_cross_entropy(logits, labels.unweighted)


def _of_samples(
    each: Float32[torch.Tensor, "step batch y x"], labels: Labels, *, cells: bool
) -> Float32[torch.Tensor, "step batch *cell"]:
    """Return the mean over a tile's counted pixels, or each cell's own value."""
    if cells:
        return each
    counted = labels.counted
    return torch.where(counted, each, 0.0).sum(dim=(2, 3)) / counted.sum(dim=(1, 2)).clamp_min(1)


def _remaining(
    quality: Float32[torch.Tensor, "step batch *cell"], *, to_best: bool
) -> Float32[torch.Tensor, "earlier batch *cell"]:
    """Return what is gained after each step but the last: up to the best of the later steps, or up to the last."""
    later = quality[-1]
    gains: list[torch.Tensor] = []
    for now in reversed(quality[:-1].unbind()):
        gains.insert(0, later - now)
        later = torch.maximum(later, now) if to_best else later
    return torch.stack(gains) if gains else quality[:0]


def _miou(prediction: torch.Tensor, labels: Labels) -> Float32[torch.Tensor, " batch"]:
    """Return each tile's mean IoU over the classes that are labelled or answered in it."""
    classes = torch.arange(len(labels.weights), device=prediction.device)[:, None, None]
    said = (prediction.unsqueeze(1) == classes) & labels.counted.unsqueeze(1)
    where = labels.one_hot()
    union = (said | where).sum(dim=(2, 3))
    each = (said & where).sum(dim=(2, 3)) / union.clamp_min(1)
    return each.sum(dim=1) / (union > 0).sum(dim=1).clamp_min(1)
