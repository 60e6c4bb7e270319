"""Fitting temperatures on sampled pixels by negative log-likelihood, in float64 and to the optimum.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2; Nocedal and Wright, Numerical
    Optimization, 2006, algorithm 7.5 (L-BFGS).
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from terrazzo.calibration.temperature import ScalarTemperature, VectorScaling
from terrazzo.calibration.window_temperature import StepTemperatures

__all__ = ["HIGHEST", "LOWEST", "RIDGE", "fit_scalar", "fit_steps", "fit_vector", "nll", "weighted_nll"]

LOWEST = 0.01
"""Lowest temperature that a fit gives: where every pixel is right, none would be low enough."""
HIGHEST = 100.0
"""Highest temperature that a fit gives: where answers say less than nothing, none would be high enough."""
RIDGE = 1e-4
"""What squared deviations of one class from the others cost beside the mean negative log-likelihood."""

_ITERATIONS = 500
# Largest slope that counts as none, and least step that counts as one.
_LEVEL, _STILL = 1e-8, 1e-13


def fit_scalar(
    scores: Float32[np.ndarray, "pixel class"],
    target: Int64[np.ndarray, " pixel"],
    weight: Float64[np.ndarray, " pixel"],
) -> ScalarTemperature:
    """Return the temperature of least weighted negative log-likelihood, between `LOWEST` and `HIGHEST`.

    Args:
        scores: Logits or log-probabilities.
        target: Class of each pixel.
        weight: Pixels that each stands for.
    """
    values, classes, shares = _as_tensors(scores, target, weight)
    logarithm = torch.zeros((), dtype=torch.float64, requires_grad=True)
    _minimise([logarithm], lambda: weighted_nll(values / _bounded(logarithm), classes, shares))
    return ScalarTemperature(temperature=float(_bounded(logarithm.detach())))


def fit_steps(
    scores: Float32[np.ndarray, "pixel step class"],
    target: Int64[np.ndarray, " pixel"],
    weight: Float64[np.ndarray, " pixel"],
) -> StepTemperatures:
    """Return a temperature for each step, each fitted by itself on the answers after that step.

    Args:
        scores: Logits after each step.
        target: Class of each pixel.
        weight: Pixels that each stands for.
    """
    fitted = (fit_scalar(scores[:, step], target, weight) for step in range(scores.shape[1]))
    return StepTemperatures(temperatures=tuple(one.temperature for one in fitted))


def fit_vector(
    scores: Float32[np.ndarray, "pixel class"],
    target: Int64[np.ndarray, " pixel"],
    weight: Float64[np.ndarray, " pixel"],
) -> VectorScaling:
    """Return the factor and the offset of each class, from identity on.

    A class's factor is exp(s + d), with s common to all and d of mean 0; squares of d and of the offset cost `RIDGE`.
    So factors are positive, a class of few pixels stays close to the others, and one without any has the others'
    geometric mean and offset 0: it can neither run away nor be ruled out for not having been among the sample.

    Source: Guo et al., 2017, section 4.2; the price of deviations as in Kull et al., Beyond temperature scaling,
        NeurIPS 2019, section 3 (off-diagonal and intercept regularisation).

    Args:
        scores: Log-probabilities.
        target: Class of each pixel.
        weight: Pixels that each stands for.
    """
    values, classes, shares = _as_tensors(scores, target, weight)
    count = scores.shape[1]
    present = (torch.bincount(classes, minlength=count) > 0).to(torch.float64)
    common = torch.zeros((), dtype=torch.float64, requires_grad=True)
    deviations = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    offsets = torch.zeros(count, dtype=torch.float64, requires_grad=True)

    def scaling() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        own = (deviations - (deviations * present).sum() / present.sum()) * present
        return 1 / _bounded(-(common + own)), offsets * present, own

    def objective() -> torch.Tensor:
        factor, offset, own = scaling()
        return weighted_nll(values * factor + offset, classes, shares) + RIDGE * (own**2 + offset**2).sum()

    _minimise([common, deviations, offsets], objective)
    with torch.no_grad():
        factor, offset, _ = scaling()
    return VectorScaling(weight=tuple(factor.tolist()), bias=tuple(offset.tolist()))


def nll(
    scores: Float32[np.ndarray, "pixel class"],
    target: Int64[np.ndarray, " pixel"],
    weight: Float64[np.ndarray, " pixel"],
) -> float:
    """Return the weighted mean negative log-likelihood in nats.

    >>> nll(np.zeros((2, 2), np.float32), np.array([0, 1]), np.array([1.0, 3.0])) == math.log(2)
    True
    """
    return float(weighted_nll(*_as_tensors(scores, target, weight)))


def weighted_nll(
    logits: Float64[torch.Tensor, "pixel class"],
    target: Int64[torch.Tensor, " pixel"],
    shares: Float64[torch.Tensor, " pixel"],
) -> Float64[torch.Tensor, ""]:
    """Return the weighted sum of the negative log-likelihood.

    Args:
        logits: Unnormalised log-probabilities.
        target: Class of each pixel.
        shares: Weight of each; they sum to 1.
    """
    chosen = logits.gather(1, target[:, None])[:, 0]
    return ((logits.logsumexp(dim=1) - chosen) * shares).sum()


def _as_tensors(
    scores: Float32[np.ndarray, "pixel class"],
    target: Int64[np.ndarray, " pixel"],
    weight: Float64[np.ndarray, " pixel"],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return all in float64, with weights that sum to 1."""
    return (
        torch.from_numpy(scores.astype(np.float64)),
        torch.from_numpy(target.copy()),
        torch.from_numpy(weight / weight.sum()),
    )


def _bounded(logarithm: torch.Tensor) -> torch.Tensor:
    return logarithm.clamp(math.log(LOWEST), math.log(HIGHEST)).exp()


def _minimise(parameters: list[torch.Tensor], objective: Callable[[], torch.Tensor]) -> None:
    """Change the parameters until the objective falls no more."""
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=_ITERATIONS,
        tolerance_grad=_LEVEL,
        tolerance_change=_STILL,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()  # type: ignore[no-untyped-call] # as torch has it
        return loss

    # Wherever the caller is: a fit needs gradients.
    with torch.inference_mode(False), torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call] # as torch has it
