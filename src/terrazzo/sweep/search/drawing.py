"""Values drawn from an axis: one of its choices, or a number of its range."""

import math
from typing import Any

import numpy as np

from terrazzo.sweep.grid import Axis
from terrazzo.sweep.ranges import Span

__all__ = ["drawn", "finite_size"]


def drawn(axis: Axis, generator: np.random.Generator) -> tuple[Any, ...]:
    """Return values of an axis, each choice as likely as any other, and ranges drawn evenly on their scale."""
    if axis.span is None:
        return axis.choices[int(generator.integers(len(axis.choices)))]
    return (_drawn_number(axis.span, float(generator.random())),)


def finite_size(axis: Axis) -> float:
    """Return how many different values an axis has; infinite for fractions."""
    if axis.span is None:
        return float(len(axis.choices))
    return axis.span.high - axis.span.low + 1 if axis.span.whole else math.inf


def _drawn_number(span: Span, share: float) -> int | float:
    """Return the number at a share; of whole numbers the ends are as likely as their neighbours."""
    if not span.whole:
        return span.at(share)
    low, high = span.low - 0.5, span.high + 0.5
    if span.scale == "log":
        number = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        number = low + share * (high - low)
    return min(max(math.floor(number + 0.5), int(span.low)), int(span.high))
