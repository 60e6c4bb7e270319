"""What training minimises: every loss on one treatment of ignored pixels, absent classes and empty batches.

- An ignored pixel never enters: neither its logits nor its label reach a sum.
- A class that no counted pixel of the batch is labelled with leaves the mean of a per-class loss.
- A batch without a counted pixel gives exactly 0, with a gradient of exactly 0 for every logit.
- Class weights normalise by the weights of what was counted, so that they move the balance and not the scale.
- Sums run in float32 whatever the precision of the network.

Each loss answers for `Output.logits`. `Loss.measure` takes any logits with labels of their size, so that a loss of
auxiliary answers can be built on it.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Float32, Int64
from pydantic import Field

from terrazzo.errors import LabelError, ModelError
from terrazzo.models.output import Output
from terrazzo.record import Component, Record, Table, family

__all__ = ["LOSSES", "CrossEntropy", "Dice", "Focal", "Jaccard", "Labels", "Loss", "Term", "WeightedSum"]

LOSSES = Table(
    "losses",
    {
        "ce": "terrazzo.losses:CrossEntropy",
        "focal": "terrazzo.losses:Focal",
        "dice": "terrazzo.losses:Dice",
        "jaccard": "terrazzo.losses:Jaccard",
        "sum": "terrazzo.losses:WeightedSum",
    },
)
"""Losses by name; plug-ins join through the entry-point group `terrazzo.losses`."""

UNCOUNTED = -1
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Labels:
    """What a loss compares logits with.

    Attributes:
        index: Class of each pixel, 0..K-1; -1 where the pixel does not count.
        weights: One weight a class; all 1 where none were asked for.
    """

    index: Int64[torch.Tensor, "batch y x"]
    weights: Float32[torch.Tensor, " class"]

    @classmethod
    def of(
        cls,
        target: Int64[torch.Tensor, "batch y x"],
        ignored: Bool[torch.Tensor, "batch y x"],
        weights: Float32[torch.Tensor, " class"],
    ) -> "Labels":
        """Drop what is ignored and check the rest.

        Raises:
            LabelError: A counted pixel's label is no class.
        """
        index = target.masked_fill(ignored, UNCOUNTED)
        if index.numel():
            low, high = (int(bound) for bound in index.aminmax())
            unlisted = low < UNCOUNTED or (low == UNCOUNTED and bool(((target < 0) & ~ignored).any()))
            if unlisted or high >= len(weights):
                wrong = sorted(set(target[~ignored & ((target < 0) | (target >= len(weights)))].tolist()))
                raise LabelError(
                    f"A loss over {len(weights)} classes met the labels {wrong[:10]}; "
                    f"labels must be 0..{len(weights) - 1}, all else must be marked as ignored."
                )
        return cls(index, weights)

    def one_hot(self) -> Bool[torch.Tensor, "batch class y x"]:
        """Return where each class is labelled; nothing where the pixel does not count."""
        classes = torch.arange(len(self.weights), device=self.index.device)
        return self.index.unsqueeze(1) == classes[:, None, None]

    def mean(self, per_pixel: Float32[torch.Tensor, "batch y x"]) -> Float32[torch.Tensor, ""]:
        """Return the sum over counted pixels of (already weighted) values, divided by the pixels' weights.

        Args:
            per_pixel: 0 where the pixel does not count.
        """
        counted = self.index != UNCOUNTED
        total = (self.weights[self.index.clamp_min(0)] * counted).sum()
        return per_pixel.sum() / torch.where(total > 0, total, 1.0)

    def mean_of_present(self, per_class: Float32[torch.Tensor, " class"]) -> Float32[torch.Tensor, ""]:
        """Return the weighted mean over the classes that some counted pixel is labelled with; 0 where there is none."""
        present = self.one_hot().any(dim=3).any(dim=2).any(dim=0)
        shares = self.weights * present
        total = shares.sum()
        return torch.where(present, per_class * shares, 0.0).sum() / torch.where(total > 0, total, 1.0)


class Loss(Component):
    """Settings of a loss; calling it measures an output.

    A subclass gives `measure`; ignoring, weighting, checking and precision are dealt with before.
    """

    class_weights: tuple[NonNegative, ...] | None = None
    """One weight a class, in the order of the classes; they take the place of weights that training derives."""

    def __call__(
        self,
        output: Output,
        target: Int64[torch.Tensor, "batch y x"],
        ignored: Bool[torch.Tensor, "batch y x"],
        class_weights: Float[torch.Tensor, " class"] | None = None,
    ) -> Float32[torch.Tensor, ""]:
        """Return the loss of a batch.

        Args:
            output: The network's answer.
            target: Class of each pixel, 0..K-1; anything where ignored.
            ignored: Where the loss looks away.
            class_weights: One weight a class, such as the inverse of its frequency.

        Returns:
            A float32 scalar, at least 0; exactly 0 where every pixel is ignored.

        Raises:
            LabelError: A pixel that counts has a label outside 0..K-1.
            ModelError: The number of weights is not the number of classes.
        """
        with torch.autocast(output.logits.device.type, enabled=False):
            logits = output.logits.float()
            labels = Labels.of(target, ignored, _class_weights(self, logits, class_weights))
            return self.measure(logits, labels)

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the loss of logits against labels of the same size."""
        raise NotImplementedError(f"{type(self).__name__} has no measure")


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
        by the class weights of the counted pixels, as cross-entropy does.
    """

    name: Literal["focal"] = "focal"
    """Focal loss over a softmax."""
    gamma: NonNegative = 2.0
    """Strength of the turn; 0 is cross-entropy."""

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted mean of the pixels' focal losses."""
        plain = pixel_cross_entropy(logits, Labels(labels.index, torch.ones_like(labels.weights)))
        # 1 - p by expm1 keeps its digits near 0; the bound keeps the slope of a power below 1 finite there.
        doubt = (-torch.expm1(-plain)).clamp_min(torch.finfo(torch.float32).tiny)
        return labels.mean(doubt.pow(self.gamma) * plain * labels.weights[labels.index.clamp_min(0)])


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


