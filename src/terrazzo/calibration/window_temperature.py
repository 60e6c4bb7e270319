"""Temperatures of a window's logits, before windows are blended: one for each step, or one for each pixel."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field

from terrazzo.calibration.local_temperature import LocalTemperature
from terrazzo.record import Record

__all__ = ["StepTemperatures", "WindowTemperature"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StepTemperatures(Record):
    """A temperature for each step of a network that answers in steps: early answers are calibrated otherwise."""

    name: Literal["step"] = "step"
    """Kind of temperature."""
    temperatures: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """What the logits after step 1, 2, ... are divided by."""

    def __call__(
        self,
        logits: Float[torch.Tensor, "batch class y x"],
        image: Float[torch.Tensor, "batch band y x"],
        steps: Int[torch.Tensor, "batch _rows _columns"] | None,
    ) -> Float[torch.Tensor, "batch class y x"]:
        """Return logits of the calibrated probabilities.

        Args:
            logits: Of windows, as the network answered them.
            image: What it saw.
            steps: After how many steps each window, or each of its pixels, was answered, from 1; None for a network
                that answers at once.
        """
        if steps is None:
            return logits
        table = logits.new_tensor(self.temperatures)
        return logits / table[(steps.long() - 1).clamp(0, len(self.temperatures) - 1)][:, None]


WindowTemperature = Annotated[StepTemperatures | LocalTemperature, Field(discriminator="name")]
"""What is applied to the logits of windows."""
