"""How many points a sample needs, and how they are divided between map classes.

Source: Olofsson et al. 2014, "Good practices for estimating area and assessing accuracy of land change", Remote Sensing
of Environment 148, section 5.1 and equation 13 (Cochran 1977, "Sampling Techniques", equation 5.25).
"""

import math
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from terrazzo.errors import ConfigError

__all__ = ["FEWEST", "Allocation", "allocate", "expected_error", "sample_size"]

Allocation = Literal["proportional", "equal", "olofsson"]
FEWEST = 2
"""Points in a class below which its variance cannot be estimated."""

Shares = Float64[np.ndarray, " class"]
Counts = Int64[np.ndarray, " class"]


def sample_size(shares: Shares, accuracies: Shares, *, error: float, pixels: int) -> int:
    """Return how many points estimate the overall accuracy with a wanted standard error.

    Args:
        shares: Of the mapped area in each class; they add up to 1.
        accuracies: User's accuracies that are expected, 0..1.
        error: Standard error of the overall accuracy that is wanted, above 0.
        pixels: In all.

    Raises:
        ConfigError: The error is not above 0, or an accuracy lies outside 0..1.

    >>> shares = np.array([0.02, 0.015, 0.32, 0.645])
    >>> sample_size(shares, np.array([0.7, 0.6, 0.9, 0.95]), error=0.01, pixels=10_000_000)
    641
    """
    if not error > 0:
        raise ConfigError(f"The target standard error is {error}, but must be above 0, such as 0.01.")
    _require_accuracies(accuracies)
    deviations = np.sqrt(accuracies * (1 - accuracies))
    wanted = (shares * deviations).sum() ** 2 / (error**2 + (shares * deviations**2).sum() / pixels)
    return max(math.ceil(float(wanted) - 1e-9), 1)


def expected_error(shares: Shares, accuracies: Shares, points: Counts) -> float:
    """Return the standard error of the overall accuracy that an allocation will have if accuracies are as expected.

    Args:
        shares: Of the mapped area in each class.
        accuracies: User's accuracies that are expected, 0..1.
        points: In each class, at least 2 where its share is above 0.

    Raises:
        ConfigError: An accuracy lies outside 0..1.

    >>> shares, accuracies = np.array([0.02, 0.015, 0.32, 0.645]), np.array([0.7, 0.6, 0.9, 0.95])
    >>> round(expected_error(shares, accuracies, np.array([75, 75, 165, 325])), 3)
    0.011
    """
    _require_accuracies(accuracies)
    taken = shares > 0
    parts = shares[taken] ** 2 * accuracies[taken] * (1 - accuracies[taken]) / np.maximum(points[taken] - 1, 1)
    return math.sqrt(float(parts.sum()))


def allocate(total: int, shares: Shares, pixels: Counts, method: Allocation, *, minimum: int) -> Counts:
    """Divide points between classes.

    Each class with pixels has at least two points, or all of its pixels if they are fewer, so that its variance can be
    estimated; where that takes more points than `total`, the sum is larger.

    Args:
        total: Points in all.
        shares: Of the mapped area in each class.
        pixels: Of each class; no method gives a class without pixels any points.
        method: `proportional` to the area; `equal`; `olofsson`: classes whose part of the area would give them less
            than `minimum` get `minimum`, and the others share the rest by area.
        minimum: Of the method `olofsson`.

    Returns:
        Points of each class. They may exceed its pixels: whoever asked decides what then.

    >>> shares, pixels = np.array([0.02, 0.015, 0.32, 0.645]), np.array([200_000, 150_000, 3_200_000, 6_450_000])
    >>> allocate(641, shares, pixels, "olofsson", minimum=75).tolist()
    [75, 75, 163, 328]
    >>> allocate(641, shares, pixels, "proportional", minimum=75).tolist()
    [13, 10, 205, 413]
    """
    mapped = pixels > 0
    if method == "equal":
        points = _rounded(total, np.where(mapped, 1.0, 0.0))
    elif method == "proportional":
        points = _rounded(total, np.where(mapped, shares, 0.0))
    else:
        points = _with_minimum(total, np.where(mapped, shares, 0.0), mapped, minimum)
    return np.where(mapped, np.maximum(points, np.minimum(FEWEST, pixels)), 0)


def _with_minimum(total: int, shares: Shares, mapped: Bool[np.ndarray, " class"], minimum: int) -> Counts:
    rare = np.zeros(len(shares), dtype=bool)
    while True:
        rest = total - minimum * int(rare.sum())
        common = mapped & ~rare
        if not common.any() or rest <= 0:
            break
        found = rest * shares / shares[common].sum()
        fresh = common & (found < minimum)
        if not fresh.any():
            break
        rare |= fresh
    points = np.where(rare, minimum, 0)
    if common.any() and rest > 0:
        points += _rounded(rest, np.where(common, shares, 0.0))
    return np.asarray(np.where(mapped, np.maximum(points, minimum), 0))


def _rounded(total: int, parts: Shares) -> Counts:
    """Return whole numbers in proportion to parts that add up to a total: the largest remainders are rounded up."""
    exact = total * parts / parts.sum()
    whole = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return np.asarray(whole)


def _require_accuracies(accuracies: Shares) -> None:
    if not ((accuracies >= 0) & (accuracies <= 1)).all():
        raise ConfigError("An expected user's accuracy must lie between 0 and 1, such as 0.9.")
