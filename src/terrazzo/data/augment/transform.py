"""What every transform keeps: one geometry for image, target and validity, randomness from its generator alone."""

import math
from typing import Annotated

import torch
from pydantic import AfterValidator, Field

from terrazzo.data.sample import Sample
from terrazzo.record import Component, Table

__all__ = ["AUGMENTATIONS", "PositiveRange", "Probability", "Range", "Transform", "chance", "uniform", "uniform_ratio"]

AUGMENTATIONS = Table(
    "augmentations",
    {
        "hflip": "terrazzo.data.augment.geometry:HorizontalFlip",
        "vflip": "terrazzo.data.augment.geometry:VerticalFlip",
        "dihedral": "terrazzo.data.augment.geometry:Dihedral",
        "affine": "terrazzo.data.augment.geometry:Affine",
        "scale_crop": "terrazzo.data.augment.geometry:ScaleCrop",
        "resize": "terrazzo.data.augment.geometry:Resize",
        "brightness": "terrazzo.data.augment.radiometry:Brightness",
        "contrast": "terrazzo.data.augment.radiometry:Contrast",
        "gamma": "terrazzo.data.augment.radiometry:Gamma",
        "noise": "terrazzo.data.augment.radiometry:Noise",
        "blur": "terrazzo.data.augment.radiometry:Blur",
        "band_dropout": "terrazzo.data.augment.radiometry:BandDropout",
    },
)
"""Transforms by name; plug-ins join through the entry-point group `terrazzo.augmentations`."""


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"a range is [low, high] with low <= high, both finite, not [{low}, {high}]")
    return bounds


def _positive(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] <= 0:
        raise ValueError(f"both ends of this range must be above 0, not [{bounds[0]}, {bounds[1]}]")
    return bounds


Probability = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
PositiveRange = Annotated[tuple[float, float], AfterValidator(_ordered), AfterValidator(_positive)]


def chance(generator: torch.Generator) -> float:
    """Draw from [0, 1), the same bits on every machine."""
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def uniform(bounds: tuple[float, float], generator: torch.Generator) -> float:
    """Draw a value of a range, each equally likely.

    >>> uniform((2.0, 2.0), torch.Generator().manual_seed(0))
    2.0
    """
    low, high = bounds
    return min(low + (high - low) * chance(generator), high)


def uniform_ratio(bounds: tuple[float, float], generator: torch.Generator) -> float:
    """Draw a factor of a positive range, each ratio equally likely: from (1/2, 2), halving is as likely as doubling."""
    low, high = bounds
    return min(max(math.exp(uniform((math.log(low), math.log(high)), generator)), low), high)


class Transform(Component):
    """Settings of one random change; calling the record with a sample makes it.

    A subclass writes `apply`. It draws from the given generator and from nothing else, gives target and validity the
    image's geometry, and leaves 0 in the image wherever the sample is not valid.
    """

    probability: Probability = 0.5
    """How often the change is made, 0..1."""

    def __call__(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the sample, changed with the record's probability.

        Args:
            sample: Normalised image with its target and validity; it is not modified.
            generator: The sample's own, on the CPU; the only source of randomness.
            ignore: Target value of pixels that have no label, such as those from outside the sample.
        """
        if chance(generator) >= self.probability:
            return sample
        return self.apply(sample, generator, ignore)

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the changed sample; arguments as for calling the record."""
        raise NotImplementedError(f"{type(self).__name__} has no apply")
