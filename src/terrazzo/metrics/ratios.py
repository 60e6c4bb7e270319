"""Ratios of counts, which may divide by nothing, and scores as plain data."""

import math
from collections.abc import Sequence

__all__ = ["mean_of_known", "ratio", "without_nan"]


def ratio(part: int | float, whole: int) -> float:
    """Return a quotient; NaN where it divides by nothing.

    >>> ratio(1, 2), ratio(0, 0)
    (0.5, nan)
    """
    return part / whole if whole else math.nan


def mean_of_known(values: Sequence[float]) -> float:
    """Return the mean of the values that are numbers; NaN where none is.

    >>> mean_of_known([0.25, math.nan, 0.75])
    0.5
    """
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def without_nan(value: object) -> object:
    """Return the same plain data with lists for tuples and None for NaN.

    >>> without_nan({"scores": (0.5, math.nan)})
    {'scores': [0.5, None]}
    """
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
