"""Learning-rate schedules: pure functions of the step, so that a resumed run has nothing to restore.

The rate of an update is the optimiser's own rate times `factor`. A step is one update of the weights; updates that a
loss scaler skipped are not counted.
"""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from terrazzo.record import Component, Table

__all__ = ["SCHEDULES", "Constant", "Cosine", "Poly", "Schedule"]

SCHEDULES = Table(
    "schedules",
    {
        "constant": "terrazzo.training.schedule:Constant",
        "cosine": "terrazzo.training.schedule:Cosine",
        "poly": "terrazzo.training.schedule:Poly",
    },
)
"""Schedules by name; plug-ins join through the entry-point group `terrazzo.schedules`."""

Share = Annotated[float, Field(ge=0, le=1)]


class Schedule(Component):
    """Settings of a learning-rate schedule, with the linear warm-up that all of them may begin with."""

    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs of linear warm-up from almost 0 to the full rate; fractions are allowed."""
    warmup_steps: Annotated[int, Field(ge=1)] | None = None
    """Updates of warm-up; set it instead of `warmup_epochs`."""

    @model_validator(mode="after")
    def _one_warmup(self) -> "Schedule":
        if self.warmup_steps is not None and self.warmup_epochs > 0:
            raise ValueError("set warmup_epochs or warmup_steps, not both")
        return self

    def factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """Return what the base learning rate is multiplied by.

        Args:
            step: Update about to be made, 0..total_steps - 1; later ones keep the last factor.
            total_steps: Updates of the whole run.
            steps_per_epoch: Updates of one epoch.

        Returns:
            A factor, 0..1. Warm-up of n updates gives (step + 1) / n, so that no update is made at rate 0.
        """
        warmup = self.warmup(total_steps, steps_per_epoch)
        if step < warmup:
            return (step + 1) / warmup
        # Counted so that the first update after the warm-up is at 0 and the one after the last would be at 1.
        return self.decay(min((step - warmup) / max(total_steps - warmup, 1), 1.0))

    def warmup(self, total_steps: int, steps_per_epoch: int) -> int:
        """Return the updates of warm-up, at most all of them."""
        wanted = self.warmup_steps if self.warmup_steps is not None else round(self.warmup_epochs * steps_per_epoch)
        return min(wanted, total_steps)

    def decay(self, progress: float) -> float:
        """Return the factor after warm-up.

        Args:
            progress: Share of the updates after the warm-up that are done, 0..1.
        """
        raise NotImplementedError(f"{type(self).__name__} has no decay")


class Constant(Schedule):
    """The same rate throughout, after the warm-up.

    >>> Constant(warmup_steps=4).factor(0, 10, 5)
    0.25
    """

    name: Literal["constant"] = "constant"

    def decay(self, progress: float) -> float:
        """Return 1."""
        del progress
        return 1.0


class Cosine(Schedule):
    """Half a cosine from the full rate down to a floor.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5, without restarts.

    >>> round(Cosine(floor=0.0).factor(5, 10, 10), 6)
    0.5
    """

    name: Literal["cosine"] = "cosine"
    floor: Share = 0.0
    """Factor at the end of the run."""

    def decay(self, progress: float) -> float:
        """Return floor + (1 - floor) * (1 + cos(pi * progress)) / 2."""
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


class Poly(Schedule):
    """A power of what remains, update by update.

    Source: Liu et al. 2015, ParseNet, section 3; Chen et al. 2017, DeepLab, section 4.1 (power 0.9).

    >>> Poly(power=1.0).factor(5, 10, 10)
    0.5
    """

    name: Literal["poly"] = "poly"
    power: Annotated[float, Field(gt=0)] = 0.9
    """Exponent; 1 is a straight line."""
    floor: Share = 0.0
    """Factor at the end of the run."""

    def decay(self, progress: float) -> float:
        """Return floor + (1 - floor) * (1 - progress) ** power."""
        return self.floor + (1.0 - self.floor) * math.pow(1.0 - progress, self.power)
