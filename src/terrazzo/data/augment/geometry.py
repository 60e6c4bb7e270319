"""Changes of place: flips, the eight symmetries of the square, affine maps, random scales, and the explicit resize."""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import AfterValidator, Field
from torch.nn.functional import interpolate

from terrazzo.data.augment.sampling import at_positions, resized_image, resized_sample
from terrazzo.data.augment.transform import PositiveRange, Probability, Range, Transform, uniform
from terrazzo.data.sample import Sample

__all__ = ["Affine", "Dihedral", "HorizontalFlip", "Resize", "ScaleCrop", "VerticalFlip", "symmetry"]


def _below_right_angle(bounds: tuple[float, float]) -> tuple[float, float]:
    if not (bounds[0] > -90 and bounds[1] < 90):
        raise ValueError(f"a shear lies between -90 and 90 degrees, both excluded, not [{bounds[0]}, {bounds[1]}]")
    return bounds


LeanRange = Annotated[Range, AfterValidator(_below_right_angle)]
Side = Annotated[int, Field(ge=1)]


class HorizontalFlip(Transform):
    """Swap left and right."""

    name: Literal["hflip"] = "hflip"
    """Mirrors each row."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the mirrored sample."""
        return sample.with_pixels(sample.image.flip(-1), sample.target.flip(-1), sample.valid.flip(-1))


class VerticalFlip(Transform):
    """Swap top and bottom: right for views from above, wrong for street scenes."""

    name: Literal["vflip"] = "vflip"
    """Mirrors each column."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the mirrored sample."""
        return sample.with_pixels(sample.image.flip(-2), sample.target.flip(-2), sample.valid.flip(-2))


def symmetry(pixels: torch.Tensor, element: int) -> torch.Tensor:
    """Return one of the eight symmetries of the square, over the last two axes.

    Args:
        pixels: Any tensor whose last two axes are (y, x).
        element: 0..7: `element % 4` quarter turns anticlockwise, then for 4..7 a swap of left and right. Even elements
            keep the shape, odd ones swap height and width.
    """
    turned = torch.rot90(pixels, element % 4, (-2, -1))
    return (turned.flip(-1) if element >= 4 else turned).contiguous()


class Dihedral(Transform):
    """One of the eight symmetries of the square, each equally likely, the identity among them.

    A sample that is not square keeps its shape: it gets one of the four symmetries of the rectangle.
    """

    name: Literal["dihedral"] = "dihedral"
    """Turns and mirrors."""
    probability: Probability = 1.0
    """How often a symmetry is drawn, 0..1."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the turned or mirrored sample."""
        height, width = sample.target.shape
        choices = (0, 1, 2, 3, 4, 5, 6, 7) if height == width else (0, 2, 4, 6)
        element = choices[int(torch.randint(len(choices), (), generator=generator))]
        return sample.with_pixels(
            symmetry(sample.image, element), symmetry(sample.target, element), symmetry(sample.valid, element)
        )


class Affine(Transform):
    """Rotate, shear, scale and shift about the centre, at the same size; what comes from outside is ignored."""

    name: Literal["affine"] = "affine"
    """Bilinear over valid pixels for the image, nearest for target and validity."""
    rotate: Range = (-15.0, 15.0)
    """Degrees, anticlockwise as seen on the image."""
    shear: LeanRange = (-5.0, 5.0)
    """Degrees by which columns lean to the right."""
    scale: PositiveRange = (0.9, 1.1)
    """Factor of enlargement."""
    translate: Range = (-0.05, 0.05)
    """Shift along each axis as a share of that axis, drawn for y and x apart; positive is down and to the right."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the mapped sample."""
        height, width = sample.target.shape
        angle, lean = (math.radians(uniform(bounds, generator)) for bounds in (self.rotate, self.shear))
        scale = uniform(self.scale, generator)
        shift_y, shift_x = uniform(self.translate, generator) * height, uniform(self.translate, generator) * width
        # From the answer back to the source, about the centre: undo the turn, then the lean, then the scale.
        cos, sin, lean = math.cos(angle) / scale, math.sin(angle) / scale, math.tan(lean)
        centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
        down = (torch.arange(height, dtype=torch.float64) - (centre_y + shift_y))[:, None]
        right = (torch.arange(width, dtype=torch.float64) - (centre_x + shift_x))[None, :]
        y = down * cos + right * sin
        x = right * cos - down * sin + y * lean
        return at_positions(sample, y + centre_y, x + centre_x, ignore)


class ScaleCrop(Transform):
    """Scale by a random factor, then cut or pad back to the size it had, at a random place."""

    name: Literal["scale_crop"] = "scale_crop"
    """Objects come closer or go further away."""
    scale: PositiveRange = (0.5, 2.0)
    """Factor of enlargement, each value equally likely."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the scaled sample; where it became smaller, ignored and invalid pixels stand around it."""
        height, width = sample.target.shape
        factor = uniform(self.scale, generator)
        rows, columns = max(round(height * factor), 1), max(round(width * factor), 1)
        scaled = resized_sample(sample, (rows, columns))
        image = sample.image.new_zeros(sample.image.shape)
        target, valid = torch.full_like(sample.target, ignore), torch.zeros_like(sample.valid)
        down, down_from = _place(rows, height, generator)
        right, right_from = _place(columns, width, generator)
        image[:, down, right] = scaled.image[:, down_from, right_from]
        target[down, right] = scaled.target[down_from, right_from]
        valid[down, right] = scaled.valid[down_from, right_from]
        return sample.with_pixels(image, target, valid)


def _place(scaled: int, length: int, generator: torch.Generator) -> tuple[slice, slice]:
    """Where along one axis the scaled sample comes to lie, and which part of it."""
    begin = int(torch.randint(abs(scaled - length) + 1, (), generator=generator))
    if scaled <= length:
        return slice(begin, begin + scaled), slice(0, scaled)
    return slice(0, length), slice(begin, begin + length)


class Resize(Transform):
    """Bring every sample to one size. No chance is involved: training, evaluation and mapping all do it.

    Scores and maps stay at the images' own size: `undo` brings the network's answer back before anything is counted
    or written.
    """

    name: Literal["resize"] = "resize"
    """The only transform that changes the size, and the only one outside training."""
    probability: Annotated[float, Field(ge=1, le=1)] = 1.0
    """Always 1: a network must see one scale in training and in use."""
    height: Side
    """Rows the network sees."""
    width: Side
    """Columns the network sees."""

    def apply(self, sample: Sample, generator: torch.Generator, ignore: int) -> Sample:
        """Return the resized sample; a target pixel is its nearest source pixel's."""
        return resized_sample(sample, (self.height, self.width))

    def forward(
        self, image: Float[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"]
    ) -> tuple[Float[torch.Tensor, "batch band rows columns"], Bool[torch.Tensor, "batch rows columns"]]:
        """Return what the network sees in evaluation and mapping: the same pixels as in training.

        Args:
            image: Normalised values; 0 where not valid.
            valid: Where every band was measured.

        Returns:
            Image (0 where not valid) and validity at the record's size.
        """
        return resized_image(image, valid, (self.height, self.width))

    @staticmethod
    def undo(
        logits: Float[torch.Tensor, "batch class rows columns"], size: tuple[int, int]
    ) -> Float[torch.Tensor, "batch class y x"]:
        """Return logits at the size (height, width) that the image had before `forward`, bilinear.

        Args:
            logits: The network's answer at the record's size.
            size: Height and width of the original image.
        """
        if tuple(logits.shape[-2:]) == tuple(size):
            return logits
        return interpolate(logits, size=size, mode="bilinear", antialias=True)
