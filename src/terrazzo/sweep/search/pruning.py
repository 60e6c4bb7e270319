"""When a trial is stopped early: settings, and the median rule."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from terrazzo.record import Record

__all__ = ["MedianRule", "Pruning"]


class Pruning(Record):
    """How trials are stopped that do worse than others did at the same epoch."""

    by: Literal["none", "median", "halving"] = "median"
    """Stop what is worse than the median of finished trials; let only the best share of trials pass each rung of
    epochs (successive halving); or stop nothing."""
    startup: Annotated[int, Field(ge=1)] = 5
    """Trials that must have finished before the median stops any."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Epochs that each trial has before the median may stop it."""
    reduction: Annotated[int, Field(ge=2)] = 3
    """Of so many trials, halving lets one pass each rung; rungs lie at 1, 3, 9, ... epochs where it is 3."""


class MedianRule:
    """Stops a trial whose best value so far is worse than the median of finished trials at the same epoch.

    Trials are compared within the same repeat, since a fold that is hard for all says nothing against a setting.

    Source: Golovin et al., Google Vizier: A Service for Black-Box Optimization, 2017, section 3.2.1.
    Differs: The median is that of the values at the epoch, not of their running averages.

    Args:
        settings: When it begins.
        more_is_better: Which of two values is worse.
    """

    def __init__(self, settings: Pruning, *, more_is_better: bool) -> None:
        self._settings = settings
        self._sign = 1.0 if more_is_better else -1.0
        self._running: dict[int, dict[int, float]] = defaultdict(dict)
        self._finished: dict[str, list[dict[int, float]]] = defaultdict(list)

    def finished(self, repeat: str, curve: Mapping[int, float]) -> None:
        """Learn a trial that was trained to its end.

        Args:
            repeat: Its seed and fold.
            curve: Epoch -> value.
        """
        self._finished[repeat].append({epoch: self._sign * value for epoch, value in curve.items()})

    def stops(self, number: int, repeat: str, epoch: int, value: float) -> bool:
        """Whether to stop a trial.

        Args:
            number: Of the trial.
            repeat: Its seed and fold.
            epoch: From 1; told again, it changes nothing.
            value: At that epoch.
        """
        curve = self._running[number]
        curve[epoch] = self._sign * value
        others = [other[epoch] for other in self._finished[repeat] if epoch in other]
        if epoch <= self._settings.warmup or len(others) < self._settings.startup:
            return False
        return max(known for at, known in curve.items() if at <= epoch) < statistics.median(others)
