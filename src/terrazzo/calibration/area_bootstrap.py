"""Intervals of areas where whole images were labelled: images are what is drawn, since their pixels are alike.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals), of the
estimators of Olofsson et al. 2014, Remote Sensing of Environment 148, equations 1 to 4 and 9.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from terrazzo.bootstrap import DRAWS, interval, resampled_counts
from terrazzo.calibration.areas import AreaEstimates, Figures, estimate_areas

__all__ = ["bootstrap_areas"]


def bootstrap_areas(
    per_image: Int64[np.ndarray, "image class class"],
    areas: Float64[np.ndarray, " class"],
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> AreaEstimates:
    """Estimate areas and accuracies, with standard errors and percentile intervals from resampled images.

    Args:
        per_image: Labelled pixels of each image, of which there are at least two; rows map class, columns reference.
        areas: Of each map class; 0 for one that is never mapped.
        level: Confidence level of the intervals, between 0 and 1.
        draws: Resamples.
        seed: Of the resamples.

    Returns:
        Figures; `margin` is half the interval's width, which need not lie evenly around the value.

    Raises:
        ConfigError: The level is not between 0 and 1.
        DataError: There is no pixel, or a class has pixels but no area.
    """
    images, count = per_image.shape[:2]
    found = estimate_areas(per_image.sum(axis=0), areas, level=level, units=float(images))
    weights = resampled_counts(images, draws=draws, seed=seed)
    counts = (weights @ per_image.reshape(images, -1)).reshape(draws, count, count).astype(np.float64)
    sizes = counts.sum(axis=2)
    ground = np.where(sizes > 0, areas, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (ground / ground.sum(axis=1, keepdims=True))[:, :, None] * counts / np.maximum(sizes, 1)[:, :, None]
        columns = shares.sum(axis=1)
        right = np.diagonal(shares, axis1=1, axis2=2)
        user = np.where(sizes > 0, np.diagonal(counts, axis1=1, axis2=2) / sizes, np.nan)
        producer = np.where(np.isnan(found.producer.value), np.nan, right / columns)
    return replace(
        found,
        areas=_figures(found.areas, columns * found.total, level),
        user=_figures(found.user, user, level),
        producer=_figures(found.producer, producer, level),
        overall=_figures(found.overall, right.sum(axis=1, keepdims=True), level),
    )


def _figures(before: Figures, drawn: Float64[np.ndarray, "draw class"], level: float) -> Figures:
    ends = np.array([interval(column, level=level) for column in drawn.T]).reshape(-1, 2)
    error = np.array([np.nanstd(column) if np.isfinite(column).any() else np.nan for column in drawn.T])
    unknown = np.isnan(before.value)
    low, high = (np.where(unknown, np.nan, side) for side in ends.T)
    return Figures(before.value, np.where(unknown, np.nan, error), low, high, (high - low) / 2)
