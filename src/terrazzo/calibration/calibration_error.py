"""How far stated probabilities are from what came true, from counts in bins.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2 (ECE of the class shown, equal-width
bins); Kull et al., Beyond Temperature Scaling, NeurIPS 2019, section 2 (class-wise ECE: the mean over all classes);
Nixon et al., Measuring Calibration in Deep Learning, CVPR Workshops 2019, section 4 (ACE: bins of equal mass).
"""

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["BINS", "FINE_BINS", "adaptive_error", "binned_error"]

BINS = 15
"""Bins of equal width: [0, 1/15), [1/15, 2/15), ..., [14/15, 1]."""
FINE_BINS = 65_536
"""Bins of equal width from which bins of equal mass are made."""


def binned_error(
    right: Float64[np.ndarray, "*group bin"],
    stated: Float64[np.ndarray, "*group bin"],
    pixels: Float64[np.ndarray, "*group"],
) -> Float64[np.ndarray, "*group"]:
    """Return the share of pixels by which what was stated and what came true differ, bin by bin; NaN without pixels.

    Args:
        right: Pixels of each bin where it came true.
        stated: Sum of the probabilities of each bin.
        pixels: Pixels of all bins.

    >>> binned_error(np.array([1.0, 3.0]), np.array([0.5, 3.5]), np.array(8.0))
    array(0.125)
    """
    gaps = np.abs(right - stated).sum(axis=-1)
    return np.asarray(np.divide(gaps, pixels, out=np.full(gaps.shape, np.nan), where=pixels > 0))


def adaptive_error(pixels: Int64[np.ndarray, " fine"], right: Int64[np.ndarray, " fine"], *, bins: int = BINS) -> float:
    """Return the calibration error in bins of equal mass, 0..1; NaN without pixels.

    A fine bin that lies across the border of two bins is shared between them, so that pixels of one probability are
    never told apart by their order. What is stated in a fine bin is its middle, off by 2^-17 at most.

    Args:
        pixels: Of each fine bin; the bins are equally wide and reach from 0 to 1.
        right: Those where it came true.
        bins: Bins of equal mass.

    >>> adaptive_error(np.array([0, 2, 0, 2]), np.array([0, 0, 0, 2]), bins=2)
    0.25
    """
    total = int(pixels.sum())
    if not total:
        return float("nan")
    filled = np.flatnonzero(pixels)
    middles = (filled + 0.5) / len(pixels)
    # Both rise along the same axis of mass; within a fine bin they are straight lines.
    mass, came_true, stated = (
        np.concatenate([[0.0], np.cumsum(values)])
        for values in (pixels[filled], right[filled], pixels[filled] * middles)
    )
    borders = total * np.arange(bins + 1) / bins
    gaps = np.diff(np.interp(borders, mass, came_true) - np.interp(borders, mass, stated))
    return float(np.abs(gaps).sum() / total)
