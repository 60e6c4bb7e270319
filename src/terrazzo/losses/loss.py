"""What training minimises: every loss on one treatment of ignored pixels, absent classes and empty batches.

- An ignored pixel never enters: neither its logits nor its label reach a sum.
- A class that no counted pixel of the batch is labelled with leaves the mean of a per-class loss.
- A batch without a counted pixel gives exactly 0, with a gradient of exactly 0 for every logit.
- Class weights normalise by the weights of what was counted, so that they move the balance and not the scale.
- Sums run in float32 whatever the precision of the network.

`Loss.measure` takes any logits with labels of their size; a loss of auxiliary answers overrides `measure_output`, and
says in `reads` which records it needs.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Float32, Int64
from pydantic import Field

from terrazzo.errors import LabelError, ModelError
from terrazzo.models.output import Output
from terrazzo.record import Component, Table

__all__ = ["LOSSES", "UNCOUNTED", "Labels", "Loss", "NonNegative", "Positive", "resolved_weights"]

LOSSES = Table(
    "losses",
    {
        "ce": "terrazzo.losses.pixels:CrossEntropy",
        "focal": "terrazzo.losses.pixels:Focal",
        "bootstrapped_ce": "terrazzo.losses.bootstrapped:BootstrappedCrossEntropy",
        "dice": "terrazzo.losses.overlaps:Dice",
        "jaccard": "terrazzo.losses.overlaps:Jaccard",
        "tversky": "terrazzo.losses.overlaps:Tversky",
        "lovasz": "terrazzo.losses.lovasz:Lovasz",
        "ce_dice": "terrazzo.losses.weighted_sum:CrossEntropyDice",
        "sum": "terrazzo.losses.weighted_sum:WeightedSum",
        "deep_supervision": "terrazzo.losses.deep_supervision:DeeplySupervised",
        "steps": "terrazzo.losses.steps:StepLoss",
        "masks": "terrazzo.losses.masks:MaskLoss",
    },
)
"""Losses by name; plug-ins join through the entry-point group `terrazzo.losses`."""

UNCOUNTED = -1
"""What `Labels.index` holds where a pixel does not count."""
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

    @property
    def counted(self) -> Bool[torch.Tensor, "batch y x"]:
        """Where a pixel counts."""
        return self.index != UNCOUNTED

    @property
    def unweighted(self) -> "Labels":
        """The same with a weight of 1 for every class."""
        return Labels(self.index, torch.ones_like(self.weights))

    def of_image(self, number: int) -> "Labels":
        """Return those of one image, as a batch of one."""
        return Labels(self.index[number : number + 1], self.weights)

    def coarse(self, stride: int) -> "Labels":
        """Return the label of each cell of a map of this stride: that of its middle pixel, also where it is ignored.

        Cell i stands for the pixels from s i on; its label is that of pixel s i + floor(s / 2), or of the image's last
        pixel where the cell reaches beyond it.
        """
        if stride == 1:
            return self
        rows, columns = (
            torch.arange(0, size, stride, device=self.index.device).add(stride // 2).clamp_max(size - 1)
            for size in self.index.shape[1:]
        )
        return Labels(self.index[:, rows][:, :, columns], self.weights)

    def one_hot(self) -> Bool[torch.Tensor, "batch class y x"]:
        """Return where each class is labelled; nothing where the pixel does not count."""
        classes = torch.arange(len(self.weights), device=self.index.device)
        return self.index.unsqueeze(1) == classes[:, None, None]

    def mean(self, per_pixel: Float32[torch.Tensor, "batch y x"]) -> Float32[torch.Tensor, ""]:
        """Return the sum over counted pixels of (already weighted) values, divided by the pixels' weights.

        Args:
            per_pixel: 0 where the pixel does not count.
        """
        total = (self.weights[self.index.clamp_min(0)] * self.counted).sum()
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
            ModelError: The number of weights is not the number of classes; the answer has not the size of the labels.
        """
        if output.logits.shape[2:] != target.shape[1:]:
            raise ModelError(
                f"loss {self.name}: logits of {tuple(output.logits.shape[2:])} pixels met labels of "
                f"{tuple(target.shape[1:])}; a network must answer at the size of its image."
            )
        with torch.autocast(output.logits.device.type, enabled=False):
            output = output.floating()
            labels = Labels.of(target, ignored, resolved_weights(self, output.logits, class_weights))
            return self.measure_output(output, labels)

    @property
    def reads(self) -> frozenset[type]:
        """Kinds of auxiliary records that an output must have for this loss."""
        return frozenset()

    def measure_output(self, output: Output, labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the loss of a whole answer, all of it float32, against labels of the input's size.

        Raises:
            ModelError: The network does not answer what the loss reads.
        """
        return self.measure(output.logits, labels)

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the loss of logits against labels of the same size."""
        raise NotImplementedError(f"{type(self).__name__} has no measure")


def resolved_weights(
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
