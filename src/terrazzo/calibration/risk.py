"""Thresholds with a promise: the least careful one of which it can be said that the risk of new images stays small.

The unit is the image or scene. Its loss at a threshold may be anything up to a bound B that is declared in advance;
larger losses are clipped at it, and the promise is about the clipped loss. All work is done on loss / B against
epsilon / B. Thresholds are gone through from the most careful on, and the first that fails ends the walk: what passes
further on would be found by trying many, and no promise covers that.

Source: `crc`: Angelopoulos et al., Conformal Risk Control, ICLR 2024. `wsr`: Bates et al., Distribution-Free,
    Risk-Controlling Prediction Sets, JACM 2021, with the bound of Waudby-Smith and Ramdas, JRSS B 2024. `ltt`:
    Angelopoulos et al., Learn then Test, arXiv 2110.01052, with fixed-sequence testing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from terrazzo.calibration.bounds import (
    conformal_upper,
    hoeffding_bentkus_p_value,
    hoeffding_bentkus_upper,
    wealth,
    wealth_upper,
)
from terrazzo.calibration.loss_table import LossTable
from terrazzo.errors import ConfigError

__all__ = ["Choice", "ControlMethod", "LossTable", "choose", "positions", "quantile_threshold"]

ControlMethod = Literal["crc", "wsr", "ltt"]

_ROUNDING = 1e-12
"""Part of epsilon that binary fractions may be off: 0.2 / 20 is meant to be 0.01, and 0.01 / 0.2 to be 1 / 20."""

MOST_NEEDED_IMAGES = 100_000
"""Above this nobody is told how many images would be needed."""


@dataclass(frozen=True)
class Choice:
    """A threshold, and all that makes its promise checkable.

    Attributes:
        position: Which of the table's thresholds; 0, the most careful, where none passes.
        threshold: That threshold.
        risk: Mean of the losses there, clipped at the bound.
        upper: What the method bounds the risk there by; at most epsilon where feasible.
        clipped: Images whose loss there is above the bound.
        uppers: What the method bounds the risk by, one a threshold; NaN after the first that fails.
        feasible: Whether anything is promised: false where even the most careful threshold does not pass, because
            there are too few images.
        needed_images: Where nothing less careful than the first threshold was found: images with which something would
            be, if the losses of more images were like these. None where something was found, or where no number of
            images up to 100,000 would do.
        method: `crc`, `wsr` or `ltt`.
        epsilon: Risk that is allowed.
        delta: Probability with which the promise may fail; None for `crc`.
        bound: B.
        images: n.
    """

    position: int
    threshold: float
    risk: float
    upper: float
    clipped: int
    uppers: tuple[float, ...]
    feasible: bool
    needed_images: int | None
    method: ControlMethod
    epsilon: float
    delta: float | None
    bound: float
    images: int

    @property
    def advice(self) -> str | None:
        """What to do where only the most careful threshold was found; None where more was."""
        if self.position:
            return None
        promise = f"risk at most {self.epsilon:g} ({self.method}, bound {self.bound:g}"
        promise += ")" if self.delta is None else f", delta {self.delta:g})"
        if self.needed_images is None:
            return (
                f"Of {self.images} images only the most careful threshold can be promised a {promise}, and more "
                "images like these would not change that: allow a larger epsilon, or train a better model."
            )
        return (
            f"{self.images} images are too few to promise a {promise} of anything but the most careful threshold; "
            f"about {self.needed_images} images like these would do."
        )


def choose(
    table: LossTable, *, method: ControlMethod, epsilon: float, delta: float | None = None, bound: float
) -> Choice:
    """Return the least careful threshold whose risk is promised to be at most epsilon.

    Args:
        table: Losses. `crc` takes the largest loss of this and all more careful thresholds in place of each; `ltt`
            takes 0 in place of negative losses, since its test knows none: what it promises then is more than is asked.
        method: `crc`: the mean risk of new images, over calibrations too, is at most epsilon. `wsr`, `ltt`: with
            probability 1 - delta over the calibration images, the mean risk of new images is at most epsilon.
        epsilon: Risk that is allowed, below the bound.
        delta: Probability with which the promise may fail, inside 0..1; `crc` has none.
        bound: B, declared before any loss was seen.

    Raises:
        ConfigError: A number is out of range.

    >>> losses = np.linspace(0, 0.2, 5) * np.ones((300, 1))
    >>> found = choose(LossTable((1.0, 0.75, 0.5, 0.25, 0.0), losses), method="crc", epsilon=0.11, bound=1.0)
    >>> found.threshold, round(found.upper, 4), found.feasible
    (0.5, 0.103, True)
    """
    _check(method, epsilon, delta, bound)
    delta = None if method == "crc" else delta
    ordered = table.ordered
    controlled = _controlled(ordered, method, bound)
    passed = _passed(controlled, method, epsilon / bound, delta)
    run = int(_run(passed))
    position = max(run - 1, 0)
    seen = min(run + 1, len(table.thresholds))
    uppers = np.full(len(table.thresholds), math.nan)
    uppers[:seen] = bound * _uppers(controlled[:, :seen], method, delta)
    # Found by halving, to the last digits but not to the very last.
    uppers[:run] = np.minimum(uppers[:run], epsilon)
    chosen = np.minimum(ordered[:, position], bound)
    return Choice(
        position=position,
        threshold=table.thresholds[position],
        risk=math.fsum(chosen) / len(chosen),
        upper=float(uppers[position]),
        clipped=int((_worsening(ordered, method)[:, position] > bound).sum()),
        uppers=tuple(uppers.tolist()),
        feasible=run > 0,
        needed_images=None if position else _needed_images(controlled, method, epsilon / bound, delta),
        method=method,
        epsilon=epsilon,
        delta=delta,
        bound=bound,
        images=len(ordered),
    )


def positions(
    losses: Float64[np.ndarray, "*draw image threshold"],
    *,
    method: ControlMethod,
    epsilon: float,
    delta: float | None = None,
    bound: float,
) -> Int64[np.ndarray, "*draw"]:
    """Return which threshold `choose` finds, for many calibrations at once; -1 where even the first does not pass.

    Args:
        losses: Of each calibration, its images in an order that says nothing about losses; they are not reordered.
        method: As of `choose`, and so are the others.
        epsilon: Risk that is allowed.
        delta: Probability with which the promise may fail.
        bound: B.

    Raises:
        ConfigError: A number is out of range.
    """
    _check(method, epsilon, delta, bound)
    return np.asarray(_run(_passed(_controlled(losses, method, bound), method, epsilon / bound, delta)) - 1)


def quantile_threshold(q_values: Float[np.ndarray, "..."], *, delta: float) -> float:
    """Return the 1 - delta quantile of pooled probabilities to halt: WITHOUT any guarantee.

    It only says which share of the values lies above the threshold. No loss enters, values of several steps and
    windows of one image are neither independent nor those of the step at which a window stops, and nothing is added
    for the number of images: the risk at this threshold may be anything. Kept to compare with systems that choose so.

    Args:
        q_values: Probabilities to halt of all windows and steps, in any shape.
        delta: Share of them that shall lie above the threshold, inside 0..1.

    Raises:
        ConfigError: There is no value, one is no number, or delta is out of range.

    >>> quantile_threshold(np.linspace(0, 1, 11), delta=0.1)
    0.9
    """
    if not 0 < delta < 1:
        raise ConfigError(f"delta {delta:g} must be above 0 and below 1.")
    if not q_values.size or np.isnan(q_values).any():
        raise ConfigError("The quantile rule needs probabilities to halt, all of them numbers.")
    return float(np.quantile(q_values, 1 - delta))


def _check(method: ControlMethod, epsilon: float, delta: float | None, bound: float) -> None:
    if not 0 < bound < math.inf:
        raise ConfigError(f"bound {bound:g} must be above 0 and finite.")
    if not 0 < epsilon < bound:
        raise ConfigError(
            f"epsilon {epsilon:g} must be above 0 and below the bound {bound:g}: losses are clipped at the bound, so "
            "that a larger epsilon promises nothing."
        )
    if method != "crc" and (delta is None or not 0 < delta < 1):
        raise ConfigError(f"method {method} needs a delta above 0 and below 1, not {delta}.")


def _worsening(
    losses: Float64[np.ndarray, "*draw image threshold"], method: ControlMethod
) -> Float64[np.ndarray, "*draw image threshold"]:
    """Return losses that grow towards less careful thresholds, where the method relies on that."""
    return losses if method != "crc" else np.asarray(np.maximum.accumulate(losses, axis=-1))


def _controlled(
    losses: Float64[np.ndarray, "*draw image threshold"], method: ControlMethod, bound: float
) -> Float64[np.ndarray, "*draw image threshold"]:
    """Return what the method works on, at most 1."""
    scaled = np.minimum(_worsening(losses, method), bound) / bound
    return scaled if method != "ltt" else np.asarray(np.maximum(scaled, 0.0))


def _passed(
    controlled: Float64[np.ndarray, "*draw image threshold"],
    method: ControlMethod,
    epsilon: float,
    delta: float | None,
) -> Bool[np.ndarray, "*draw threshold"]:
    """Return at which thresholds, each for itself, the method would promise a risk of at most epsilon."""
    if method == "wsr" and delta is not None:
        # The bound is below epsilon just if betting against epsilon wins enough.
        return wealth(np.ascontiguousarray(controlled.swapaxes(-1, -2)), epsilon, delta) > math.log(1 / delta)
    return _mean_passed(controlled.mean(axis=-2), controlled.shape[-2], method, epsilon, delta)


def _mean_passed(
    mean: Float64[np.ndarray, "*draw threshold"],
    images: int,
    method: ControlMethod,
    epsilon: float,
    delta: float | None,
) -> Bool[np.ndarray, "*draw threshold"]:
    """Return the same of the methods that look at the mean loss alone."""
    if method == "ltt" and delta is not None:
        return hoeffding_bentkus_p_value(mean, images, epsilon) <= delta
    return conformal_upper(mean, images) <= epsilon * (1 + _ROUNDING)


def _uppers(
    controlled: Float64[np.ndarray, "image threshold"], method: ControlMethod, delta: float | None
) -> Float64[np.ndarray, " threshold"]:
    if method == "crc" or delta is None:
        return conformal_upper(controlled.mean(axis=0), len(controlled))
    if method == "ltt":
        return hoeffding_bentkus_upper(controlled.mean(axis=0), len(controlled), delta)
    return wealth_upper(np.ascontiguousarray(controlled.T), delta)


def _run(passed: Bool[np.ndarray, "*draw threshold"]) -> Int64[np.ndarray, "*draw"]:
    """Return how many thresholds pass before the first that fails.

    >>> int(_run(np.array([True, True, False, True])))
    2
    """
    return np.asarray(np.logical_and.accumulate(passed, axis=-1).sum(axis=-1, dtype=np.int64))


def _needed_images(
    controlled: Float64[np.ndarray, "image threshold"], method: ControlMethod, epsilon: float, delta: float | None
) -> int | None:
    """Return with how many images like these a less careful threshold than the first would be found.

    It is the most careful one at which any image loses anything; where that one never passes, or there is none, the
    second.
    """
    if controlled.shape[1] == 1:
        return None
    lossy = np.flatnonzero((controlled[:, 1:] != 0).any(axis=0)) + 1
    for position in dict.fromkeys((*lossy[:1].tolist(), 1)):
        # Those between lose nothing, like the second: they pass where it does.
        columns = np.ascontiguousarray(controlled[:, sorted({0, 1, position})])
        if (columns.mean(axis=0) < epsilon).all():
            found = _least(_Repeated(columns, method, epsilon, delta), above=len(controlled))
            if found is not None:
                return found
    return None


@dataclass(frozen=True, eq=False)
class _Repeated:
    """Whether thresholds would pass with more images, whose losses are these again and again."""

    columns: Float64[np.ndarray, "image threshold"]
    method: ControlMethod
    epsilon: float
    delta: float | None

    def __call__(self, images: int) -> bool:
        if self.method == "wsr":
            more = np.resize(self.columns, (images, self.columns.shape[1]))
            return bool(_passed(more, self.method, self.epsilon, self.delta).all())
        return bool(_mean_passed(self.columns.mean(axis=0), images, self.method, self.epsilon, self.delta).all())


def _least(passes: Callable[[int], bool], *, above: int) -> int | None:
    """Return the least number that passes, by doubling and halving; None where none does."""
    low, high = above, above + 1
    while not passes(high):
        if high >= MOST_NEEDED_IMAGES:
            return None
        low, high = high, min(2 * high, MOST_NEEDED_IMAGES)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
