"""Figures of a data set: mean and deviation of its bands, and weights of its classes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Shaped

from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import DataError

__all__ = ["ClassWeighting", "MomentSum", "Moments", "class_weights", "constant_bands", "merge", "normalisation_of"]

ClassWeighting = Literal["none", "inverse", "median"]

PIECE = 1 << 15
"""Pixels that are summed at once: they stay in the processor's cache."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each band over some valid pixels.

    Attributes:
        pixels: Valid pixels.
        mean: Mean of each band, in raw units; 0 where there is no pixel.
        squares: Sum of squared deviations from the mean, in raw units squared.
    """

    pixels: int
    mean: tuple[float, ...]
    squares: tuple[float, ...]


class MomentSum:
    """Moments of one image, gathered strip by strip.

    Integers of 8 and 16 bit are summed exactly, so that strips may be cut anywhere; other types are summed in float64
    and merged pairwise.

    Args:
        bands: Number of bands.
    """

    def __init__(self, bands: int) -> None:
        self._pixels = 0
        self._sums = [0] * bands
        self._square_sums = [0] * bands
        self._floating = Moments(0, (0.0,) * bands, (0.0,) * bands)

    def add(self, values: Shaped[np.ndarray, "band y x"], valid: Bool[np.ndarray, "y x"]) -> None:
        """Add the valid pixels of a strip."""
        everywhere = bool(valid.all())
        if values.dtype.kind in "ui" and values.dtype.itemsize <= 2:
            for band, plane in enumerate(values):
                self._count(band, plane.ravel() if everywhere else plane[valid])
            self._pixels += int(valid.sum())
        else:
            kept = values.reshape(len(values), -1) if everywhere else values[:, valid]
            self._floating = merge([self._floating, _moments(kept)])

    def result(self) -> Moments:
        """Return the moments of everything added."""
        count = self._pixels
        if not count:
            return self._floating
        exact = zip(self._sums, self._square_sums, strict=True)
        # Whole numbers until the last division: no order of summing changes the result.
        squares = tuple((count * square - total * total) / count for total, square in exact)
        return merge([self._floating, Moments(count, tuple(total / count for total in self._sums), squares)])

    def _count(self, band: int, flat: Shaped[np.ndarray, " pixel"]) -> None:
        for begin in range(0, len(flat), PIECE):
            # The squares of 2^15 numbers of 16 bit sum up to less than 2^53: float64 holds every step exactly, in
            # whatever order the processor adds.
            piece = flat[begin : begin + PIECE].astype(np.float64)
            self._sums[band] += int(piece.sum())
            self._square_sums[band] += int(np.einsum("i,i->", piece, piece))


def _moments(kept: Shaped[np.ndarray, "band pixel"]) -> Moments:
    bands, pixels = kept.shape
    if not pixels:
        return Moments(0, (0.0,) * bands, (0.0,) * bands)
    wide = kept.astype(np.float64)
    mean = wide.mean(axis=1)
    squares = np.square(wide - mean[:, None]).sum(axis=1)
    return Moments(pixels, tuple(map(float, mean)), tuple(map(float, squares)))


def merge(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all pixels of several parts; the order given is the order of summing.

    Source: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm", eq. 2.1.

    >>> merge([Moments(1, (2.0,), (0.0,)), Moments(1, (4.0,), (0.0,))])
    Moments(pixels=2, mean=(3.0,), squares=(2.0,))
    """
    result: Moments | None = None
    for part in parts:
        if result is None or not result.pixels:
            result = part
        elif part.pixels:
            total = result.pixels + part.pixels
            share = part.pixels / total
            gaps = [new - old for old, new in zip(result.mean, part.mean, strict=True)]
            mean = tuple(old + gap * share for old, gap in zip(result.mean, gaps, strict=True))
            squares = tuple(
                old + new + gap * gap * result.pixels * share
                for old, new, gap in zip(result.squares, part.squares, gaps, strict=True)
            )
            result = Moments(total, mean, squares)
    if result is None:
        raise DataError("there is no part to merge.")
    return result


def normalisation_of(moments: Moments) -> Normalisation:
    """Return mean and standard deviation (of the population); a constant band gets the deviation 1.

    Raises:
        DataError: There is no valid pixel.
    """
    if not moments.pixels:
        raise DataError(
            "no pixel of the training images is valid, so bands have no mean; check nodata, masks and the guard of "
            "data.split.blocks."
        )
    deviations = [math.sqrt(max(squares, 0.0) / moments.pixels) for squares in moments.squares]
    # Below this share of the mean a deviation is rounding of float64, not signal.
    floors = [abs(mean) * 1e-12 for mean in moments.mean]
    std = tuple(value if value > floor else 1.0 for value, floor in zip(deviations, floors, strict=True))
    return Normalisation(mean=moments.mean, std=std)


def constant_bands(moments: Moments) -> list[int]:
    """Return the positions of bands that hold one value only."""
    limits = [abs(mean) * 1e-12 for mean in moments.mean]
    return [
        band
        for band, (squares, limit) in enumerate(zip(moments.squares, limits, strict=True))
        if moments.pixels and math.sqrt(max(squares, 0.0) / moments.pixels) <= limit
    ]


def class_weights(counts: Sequence[int], kind: ClassWeighting) -> tuple[float, ...]:
    """Return a weight for each class from its pixels.

    `inverse` is N / (K n_c) and `median` is median(n) / n_c, for n_c pixels of class c, N pixels and K classes that
    occur. Both give weights whose mean over pixels is of the order of 1. A class without pixels gets 1: it cannot be
    weighed, and in training it never appears.

    Args:
        counts: Labelled pixels of each class.
        kind: `none` gives 1 for every class.

    Raises:
        DataError: No class has a pixel.

    Source: `inverse`: King & Zeng 2001, "Logistic Regression in Rare Events Data", section 4.2; `median`: Eigen &
    Fergus 2015, "Predicting Depth, Surface Normals and Semantic Labels", section 6.3.3.
    Differs: `median` takes a class's share of all labelled pixels, not of the images that hold the class.

    >>> class_weights([75, 25], "inverse")
    (0.6666666666666666, 2.0)
    >>> class_weights([40, 20, 10, 0], "median")
    (0.5, 1.0, 2.0, 1.0)
    """
    if kind == "none":
        return (1.0,) * len(counts)
    present = sorted(count for count in counts if count > 0)
    if not present:
        raise DataError("no pixel is labelled, so classes have no frequencies; set the class weights to none.")
    middle = (present[(len(present) - 1) // 2] + present[len(present) // 2]) / 2
    goal = sum(present) / len(present) if kind == "inverse" else middle
    return tuple(goal / count if count > 0 else 1.0 for count in counts)
