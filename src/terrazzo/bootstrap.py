"""Resampling of whole images: pixels of one image are not independent, so images are what is drawn.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).
"""

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["DRAWS", "interval", "resampled_counts"]

DRAWS = 1000
"""Resamples from which an interval is read."""


def resampled_counts(units: int, *, draws: int = DRAWS, seed: int = 0) -> Int64[np.ndarray, "draw unit"]:
    """Return how often each unit occurs in each resample of as many units, drawn with replacement.

    A sum over a resample is a product with these counts: `counts @ per_unit`. The same numbers and seed give the same
    resamples, so that two systems judged on the same images are compared pair by pair.

    Args:
        units: Images, or whatever is independent.
        draws: Resamples.
        seed: Of the draws.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.multinomial(units, np.full(units, 1 / units), size=draws).astype(np.int64)


def interval(values: Float64[np.ndarray, " draw"], *, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled values; NaN where no value is a number.

    Args:
        values: One a resample; those that are NaN are left out.
        level: Share of the values inside, 0..1.

    >>> [round(bound, 6) for bound in interval(np.arange(101.0), level=0.9)]
    [5.0, 95.0]
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
