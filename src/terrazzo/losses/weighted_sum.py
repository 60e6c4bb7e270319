"""Several losses added up."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float32
from pydantic import Field

from terrazzo.losses.loss import LOSSES, Labels, Loss, NonNegative, resolved_weights
from terrazzo.models.output import Output
from terrazzo.record import Record, family

__all__ = ["Term", "WeightedSum"]


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
            total = total + term.weight * term.loss.measure_output(output, self._own(term, output.logits, labels))
        return total

    def measure(self, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the weighted sum for logits alone."""
        return self.measure_output(Output(logits), labels)

    @staticmethod
    def _own(term: Term, logits: Float32[torch.Tensor, "batch class y x"], labels: Labels) -> Labels:
        if term.loss.class_weights is None:
            return labels
        return Labels(labels.index, resolved_weights(term.loss, logits, None))
