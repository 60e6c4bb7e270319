"""Fitting a local temperature on sampled pixels and what lies around each of them.

The kernels are linear in the values that they read, so that a fit needs these values of sampled pixels alone and no
whole windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64

from terrazzo.calibration.local_temperature import BRANCHES, SIDE, LocalTemperature, LocalWeights, mixed

__all__ = ["LocalFit", "Surroundings", "fit_local", "local_nll"]

# What the squares of the kernels' way from the start cost beside the mean negative log-likelihood, from the dearest on.
_PRICES = (0.1, 0.03, 0.01, 0.003, 0.001)
_ROUNDS = 20
_ITERATIONS = 5
_PATIENCE = 3
_NOISE = 0.3
_TAPS = SIDE * SIDE


@dataclass(frozen=True)
class Surroundings:
    """Sampled pixels with what the kernels read around them.

    Attributes:
        logits: Around each pixel; the pixel's own stand in the middle.
        image: Around each pixel, as the network saw it.
        target: Class of each.
        weight: Pixels that each stands for.
        held: Whether a pixel belongs to an image by which the fit is stopped.
    """

    logits: Float32[np.ndarray, "pixel class 5 5"]
    image: Float32[np.ndarray, "pixel band 5 5"]
    target: Int64[np.ndarray, " pixel"]
    weight: Float64[np.ndarray, " pixel"]
    held: Bool[np.ndarray, " pixel"]


@dataclass(frozen=True)
class LocalFit:
    """What fitting found.

    Attributes:
        temperature: The local temperature.
        held_before: Mean negative log-likelihood of the held images at temperature 1.
        held_after: The same with the local temperature.
    """

    temperature: LocalTemperature
    held_before: float
    held_after: float


def fit_local(pixels: Surroundings) -> LocalFit:
    """Return the local temperature at which held images are answered best.

    L-BFGS over all pixels that are not held, in place of the source's 200 epochs of Adam at 1e-4. Squares of the way of
    the kernels from the start cost something, first much, then less as long as that serves the held images; kept are
    the kernels with which these had the least negative log-likelihood, the start (temperature 1 everywhere) among them.
    For fitting, values are brought to mean 0 and deviation 1 a channel, and the kernels back afterwards: with mirrored
    edges that is the same function. Deterministic on a processor.

    Source: Ding et al., Local Temperature Scaling for Semantic Segmentation, ICCV 2021, section 3.3.

    Args:
        pixels: Some held and some not.
    """
    scales = _scale(pixels.logits[~pixels.held]), _scale(pixels.image[~pixels.held])
    fitted, held = (_Part.of(pixels, chosen, scales) for chosen in (~pixels.held, pixels.held))
    classes, bands = pixels.logits.shape[1], pixels.image.shape[1]
    parameters = _start(classes, bands)
    start = _value(held, parameters)
    best = _Best(start, parameters)
    with torch.inference_mode(False), torch.enable_grad():
        for price in _PRICES:
            if not _descend(parameters, fitted, held, best, price):
                break
    return LocalFit(LocalTemperature.of(_weights(best.parameters, scales, classes, bands)), start, best.value)


class _Best:
    """The parameters that served the held images best.

    Args:
        value: Their negative log-likelihood at the start.
        parameters: The start.
    """

    def __init__(self, value: float, parameters: Sequence[torch.Tensor]) -> None:
        self.value = value
        self.start = self.parameters = [one.detach().clone() for one in parameters]

    def take(self, value: float, parameters: Sequence[torch.Tensor]) -> bool:
        """Keep parameters that are better, and tell whether they are."""
        better = value < self.value
        if better:
            self.value, self.parameters = value, [one.detach().clone() for one in parameters]
        return better


def _start(classes: int, bands: int) -> list[torch.Tensor]:
    """Return the parameters over the logits and over the image, offsets last, at which every temperature is 1."""
    over_logits = torch.zeros((2 * BRANCHES, classes * _TAPS + 1))
    over_image = torch.zeros((1, bands * _TAPS + 1))
    # Gates that differ from each other make their branches differ; temperatures are 1 whatever they say.
    generator = torch.Generator().manual_seed(0)
    over_logits[BRANCHES:, :-1].normal_(0, _NOISE / (classes * _TAPS) ** 0.5, generator=generator)
    return [over_logits.requires_grad_(), over_image.requires_grad_()]


def _descend(parameters: list[torch.Tensor], fitted: "_Part", held: "_Part", best: _Best, price: float) -> bool:
    """Fit at one price of the kernels, and tell whether the held images were served better than ever."""
    optimizer = torch.optim.LBFGS(parameters, max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        squares = sum(((one - first)[:, :-1] ** 2).sum() for one, first in zip(parameters, best.start, strict=True))
        loss = fitted.nll(*parameters) + price * squares
        loss.backward()  # type: ignore[no-untyped-call] # as torch has it
        return loss

    served, waited = False, 0
    for _ in range(_ROUNDS):
        optimizer.step(closure)  # type: ignore[no-untyped-call] # as torch has it
        found = _value(held, parameters)
        if best.take(found, parameters):
            served, waited = True, 0
            continue
        waited += 1
        if waited == _PATIENCE or not np.isfinite(found):
            break
    return served


def local_nll(pixels: Surroundings, temperature: LocalTemperature | None) -> float:
    """Return the weighted mean negative log-likelihood in nats, with a local temperature or without."""
    scales = (
        (np.zeros(pixels.logits.shape[1]), np.ones(pixels.logits.shape[1])),
        (
            np.zeros(pixels.image.shape[1]),
            np.ones(pixels.image.shape[1]),
        ),
    )
    part = _Part.of(pixels, np.ones(len(pixels.target), dtype=bool), scales)
    classes, bands = pixels.logits.shape[1], pixels.image.shape[1]
    if temperature is None:
        parameters = [torch.zeros((2 * BRANCHES, classes * _TAPS + 1)), torch.zeros((1, bands * _TAPS + 1))]
    else:
        weights = temperature.network(torch.device("cpu"))
        parameters = [
            torch.cat([weights.over_logits.flatten(1), weights.logits_bias[:, None]], dim=1),
            torch.cat([weights.over_image.flatten(1), weights.image_bias[:, None]], dim=1),
        ]
    return _value(part, parameters)


Scale = tuple[Float64[np.ndarray, " _channel"], Float64[np.ndarray, " _channel"]]


@dataclass(frozen=True)
class _Part:
    """Pixels as the fit reads them.

    Attributes:
        logits: Around each pixel, scaled, with a 1 for the offset.
        image: The same of the image.
        own: The pixel's own logits, not scaled.
        target: Class of each.
        shares: Weight of each; they sum to 1.
    """

    logits: Float32[torch.Tensor, "pixel _value"]
    image: Float32[torch.Tensor, "pixel _other"]
    own: Float32[torch.Tensor, "pixel class"]
    target: Int64[torch.Tensor, " pixel"]
    shares: Float64[torch.Tensor, " pixel"]

    @classmethod
    def of(cls, pixels: Surroundings, chosen: Bool[np.ndarray, " pixel"], scales: tuple[Scale, Scale]) -> "_Part":
        weight = pixels.weight[chosen]
        return cls(
            logits=_read(pixels.logits[chosen], scales[0]),
            image=_read(pixels.image[chosen], scales[1]),
            own=torch.from_numpy(pixels.logits[chosen][:, :, SIDE // 2, SIDE // 2].copy()),
            target=torch.from_numpy(pixels.target[chosen]),
            shares=torch.from_numpy(weight / weight.sum()),
        )

    def nll(self, over_logits: torch.Tensor, over_image: torch.Tensor) -> torch.Tensor:
        """Return the mean negative log-likelihood; summed in float64, so that the line search sees small gains."""
        temperature = mixed((self.logits @ over_logits.T).T, self.image @ over_image[0])
        logits = self.own.double() / temperature.double()[:, None]
        chosen = logits.gather(1, self.target[:, None])[:, 0]
        return ((logits.logsumexp(dim=1) - chosen) * self.shares).sum()


def _value(part: _Part, parameters: Sequence[torch.Tensor]) -> float:
    with torch.no_grad():
        return float(part.nll(*parameters))


def _scale(values: Float32[np.ndarray, "pixel channel 5 5"]) -> Scale:
    """Return mean and deviation of each channel; of one that never differs the deviation is taken as 1."""
    mean = values.mean(axis=(0, 2, 3), dtype=np.float64)
    deviation = values.std(axis=(0, 2, 3), dtype=np.float64)
    return mean, np.where(deviation > 1e-6, deviation, 1.0)


def _read(values: Float32[np.ndarray, "pixel channel 5 5"], scale: Scale) -> Float32[torch.Tensor, "pixel _value"]:
    mean, deviation = (part.astype(np.float32)[:, None, None] for part in scale)
    flat = ((values - mean) / deviation).reshape(len(values), -1)
    return torch.from_numpy(np.concatenate([flat, np.ones((len(flat), 1), dtype=np.float32)], axis=1))


def _weights(parameters: list[torch.Tensor], scales: tuple[Scale, Scale], classes: int, bands: int) -> LocalWeights:
    """Return kernels over values as they are, from those over scaled ones."""
    over_logits, logits_bias = _unscaled(parameters[0], scales[0], classes)
    over_image, image_bias = _unscaled(parameters[1], scales[1], bands)
    return LocalWeights(over_logits, logits_bias, over_image, image_bias)


def _unscaled(parameter: torch.Tensor, scale: Scale, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    mean, deviation = (torch.from_numpy(part)[None, :, None, None] for part in scale)
    kernels = parameter[:, :-1].double().reshape(-1, channels, SIDE, SIDE) / deviation
    offset = parameter[:, -1].double() - (kernels * mean).sum(dim=(1, 2, 3))
    return kernels.float(), offset.float()
