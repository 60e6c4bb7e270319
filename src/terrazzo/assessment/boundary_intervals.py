"""How sure boundary scores are: whole images are resampled, since boundary pixels of one are not independent."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from terrazzo.bootstrap import interval, resampled_counts
from terrazzo.metrics.boundary import BoundaryCounts

__all__ = ["boundary_intervals"]

_UNIT = 2.0**40


def boundary_intervals(images: Sequence[BoundaryCounts], *, level: float = 0.95) -> dict[str, Any]:
    """Return percentile intervals of boundary F1 and boundary IoU over images drawn with replacement.

    Args:
        images: What was counted in each image.
        level: Share of the resampled values inside, 0..1.

    Returns:
        `f1`: lower and upper end for each tolerance; `boundary_iou`: both ends; None for what does not exist, and
        throughout with fewer than two images, which say nothing of others.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if len(images) < 2:
        return {"f1": [None] * len(images[0].mean_sum) if images else [], "boundary_iou": None}
    drawn = resampled_counts(len(images)).astype(np.float64)
    means = drawn @ np.stack([one.mean_sum for one in images]).astype(np.float64) / _UNIT
    present = drawn @ np.array([one.images for one in images], dtype=np.float64)
    f1 = _ratios(means, present[:, None])
    iou = _ratios(
        drawn @ np.stack([one.intersection for one in images]).astype(np.float64),
        drawn @ np.stack([one.union for one in images]).astype(np.float64),
    )
    known = ~np.isnan(iou)
    mean_iou = _ratios(np.where(known, iou, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))
    return {"f1": [_ends(column, level) for column in f1.T], "boundary_iou": _ends(mean_iou, level)}


def _ratios(part: Float64[np.ndarray, "*cell"], whole: Float64[np.ndarray, "*_cell"]) -> Float64[np.ndarray, "*cell"]:
    there = np.broadcast_to(whole > 0, part.shape)
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, math.nan), where=there))


def _ends(values: Float64[np.ndarray, " draw"], level: float) -> list[float] | None:
    low, high = interval(values, level=level)
    return None if math.isnan(low) else [low, high]
