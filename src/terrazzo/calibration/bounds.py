"""How large a mean may be of which only some values were seen: bounds for losses of at most 1.

All hold for any distribution and any number of values, as long as the values are independent and alike distributed.
Each works on many samples at once: one a row of the leading axes.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from scipy.special import rel_entr
from scipy.stats import binom

__all__ = [
    "conformal_upper",
    "hoeffding_bentkus_p_value",
    "hoeffding_bentkus_upper",
    "wealth",
    "wealth_upper",
]

_HALVINGS = 50
"""Of the interval 0..1 in which a bound is sought: beyond the digits of any loss."""

_SUM_DIGITS = 9
"""Digits to which a sum of losses is trusted: 0.1 + 0.2 is meant to be 0.3."""


def conformal_upper(mean: Float64[np.ndarray, "*sample"], images: int) -> Float64[np.ndarray, "*sample"]:
    """Return what conformal risk control compares with the allowed risk: the mean with one image more, of loss 1.

    Args:
        mean: Of the losses, at most 1.
        images: n.

    Source: Angelopoulos et al., Conformal Risk Control, ICLR 2024, arXiv 2208.02814, section 1.1, for B = 1.

    >>> round(float(conformal_upper(np.array(0.05), 99)), 6)
    0.0595
    """
    return np.asarray((images * mean + 1) / (images + 1))


def hoeffding_bentkus_p_value(
    mean: Float64[np.ndarray, "*sample"], images: int, epsilon: float | Float64[np.ndarray, "*sample"]
) -> Float64[np.ndarray, "*sample"]:
    """Return how unlikely losses of this mean are, or smaller ones, if their true mean exceeds epsilon.

    Args:
        mean: Of the losses, 0..1.
        images: n.
        epsilon: Risk that is allowed, 0..1.

    Source: Bates et al., Distribution-Free, Risk-Controlling Prediction Sets, JACM 2021, section 3.1 (the bound of
        Hoeffding and Bentkus); Angelopoulos et al., Learn then Test, arXiv 2110.01052 (as a p-value).

    >>> round(float(hoeffding_bentkus_p_value(np.array(0.01), 207, 0.05)), 5)
    0.00597
    """
    below = np.minimum(mean, epsilon)
    hoeffding = np.exp(-images * (rel_entr(below, epsilon) + rel_entr(1 - below, 1 - np.asarray(epsilon))))
    most = np.ceil(np.round(images * mean, _SUM_DIGITS))
    return np.asarray(np.minimum(1.0, np.minimum(hoeffding, math.e * binom.cdf(most, images, epsilon))))


def hoeffding_bentkus_upper(
    mean: Float64[np.ndarray, "*sample"], images: int, delta: float
) -> Float64[np.ndarray, "*sample"]:
    """Return the smallest risk that losses of this mean refute at level delta; 1 where they refute none.

    Args:
        mean: Of the losses, 0..1.
        images: n.
        delta: Probability with which the true mean may lie above.
    """
    return _smallest(lambda risk: hoeffding_bentkus_p_value(mean, images, risk) <= delta, mean.shape)


def wealth(
    losses: Float64[np.ndarray, "*sample image"], risk: float | Float64[np.ndarray, "*sample"], delta: float
) -> Float64[np.ndarray, "*sample"]:
    """Return the logarithm of the most that betting against a risk has won over the images in turn.

    The bet on an image depends on the images before it alone. Where the true mean is at least `risk`, more than
    ln(1 / delta) is won with probability at most delta (Ville's inequality). Losses may be negative: only the largest
    loss limits the bets.

    Args:
        losses: At most 1, in an order that was fixed without looking at them.
        risk: R, from 0 on.
        delta: Probability that the bets are sized for.

    Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 2024; as a bound
        of losses Bates et al., JACM 2021, section 3.1.
    """
    return _won(losses, _bets(losses, delta), np.asarray(risk))


def wealth_upper(losses: Float64[np.ndarray, "*sample image"], delta: float) -> Float64[np.ndarray, "*sample"]:
    """Return the smallest risk that betting refutes: the Waudby-Smith-Ramdas upper bound of the mean.

    It is sought from 0 to 1: a negative mean is bounded by 0, and a mean of losses up to 1 is never above 1.

    Args:
        losses: At most 1, in an order that was fixed without looking at them.
        delta: Probability with which the true mean may lie above.
    """
    bets = _bets(losses, delta)
    return _smallest(lambda risk: _won(losses, bets, risk) > math.log(1 / delta), losses.shape[:-1])


def _bets(losses: Float64[np.ndarray, "*sample image"], delta: float) -> Float64[np.ndarray, "*sample image"]:
    """Return what is bet on each image, 0..1: the more, the less the losses before it varied."""
    images = losses.shape[-1]
    seen = np.arange(2.0, images + 2)
    mean = (0.5 + losses.cumsum(axis=-1)) / seen
    variance = (0.25 + ((losses - mean) ** 2).cumsum(axis=-1)) / seen
    before = np.concatenate([np.full((*losses.shape[:-1], 1), 0.25), variance[..., :-1]], axis=-1)
    return np.asarray(np.minimum(1.0, np.sqrt(2 * math.log(1 / delta) / (images * before))))


def _won(
    losses: Float64[np.ndarray, "*sample image"],
    bets: Float64[np.ndarray, "*sample image"],
    risk: Float64[np.ndarray, "*#sample"],
) -> Float64[np.ndarray, "*sample"]:
    surplus = losses - risk[..., None]
    # At risk 0 a loss of 1 may take all that was won: the logarithm is then minus infinity, as it should be.
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(-bets * surplus).cumsum(axis=-1).max(axis=-1))


def _smallest(refuted: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]) -> Float64[np.ndarray, "*sample"]:
    """Return the smallest risk in 0..1 that is refuted, rounded upwards; what is refuted stays so further up."""
    low, high = np.zeros(shape), np.ones(shape)
    for _ in range(_HALVINGS):
        middle = np.asarray((low + high) / 2)
        gone = refuted(middle)
        high, low = np.where(gone, middle, high), np.where(gone, low, middle)
    return high
