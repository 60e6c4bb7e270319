"""Named sets of augmentations, and the record that a configuration holds: a set, further transforms, or both."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import model_validator

from terrazzo.data.augment.geometry import Affine, Dihedral, HorizontalFlip, Resize, ScaleCrop
from terrazzo.data.augment.radiometry import BandDropout, Blur, Brightness, Contrast, Gamma, Noise
from terrazzo.data.augment.transform import AUGMENTATIONS, Transform
from terrazzo.data.sample import Sample
from terrazzo.geo.grid import Window
from terrazzo.record import Record, family

__all__ = ["SETS", "Augmentation"]

SETS: Mapping[str, tuple[Transform, ...]] = {
    # Samples as they are.
    "none": (),
    # Right for any imagery, street scenes too: left-right flips and a little brightness and contrast.
    "safe": (
        HorizontalFlip(),
        Brightness(shift=(-0.1, 0.1)),
        Contrast(factor=(0.9, 1.1)),
    ),
    # Views from above, values untouched: the eight symmetries.
    "dihedral": (Dihedral(),),
    # Views from above: the eight symmetries, a little brightness and contrast.
    "light": (
        Dihedral(),
        Brightness(shift=(-0.2, 0.2)),
        Contrast(factor=(0.85, 1.18)),
    ),
    # Views from above, several sensors or seasons: small affine maps and tone curves besides.
    "medium": (
        Dihedral(),
        Affine(probability=0.3),
        Brightness(shift=(-0.3, 0.3)),
        Contrast(factor=(0.8, 1.25)),
        Gamma(gamma=(0.85, 1.18)),
        Noise(probability=0.2),
    ),
    # Views from above, few labels or another resolution: large scales, blur and missing bands besides.
    "hard": (
        Dihedral(),
        ScaleCrop(scale=(0.5, 2.0)),
        Affine(rotate=(-45.0, 45.0), shear=(-10.0, 10.0)),
        Brightness(shift=(-0.5, 0.5)),
        Contrast(factor=(0.67, 1.5)),
        Gamma(gamma=(0.67, 1.5)),
        Noise(probability=0.3, std=(0.02, 0.2)),
        Blur(probability=0.2),
        BandDropout(),
    ),
}
"""Transforms of each named set, in order."""

NO_CORE = Window(0, 0, 0, 0)


class Augmentation(Record):
    """What happens to training samples: the transforms of a named set, then those listed.

    A bare name stands for a set, a plain list for transforms without a set.

    >>> Augmentation.model_validate("light") == Augmentation(set="light")
    True
    >>> [step.name for step in Augmentation.model_validate([{"name": "hflip"}, "blur"]).steps]
    ['hflip', 'blur']
    """

    bare_fields: ClassVar[tuple[str, ...]] = ("set", "transforms")

    set: Literal["none", "safe", "light", "medium", "hard", "dihedral"] = "safe"
    """Named set: none; safe for any imagery; light, medium and hard for views from above; dihedral for the eight
    symmetries alone."""
    transforms: tuple[Annotated[Transform, family(AUGMENTATIONS)], ...] = ()
    """Further transforms, made in this order after the set's."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, given: object) -> object:
        if isinstance(given, str):
            return {"set": given}
        if isinstance(given, list | tuple):
            return {"set": "none", "transforms": given}
        return given

    @model_validator(mode="after")
    def _one_resize(self) -> "Augmentation":
        sizes = [position for position, step in enumerate(self.transforms) if isinstance(step, Resize)]
        if len(sizes) > 1:
            raise ValueError(f"`resize` may be listed once, not {len(sizes)} times")
        return self

    @property
    def steps(self) -> tuple[Transform, ...]:
        """All transforms in order."""
        return (*SETS[self.set], *self.transforms)

    @property
    def resize(self) -> Resize | None:
        """The explicit resize, which evaluation and mapping must make and undo; None where sizes stay."""
        return next((step for step in self.transforms if isinstance(step, Resize)), None)

    def __call__(self, sample: Sample, *, seed: int, ignore: int) -> Sample:
        """Return the augmented sample: a function of its arguments alone.

        An augmented sample's pixels are no longer the image's own, so its core is empty: evaluation would count
        nothing of it rather than count wrongly.

        Args:
            sample: Normalised image with target and validity; it is not modified.
            seed: Seed of the sample's own generator.
            ignore: Target value of pixels that have no label.
        """
        generator = torch.Generator().manual_seed(seed)
        for step in self.steps:
            sample = step(sample, generator, ignore)
        return replace(sample, core=NO_CORE) if self.steps else sample
