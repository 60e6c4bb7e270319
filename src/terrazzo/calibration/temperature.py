"""Temperatures: what is done to logits so that probabilities say how often they are right.

Scalar and vector scaling are applied to blended log-probabilities, pixel by pixel; temperatures of steps and local ones
to the logits of each window, before they are blended.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2 (temperature and vector scaling).
"""

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator

from terrazzo.record import Record

__all__ = ["BlendedTemperature", "ScalarTemperature", "VectorScaling"]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ScalarTemperature(Record):
    """One temperature for all classes: above 1 the probabilities become less sure, and no class changes."""

    name: Literal["scalar"] = "scalar"
    """Kind of temperature."""
    temperature: Positive
    """What log-probabilities are divided by."""
    keeps_classes: ClassVar[bool] = True
    """Whether no class can change."""

    def __call__(self, scores: Float[torch.Tensor, "*batch class y x"]) -> Float[torch.Tensor, "*batch class y x"]:
        """Return logits of the calibrated probabilities.

        Args:
            scores: Log-probabilities.
        """
        return scores / self.temperature


class VectorScaling(Record):
    """A factor and an offset for each class; may change which class is the most probable."""

    name: Literal["vector"] = "vector"
    """Kind of temperature."""
    weight: tuple[Finite, ...]
    """Factor of each class's log-probability."""
    bias: tuple[Finite, ...]
    """What is added to it then."""
    keeps_classes: ClassVar[bool] = False
    """Whether no class can change."""

    @model_validator(mode="after")
    def _one_a_class(self) -> "VectorScaling":
        if len(self.weight) != len(self.bias) or not self.weight:
            raise ValueError(f"{len(self.weight)} factors and {len(self.bias)} offsets; each class needs one of both")
        return self

    def __call__(self, scores: Float[torch.Tensor, "*batch class y x"]) -> Float[torch.Tensor, "*batch class y x"]:
        """Return logits of the calibrated probabilities.

        Args:
            scores: Log-probabilities; logits would give another answer, since factors differ between classes.
        """
        weight, bias = (scores.new_tensor(values)[:, None, None] for values in (self.weight, self.bias))
        return scores * weight + bias


BlendedTemperature = Annotated[ScalarTemperature | VectorScaling, Field(discriminator="name")]
"""What is applied to blended log-probabilities."""
