"""Areas of classes as a sample of reference labels says they are, with confidence intervals.

A map's own count of pixels is biased wherever the map errs. A sample drawn at random within each map class gives an
error matrix from which areas and accuracies of the whole map are estimated without bias.

Source: Olofsson, Foody, Herold, Stehman, Woodcock and Wulder 2014, "Good practices for estimating area and assessing
accuracy of land change", Remote Sensing of Environment 148, equations 1 to 11; the estimators are those of Cochran
1977, "Sampling Techniques", sections 5.3 to 5.5, for stratified random samples.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float64, Int64

from terrazzo.errors import ConfigError, DataError

__all__ = ["AreaEstimates", "Figures", "estimate_areas"]

Row = Float64[np.ndarray, " class"]
Matrix = Float64[np.ndarray, "class class"]


@dataclass(frozen=True)
class Figures:
    """Estimates, one a class, with what is known of their error; NaN where something does not exist.

    Attributes:
        value: The estimates.
        error: Their standard errors.
        low: Lower ends of the intervals, cut at the lowest value that is possible.
        high: Upper ends, cut at the highest.
        margin: Half the intervals' widths before cutting.
    """

    value: Row
    error: Row
    low: Row
    high: Row
    margin: Row


@dataclass(frozen=True)
class AreaEstimates:
    """What a sample says of a map; in the order of its classes.

    Attributes:
        level: Confidence level of all intervals, 0..1.
        shares: Estimated share of the area in each cell of the error matrix, rows map, columns reference.
        mapped: Area of each class on the map.
        total: Area that the estimates are about: that of all strata with points.
        areas: Error-adjusted areas.
        user: User's accuracies, 0..1: of what is mapped as a class, the share that is that class.
        producer: Producer's accuracies, 0..1: of what is a class, the share that is mapped as it.
        overall: Overall accuracy, 0..1, as figures of one element.
        unsampled: Classes that are mapped but have no point; their area is part of no estimate.
        single: Classes with one point and more than one pixel: their variance, and with it every error that it is part
            of, is not defined.
    """

    level: float
    shares: Matrix
    mapped: Row
    total: float
    areas: Figures
    user: Figures
    producer: Figures
    overall: Figures
    unsampled: tuple[int, ...]
    single: tuple[int, ...]


def estimate_areas(
    counts: Int64[np.ndarray, "class class"],
    areas: Row,
    *,
    pixels: Int64[np.ndarray, " class"] | None = None,
    level: float = 0.95,
    units: float | None = None,
) -> AreaEstimates:
    """Estimate areas and accuracies from a sample that is random within each map class.

    Args:
        counts: Points; rows map class (the strata), columns reference class.
        areas: Of each map class, in any unit; 0 for one that is never mapped.
        pixels: Of each map class; a stratum of which every pixel is a point has no sampling error. Unknown if None.
        level: Confidence level of the intervals, between 0 and 1; they are those of the normal distribution.
        units: Independent observations behind all the counts where these are not independent, such as the images whose
            pixels were counted. Each class has its part of them, and a variance is divided by that part instead of by
            one less than the points.

    Raises:
        ConfigError: The level is not between 0 and 1.
        DataError: There is no point, or a class has points but no area.

    >>> counts = np.array([[90, 10], [20, 80]])
    >>> found = estimate_areas(counts, np.array([100.0, 300.0]))
    >>> found.areas.value.round(1).tolist(), found.areas.margin.round(1).tolist()
    ([150.0, 250.0], [24.4, 24.4])
    """
    if not 0 < level < 1:
        raise ConfigError(f"The confidence level is {level}, but must lie between 0 and 1, such as 0.95.")
    sizes = counts.sum(axis=1)
    stray = np.flatnonzero((sizes > 0) & (areas <= 0))
    if len(stray):
        raise DataError(f"Map class {int(stray[0])} has {int(sizes[stray[0]])} points, but no area on the map.")
    sampled = sizes > 0
    if not sampled.any():
        raise DataError("No point has a reference class, so nothing can be estimated; fill the column `reference`.")
    total = float(areas[sampled].sum())
    weights = np.where(sampled, areas, 0.0) / total
    freedom, census = _freedom(sizes, pixels, units)
    within = counts / np.maximum(sizes, 1)[:, None]
    shares = weights[:, None] * within
    # Equations 5 and 10 alike: the variance of a share within each stratum, then of the whole.
    spread = _variances(within * (1 - within), freedom)
    of_columns = shares.sum(axis=0)
    agreement = np.diagonal(within).copy()
    agreement[~sampled] = np.nan
    overall_variance = float(np.nansum(weights**2 * np.diagonal(spread)))
    if np.isnan(np.diagonal(spread)[sampled]).any():
        overall_variance = np.nan
    area_variance = (weights[sampled, None] ** 2 * spread[sampled]).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # NaN where no reference label, estimated or found, is of the class.
        producer = np.diagonal(shares) / of_columns
    # What is mapped as a class without points is part of nothing here, so neither is the share that it would have.
    producer[~sampled & (areas > 0)] = np.nan
    producer_variance = _producer_variances(weights, spread, producer, of_columns, sampled)
    quantile = NormalDist().inv_cdf(0.5 + level / 2)
    single = sampled & (freedom <= 0) & ~census
    return AreaEstimates(
        level=level,
        shares=shares,
        mapped=areas,
        total=total,
        areas=_figures(of_columns * total, np.sqrt(area_variance) * total, quantile, total),
        user=_figures(agreement, np.sqrt(np.where(sampled, np.diagonal(spread), np.nan)), quantile, 1.0),
        producer=_figures(producer, np.sqrt(producer_variance), quantile, 1.0),
        overall=_figures(np.array([np.diagonal(shares).sum()]), np.sqrt(np.array([overall_variance])), quantile, 1.0),
        unsampled=tuple(np.flatnonzero(~sampled & (areas > 0)).tolist()),
        single=tuple(np.flatnonzero(single).tolist()),
    )


def _freedom(
    sizes: Int64[np.ndarray, " class"], pixels: Int64[np.ndarray, " class"] | None, units: float | None
) -> tuple[Row, Bool[np.ndarray, " class"]]:
    """Return what the variance of each stratum is divided by, and which strata were looked at whole."""
    census = np.zeros(len(sizes), dtype=bool) if pixels is None else (sizes > 0) & (sizes >= pixels)
    if units is None:
        return np.where(census, np.inf, sizes - 1.0), census
    return units * sizes / max(int(sizes.sum()), 1), np.zeros_like(census)


def _variances(products: Matrix, freedom: Row) -> Matrix:
    """Divide p (1 - p) of each row; NaN where one point says nothing of how points differ."""
    divisor = np.where(freedom > 0, freedom, np.nan)
    return np.asarray(products / divisor[:, None])


def _producer_variances(
    weights: Row, spread: Matrix, producer: Row, of_columns: Row, sampled: Bool[np.ndarray, " class"]
) -> Row:
    """Return the variances of producer's accuracies.

    Source: Olofsson et al. 2014, equation 7, with N_i. / N_.j written as shares of the area.
    """
    terms = weights[sampled, None] ** 2 * spread[sampled]
    own = np.zeros(len(weights))
    own[sampled] = np.diagonal(weights[:, None] ** 2 * spread)[sampled]
    others = terms.sum(axis=0) - own
    with np.errstate(invalid="ignore", divide="ignore"):
        found = ((1 - producer) ** 2 * own + producer**2 * others) / of_columns**2
    # Differences of equal sums may fall below 0 by rounding.
    return np.asarray(np.maximum(found, 0.0))


def _figures(value: Row, error: Row, quantile: float, highest: float) -> Figures:
    margin = quantile * error
    return Figures(value, error, np.clip(value - margin, 0.0, highest), np.clip(value + margin, 0.0, highest), margin)
