"""Learning-rate schedules: pure functions of the step, so that a resumed run has nothing to restore.

The rate of an update is the optimiser's own rate times `factor`. A step is one update of the weights; updates that a
loss scaler skipped are not counted. Momentum is never cycled.
"""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from terrazzo.record import Component, Table

__all__ = ["SCHEDULES", "Constant", "Cosine", "Exponential", "OneCycle", "Poly", "Schedule", "WarmedUp"]

SCHEDULES = Table(
    "schedules",
    {
        "constant": "terrazzo.training.schedule:Constant",
        "cosine": "terrazzo.training.schedule:Cosine",
        "exponential": "terrazzo.training.schedule:Exponential",
        "one_cycle": "terrazzo.training.schedule:OneCycle",
        "poly": "terrazzo.training.schedule:Poly",
    },
)
"""Schedules by name; plug-ins join through the entry-point group `terrazzo.schedules`."""

Share = Annotated[float, Field(ge=0, le=1)]
AtLeastOne = Annotated[float, Field(ge=1)]


class Schedule(Component):
    """Settings of a learning-rate schedule."""

    def factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """Return what the base learning rate is multiplied by.

        Args:
            step: Update about to be made, 0..total_steps - 1; later ones keep the last factor.
            total_steps: Updates of the whole run.
            steps_per_epoch: Updates of one epoch.

        Returns:
            A factor, 0..1.
        """
        raise NotImplementedError(f"{type(self).__name__} has no factor")


class WarmedUp(Schedule):
    """A schedule that may begin with a linear warm-up; `decay` says what follows."""

    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs of linear warm-up from almost 0 to the full rate; fractions are allowed."""
    warmup_steps: Annotated[int, Field(ge=1)] | None = None
    """Updates of warm-up; set it instead of `warmup_epochs`."""

    @model_validator(mode="after")
    def _one_warmup(self) -> "WarmedUp":
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
        return self.decay(min(step, total_steps) - warmup, max(total_steps - warmup, 1), steps_per_epoch)

    def warmup(self, total_steps: int, steps_per_epoch: int) -> int:
        """Return the updates of warm-up, at most all of them."""
        wanted = self.warmup_steps if self.warmup_steps is not None else round(self.warmup_epochs * steps_per_epoch)
        return min(wanted, total_steps)

    def decay(self, done: int, remaining: int, steps_per_epoch: int) -> float:
        """Return the factor after warm-up.

        Args:
            done: Updates made since the warm-up: 0 for the first, `remaining` after the last.
            remaining: Updates that follow the warm-up, at least 1.
            steps_per_epoch: Updates of one epoch.
        """
        raise NotImplementedError(f"{type(self).__name__} has no decay")


class Constant(WarmedUp):
    """The same rate throughout, after the warm-up.

    >>> Constant(warmup_steps=4).factor(0, 10, 5)
    0.25
    """

    name: Literal["constant"] = "constant"

    def decay(self, done: int, remaining: int, steps_per_epoch: int) -> float:
        """Return 1."""
        del done, remaining, steps_per_epoch
        return 1.0


class Cosine(WarmedUp):
    """Half a cosine from the full rate down to a floor.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5, without restarts.

    >>> round(Cosine(floor=0.0).factor(5, 10, 10), 6)
    0.5
    """

    name: Literal["cosine"] = "cosine"
    floor: Share = 0.0
    """Factor at the end of the run."""

    def decay(self, done: int, remaining: int, steps_per_epoch: int) -> float:
        """Return floor + (1 - floor) * (1 + cos(pi * done / remaining)) / 2."""
        del steps_per_epoch
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * done / remaining))


class Poly(WarmedUp):
    """A power of what remains, update by update or epoch by epoch.

    Source: Liu et al. 2015, ParseNet, section 3; Chen et al. 2017, DeepLab, section 4.1 (power 0.9).

    >>> Poly(power=1.0).factor(5, 10, 10), Poly(power=1.0, by="epoch").factor(5, 10, 4)
    (0.5, 0.6)
    """

    name: Literal["poly"] = "poly"
    power: Annotated[float, Field(gt=0)] = 0.9
    """Exponent; 1 is a straight line."""
    floor: Share = 0.0
    """Factor at the end of the run."""
    by: Literal["step", "epoch"] = "step"
    """Fall at each update, or at the end of each epoch, counted from the end of the warm-up."""

    def decay(self, done: int, remaining: int, steps_per_epoch: int) -> float:
        """Return floor + (1 - floor) * (1 - done / remaining) ** power."""
        counted = done if self.by == "step" else done // steps_per_epoch * steps_per_epoch
        return self.floor + (1.0 - self.floor) * math.pow(1.0 - counted / remaining, self.power)


class Exponential(WarmedUp):
    """The same share of the rate lost each epoch, at its end or spread over its updates.

    Source: Jegou et al. 2017, The One Hundred Layers Tiramisu, section 4.1 (0.995 an epoch); FC-HarDNet on CamVid takes
    0.998.

    >>> Exponential(gamma=0.5).factor(9, 100, 5), Exponential(gamma=0.5, by="step").factor(10, 100, 5)
    (0.5, 0.25)
    """

    name: Literal["exponential"] = "exponential"
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.998
    """What an epoch leaves of the rate."""
    floor: Share = 0.0
    """Factor that the rate does not fall below."""
    by: Literal["step", "epoch"] = "epoch"
    """Fall at each update, or at the end of each epoch, counted from the end of the warm-up."""

    def decay(self, done: int, remaining: int, steps_per_epoch: int) -> float:
        """Return gamma ** epochs, at least the floor."""
        del remaining
        epochs = done / steps_per_epoch if self.by == "step" else done // steps_per_epoch
        return max(math.pow(self.gamma, epochs), self.floor)


class OneCycle(Schedule):
    """Up to the full rate and down again, further than it began; momentum stays as it is.

    Source: Smith and Topin 2018, Super-convergence; torch.optim.lr_scheduler.OneCycleLR, two phases.
    Differs: momentum is not cycled, which would change what Muon's and AdamW's running means mean.

    >>> schedule = OneCycle(pct_start=0.5, div=10, shape="linear")
    >>> schedule.factor(0, 10, 5), schedule.factor(4, 10, 5)
    (0.1, 1.0)
    """

    name: Literal["one_cycle"] = "one_cycle"
    pct_start: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of the run's updates in which the rate rises."""
    div: AtLeastOne = 25.0
    """Full rate over the first one."""
    final_div: AtLeastOne = 1e4
    """First rate over the last one."""
    shape: Literal["cosine", "linear"] = "cosine"
    """Form of both phases."""

    def factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """Return what the base learning rate is multiplied by.

        Args:
            step: Update about to be made, 0..total_steps - 1; later ones keep the last factor.
            total_steps: Updates of the whole run.
            steps_per_epoch: Updates of one epoch; makes no difference.

        Returns:
            1 / div at the first update, 1 at the top, 1 / (div * final_div) at the last.
        """
        del steps_per_epoch
        first, last = 1.0 / self.div, 1.0 / (self.div * self.final_div)
        # Torch's own counting: the top is at the last update of the rise, which need not be a whole one.
        top, end = max(self.pct_start * total_steps - 1.0, 0.0), float(total_steps - 1)
        if step < top:
            return self._between(first, 1.0, step / top)
        return self._between(1.0, last, min((step - top) / max(end - top, 1.0), 1.0))

    def _between(self, start: float, end: float, progress: float) -> float:
        if self.shape == "linear":
            return start + (end - start) * progress
        return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
