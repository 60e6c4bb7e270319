"""One loss on a network's answer and on each of its coarser answers."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float32
from pydantic import Field, model_validator

from terrazzo.errors import ModelError
from terrazzo.losses.loss import Labels, Loss, NonNegative
from terrazzo.losses.parts import InnerLoss, check_cells, labels_of_part, required
from terrazzo.losses.pixels import CrossEntropy
from terrazzo.models.output import DeepSupervision, Output

__all__ = ["DeeplySupervised"]


class DeeplySupervised(Loss):
    """An inner loss of the main answer, and of each coarser answer against labels of its own cells.

    A cell's label is that of its middle pixel, ignored where that pixel is (nearest down-sampling).

    Source: weights `halving`: nnU-Net (Isensee et al., Nature Methods 2021): answer i counts 2^-i, i = 0 the main one,
        the coarsest 0, all divided by their sum. `auxiliary`: PSPNet (Zhao et al., CVPR 2017), 0.4 beside 1.
    Differs: with several answers of `auxiliary` weight, each has it. nnU-Net keeps the coarsest answer at 1e-6 where
        processes train together; here a weight of 0 has a gradient of 0, which serves.
    """

    name: Literal["deep_supervision"] = "deep_supervision"
    """A loss of coarser answers too."""
    loss: InnerLoss = CrossEntropy()
    """What is measured on each answer: any loss that reads logits alone."""
    weights: Literal["halving", "auxiliary"] | Annotated[tuple[NonNegative, ...], Field(min_length=1)] = "halving"
    """`halving`, `auxiliary`, or a list: the main answer's weight, then each coarser one's, finest first."""
    coarsest: bool = False
    """Whether `halving` counts the coarsest answer."""
    auxiliary_weight: NonNegative = 0.4
    """Weight that `auxiliary` gives each coarser answer beside the main one's 1."""

    @model_validator(mode="after")
    def _weighs_something(self) -> "DeeplySupervised":
        if not isinstance(self.weights, str) and not any(self.weights):
            raise ValueError("weights are all 0; one answer must count")
        return self

    @property
    def reads(self) -> frozenset[type]:
        """The coarser answers."""
        return frozenset({DeepSupervision})

    def shares(self, answers: int) -> tuple[float, ...]:
        """Return the weight of the main answer and of each coarser one, finest first.

        Args:
            answers: How many coarser ones there are.

        Raises:
            ModelError: The weights do not fit that number.

        >>> [round(share, 4) for share in DeeplySupervised().shares(4)]
        [0.5333, 0.2667, 0.1333, 0.0667, 0.0]
        """
        if self.weights == "auxiliary":
            return (1.0, *[self.auxiliary_weight] * answers)
        if self.weights == "halving":
            counted = answers + 1 if self.coarsest else answers
            if answers == 1 and not self.coarsest:
                raise ModelError(
                    "loss deep_supervision: the network answers one coarser map, which weights: halving leaves out; "
                    "set coarsest: true, or weights: auxiliary."
                )
            total = sum(2.0**-number for number in range(counted))
            return tuple(2.0**-number / total if number < counted else 0.0 for number in range(answers + 1))
        if len(self.weights) != answers + 1:
            raise ModelError(
                f"loss deep_supervision: {len(self.weights)} weights were given for {answers + 1} answers, the main "
                f"one and {answers} coarser; give one an answer."
            )
        return self.weights

    def measure_output(self, output: Output, labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted sum of the inner loss over the answers."""
        record = required(output, DeepSupervision, self)
        labels = labels_of_part(self.loss, output.logits, labels)
        main, *coarser = self.shares(len(record.logits))
        total = main * self.loss.measure(output.logits, labels)
        for share, logits, stride in zip(coarser, record.logits, record.strides, strict=True):
            check_cells(self.name, logits, labels, stride)
            total = total + share * self.loss.measure(logits, labels.coarse(stride))
        return total