class Term(Record):
    """One part of a sum of losses."""

    loss: Annotated[Loss, family(LOSSES)]
    """The loss: a name, or a mapping with `name`."""
    weight: NonNegative = 1.0
    """Factor of the loss."""


class WeightedSum(Loss):
    """Several losses added up, such as cross-entropy and Dice.

    >>> loss = WeightedSum.model_validate({"terms": [{"loss": "ce"}, {"loss": "dice", "weight": 0.5}]})
    >>> [term.loss.name for term in loss.terms]
    ['ce', 'dice']
    """

    name: Literal["sum"] = "sum"
    """Weighted sum."""
    terms: Annotated[tuple[Term, ...], Field(min_length=1)]
    """The losses and their weights."""

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted sum; a term's own class weights go before the sum's."""
        total = logits.new_zeros(())
        for term in self.terms:
            own = labels
            if term.loss.class_weights is not None:
                own = Labels(labels.index, _class_weights(term.loss, logits, None))
            total = total + term.weight * term.loss.measure(logits, own)
        return total


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


def _class_weights(
    loss: Loss, logits: Float32[torch.Tensor, "batch class y x"], given: Float[torch.Tensor, " _"] | None
) -> Float32[torch.Tensor, " class"]:
    """Return the weights that a loss uses: its own, else the given ones, else 1 for every class."""
    classes = logits.shape[1]
    if loss.class_weights is not None:
        given = torch.tensor(loss.class_weights)
    if given is None:
        return torch.ones(classes, device=logits.device)
    if len(given) != classes:
        raise ModelError(
            f"loss {loss.name}: {len(given)} class weights were given for {classes} classes; give one a class."
        )
    return given.to(logits.device, torch.float32)
