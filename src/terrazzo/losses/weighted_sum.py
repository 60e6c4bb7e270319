"""Several losses added up."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float32
from pydantic import Field, model_validator

from terrazzo.losses.loss import LOSSES, Labels, Loss, NonNegative
from terrazzo.losses.overlaps import Dice
from terrazzo.losses.parts import labels_of_part
from terrazzo.losses.pixels import CrossEntropy
from terrazzo.models.output import Output
from terrazzo.record import Record, family

__all__ = ["CrossEntropyDice", "Term", "WeightedSum"]


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

    @property
    def reads(self) -> frozenset[type]:
        """What any of the terms reads."""
        return frozenset[type]().union(*(term.loss.reads for term in self.terms))

    def measure_output(self, output: Output, labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted sum; a term's own class weights go before the sum's."""
        total = output.logits.new_zeros(())
        for term in self.terms:
            own = labels_of_part(term.loss, output.logits, labels)
            total = total + term.weight * term.loss.measure_output(output, own)
        return total

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted sum for logits alone."""
        return self.measure_output(Output(logits), labels)


class CrossEntropyDice(Loss):
    """Cross-entropy plus Dice: `ce_weight` CE + `dice_weight` Dice, the usual first choice.

    Source: nnU-Net (Isensee et al., Nature Methods 2021), weights 1 and 1.
    Differs: Dice averages over the classes present, over the whole batch; see `dice`.
    """

    name: Literal["ce_dice"] = "ce_dice"
    """Cross-entropy and Dice."""
    ce_weight: NonNegative = 1.0
    """Factor of cross-entropy."""
    dice_weight: NonNegative = 1.0
    """Factor of Dice."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a label that cross-entropy spreads evenly over all classes."""
    smooth: NonNegative = 0.0
    """Pixels added above and below the line of Dice."""

    @model_validator(mode="after")
    def _measures_something(self) -> "CrossEntropyDice":
        if not self.ce_weight and not self.dice_weight:
            raise ValueError("ce_weight and dice_weight are both 0; one must count")
        return self

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted sum of both."""
        entropy = CrossEntropy(label_smoothing=self.label_smoothing).measure(logits, labels)
        return self.ce_weight * entropy + self.dice_weight * Dice(smooth=self.smooth).measure(logits, labels)
