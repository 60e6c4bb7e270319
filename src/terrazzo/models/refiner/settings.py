"""What all refiners are told: how many steps they run, and how they stop."""

from typing import Annotated

from pydantic import Field, model_validator

from terrazzo.models.architecture import Architecture
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Steps

__all__ = ["Refiner"]

Count = Annotated[int, Field(ge=1)]


class Refiner(Architecture):
    """Settings of a network that refines its answer in steps; a subclass builds it."""

    t_min: Count = 2
    """No tile stops before this step, counted from 1."""
    t_max: Count = 6
    """Every tile stops at this step; training runs and supervises all of them."""
    act: bool = True
    """Whether a halting head is learned and may stop a tile early; false runs exactly t_max steps."""
    pixel_act: bool = False
    """Whether cells settle one by one instead of whole tiles: a settled cell keeps its answer, a tile stops with its
    last cell."""
    tau: Annotated[float, Field(ge=0, le=1)] = 0.7
    """A tile (or cell) stops where the probability that more steps would not help is at least this; a figure to be
    calibrated on images kept apart, not a promise."""
    halting_gradient: bool = False
    """Whether the loss of the halting head also changes what the head reads; false keeps the answers as if there were
    no head."""

    @model_validator(mode="after")
    def _steps_in_order(self) -> "Refiner":
        if self.t_min > self.t_max:
            raise ValueError(f"t_min {self.t_min} is above t_max {self.t_max}; no tile could stop. Lower t_min.")
        if self.pixel_act and not self.act:
            raise ValueError("pixel_act: true needs act: true; without a halting head no cell settles.")
        return self

    @property
    def answers(self) -> frozenset[type]:
        """Every refiner answers its steps."""
        return frozenset({Steps})

    @property
    def halting_rule(self) -> HaltingRule:
        """When a tile is done."""
        return HaltingRule(threshold=self.tau, first=self.t_min if self.act else self.t_max, last=self.t_max)
