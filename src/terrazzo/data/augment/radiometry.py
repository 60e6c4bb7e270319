"""Changes of measured values, for any number of bands, in the units of normalised images.

A normalised band has mean 0 and standard deviation 1 over the training pixels, so every strength here is in standard
deviations of the training data and means the same for reflectances, radiances and digital numbers. Invalid pixels stay
0 and never lend their 0 to valid ones.
"""

from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field

from terrazzo.data.augment.transform import (
    PositiveRange,
    Probability,
    Range,
    Transform,
    uniform,
    uniform_ratio,
)
from terrazzo.data.sample import Sample

__all__ = ["BandDropout", "Blur", "Brightness", "Contrast", "Gamma", "Noise"]

SPAN = 3.0
"""Gamma bends values within this many standard deviations of the mean."""


def _not_negative(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] < 0:
        raise ValueError(f"both ends of this range must be at least 0, not [{bounds[0]}, {bounds[1]}]")
    return bounds


AmountRange = Annotated[Range, AfterValidator(_not_negative)]
Count = Annotated[int, Field(ge=1)]


def _with_image(sample: Sample, image: Float[torch.Tensor, "band y x"]) -> Sample:
    """The sample with another image, which becomes 0 where the sample is not valid."""
    return sample.with_pixels(torch.where(sample.valid, image, 0), sample.target, sample.valid)


class Brightness(Transform):
    """Add one value to all bands: haze, exposure, time of day."""

    name: Literal["brightness"] = "brightness"
    """Shifts values."""
    shift: Range = (-0.2, 0.2)
    """Added to every band, in standard deviations."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the brighter or darker sample."""
        return _with_image(sample, sample.image + uniform(self.shift, generator))


class Contrast(Transform):
    """Multiply the distance from the training mean by one factor in all bands."""

    name: Literal["contrast"] = "contrast"
    """Spreads values or draws them together."""
    factor: PositiveRange = (0.8, 1.25)
    """Factor; each ratio is equally likely, so that flattening is as common as spreading."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the sample with more or less contrast."""
        return _with_image(sample, sample.image * uniform_ratio(self.factor, generator))


class Gamma(Transform):
    """Bend the tone curve: u ** gamma, where u is the value mapped from mean - 3 std .. mean + 3 std to 0..1.

    Values outside that span keep their distance from its end, so that the order of values never changes.
    """

    name: Literal["gamma"] = "gamma"
    """Brightens (gamma < 1) or darkens (gamma > 1) the middle tones."""
    gamma: PositiveRange = (0.8, 1.25)
    """Exponent; each ratio is equally likely."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the sample with another tone curve."""
        exponent = np.float32(uniform_ratio(self.gamma, generator))
        values = sample.image.numpy()
        within = np.clip(values, -SPAN, SPAN)
        # numpy's power: torch's rounds differently where it splits the work over threads.
        bent = np.power((within + SPAN) / (2 * SPAN), exponent) * (2 * SPAN) - SPAN
        return _with_image(sample, torch.from_numpy(bent + (values - within)))


class Noise(Transform):
    """Add normal noise, drawn for each band and pixel apart."""

    name: Literal["noise"] = "noise"
    """A sensor's noise."""
    std: AmountRange = (0.02, 0.1)
    """Standard deviation of the noise, in the bands' standard deviations."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the noisy sample."""
        strength = uniform(self.std, generator)
        noise = torch.randn(sample.image.shape, generator=generator, dtype=torch.float32)
        return _with_image(sample, sample.image + noise * strength)


class Blur(Transform):
    """Smooth with a Gaussian over the valid pixels around each one; nothing from outside the sample takes part."""

    name: Literal["blur"] = "blur"
    """Poor focus, motion, thin haze."""
    sigma: PositiveRange = (0.3, 1.2)
    """Standard deviation of the Gaussian in pixels; it is cut off at three of them."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the smoothed sample."""
        sigma = uniform(self.sigma, generator)
        reach = max(round(3 * sigma), 1)
        taps = [float(np.exp(-0.5 * (step / sigma) ** 2)) for step in range(reach + 1)]
        weights = sample.valid[None].to(sample.image.dtype)
        # An invalid pixel is 0 in the image and in the weights: it drops out of both sums.
        values = torch.where(sample.valid, sample.image, 0)
        for axis in (-2, -1):
            values, weights = _smooth(values, taps, axis), _smooth(weights, taps, axis)
        return _with_image(sample, values / torch.where(sample.valid, weights, 1))


def _smooth(pixels: Float[torch.Tensor, "band y x"], taps: list[float], axis: int) -> Float[torch.Tensor, "band y x"]:
    """Weighted sum along one axis, nothing beyond its ends."""
    length = pixels.shape[axis]
    total = pixels * taps[0]
    for step in range(1, min(len(taps), length)):
        weighted = pixels * taps[step]
        total.narrow(axis, step, length - step).add_(weighted.narrow(axis, 0, length - step))
        total.narrow(axis, 0, length - step).add_(weighted.narrow(axis, step, length - step))
    return total


class BandDropout(Transform):
    """Set some bands to the training mean, so that no single band becomes indispensable. One band always stays."""

    name: Literal["band_dropout"] = "band_dropout"
    """A missing or broken band."""
    probability: Probability = 0.1
    """How often bands are dropped, 0..1."""
    most: Count = 1
    """At most this many bands; from 1 to this many are dropped, each number equally likely."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the sample without some bands; a sample of one band is returned as it is."""
        bands = len(sample.image)
        most = min(self.most, bands - 1)
        if most == 0:
            return sample
        count = 1 + int(torch.randint(most, (), generator=generator))
        dropped = torch.randperm(bands, generator=generator)[:count]
        return sample.with_pixels(sample.image.index_fill(0, dropped, 0.0), sample.target, sample.valid)
