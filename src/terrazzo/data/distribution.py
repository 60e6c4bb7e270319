"""How the values of each band are distributed: a small sketch an image, and the quantiles of all of them.

A scene whose values lie elsewhere than the training's is found by these quantiles before it is mapped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Int64, Shaped
from pydantic import Field, model_validator

from terrazzo.record import Record

__all__ = ["QUANTILE_SHARES", "Distribution", "Sketch", "SketchSum", "distribution_of", "weighted_quantiles"]

QUANTILE_SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""Shares of the pixels that lie at or below each quantile."""

SAMPLED_PIXELS = 2**16
"""Most pixels of an image that enter its sketch. An image of 256 x 256 is taken whole; counting every pixel of larger
ones would take as long as decoding them, and 65,536 evenly spread ones give every quantile to 0.2 % of the pixels."""
EXACT_VALUES = 256
"""Up to this many different values of a band are counted one by one, as those of 8 bit are."""
ATOMS = 128
"""Values of a band that has more: each stands for an equal share of the pixels, so that quantiles keep to 1/256."""


class Distribution(Record):
    """Quantiles of each band's raw values over the valid pixels of the training images."""

    quantiles: Annotated[tuple[tuple[float, ...], ...], Field(min_length=1)]
    """For each band the values at or below which 0, 1, 5, 25, 50, 75, 95, 99 and 100 % of the pixels lie."""
    deviation: tuple[Annotated[float, Field(gt=0)], ...]
    """Standard deviation of each band, in raw units; 1 where a band is constant."""

    @model_validator(mode="after")
    def _fits(self) -> "Distribution":
        if len(self.quantiles) != len(self.deviation):
            raise ValueError(f"quantiles of {len(self.quantiles)} bands but {len(self.deviation)} deviations")
        for quantiles in self.quantiles:
            if len(quantiles) != len(QUANTILE_SHARES) or list(quantiles) != sorted(quantiles):
                raise ValueError(f"a band needs {len(QUANTILE_SHARES)} ascending quantiles, not {list(quantiles)}")
        return self


@dataclass(frozen=True)
class Sketch:
    """Some values of each band and how many pixels each stands for.

    Attributes:
        values: For each band, ascending values in raw units.
        counts: For each band, the pixels that each value stands for.
    """

    values: tuple[tuple[float, ...], ...] = ()
    counts: tuple[tuple[int, ...], ...] = ()


class SketchSum:
    """The sketch of one image, gathered strip by strip; where the strips are cut makes no difference.

    Pixels on an even lattice over the image are taken, all of them where the image is small.

    Args:
        bands: Number of bands.
        height: Rows of the image.
        width: Columns of the image.
    """

    def __init__(self, bands: int, height: int, width: int) -> None:
        self._step = math.ceil(math.sqrt(height * width / SAMPLED_PIXELS))
        self._parts: list[list[Shaped[np.ndarray, " pixel"]]] = [[] for _ in range(bands)]

    def add(self, y: int, values: Shaped[np.ndarray, "band y x"], valid: Bool[np.ndarray, "y x"]) -> None:
        """Add the valid pixels of a strip.

        Args:
            y: First row of the strip in the image.
            values: Raw values over the image's whole width.
            valid: Which of them count.
        """
        lattice = slice(-y % self._step, None, self._step), slice(None, None, self._step)
        taken = valid[lattice]
        for parts, plane in zip(self._parts, values, strict=True):
            parts.append(plane[lattice][taken])

    def result(self) -> Sketch:
        """Return the sketch of everything added."""
        found = [_reduced(np.concatenate(parts)) if parts else _reduced(np.empty(0)) for parts in self._parts]
        # Each pixel of the lattice stands for those around it, so that large images count for more.
        weight = self._step**2
        return Sketch(
            values=tuple(tuple(map(float, values)) for values, _ in found),
            counts=tuple(tuple(int(count) * weight for count in counts) for _, counts in found),
        )


def _reduced(sample: Shaped[np.ndarray, " pixel"]) -> tuple[Shaped[np.ndarray, " value"], Int64[np.ndarray, " value"]]:
    """Return some values of a sample, its least and its largest among them, and how many each stands for."""
    values, counts = np.unique(sample, return_counts=True)
    if len(values) <= EXACT_VALUES:
        return values, counts.astype(np.int64)
    last = len(sample) - 1
    ranks = (np.arange(ATOMS) * last + (ATOMS - 1) // 2) // (ATOMS - 1)
    upper = np.append((ranks[:-1] + ranks[1:]) // 2 + 1, len(sample))
    atoms = values[np.searchsorted(np.cumsum(counts), ranks, side="right")]
    return atoms, np.diff(upper, prepend=0).astype(np.int64)


def distribution_of(sketches: Sequence[Sketch], deviation: Sequence[float]) -> Distribution | None:
    """Return the quantiles of all pixels of several images; None where no sketch holds any.

    Args:
        sketches: One an image; their order makes no difference.
        deviation: Standard deviation of each band, in raw units.
    """
    filled = [sketch for sketch in sketches if sketch.values and sketch.values[0]]
    if not filled:
        return None
    quantiles = []
    for band in range(len(deviation)):
        values = np.concatenate([np.asarray(sketch.values[band], dtype=np.float64) for sketch in filled])
        counts = np.concatenate([np.asarray(sketch.counts[band], dtype=np.int64) for sketch in filled])
        quantiles.append(weighted_quantiles(values, counts))
    return Distribution(quantiles=tuple(quantiles), deviation=tuple(deviation))


def weighted_quantiles(values: Shaped[np.ndarray, " value"], counts: Int64[np.ndarray, " value"]) -> tuple[float, ...]:
    """Return the least values at or below which each of `QUANTILE_SHARES` of the pixels lies.

    Args:
        values: Values in any order, each as often as it comes.
        counts: Pixels that each stands for; at least one in all.

    >>> weighted_quantiles(np.array([3, 1]), np.array([1, 3]))
    (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0)
    """
    order = np.argsort(values, kind="stable")
    below = np.cumsum(counts[order])
    wanted = np.maximum(np.ceil(np.array(QUANTILE_SHARES) * below[-1]), 1)
    return tuple(map(float, values[order][np.searchsorted(below, wanted, side="left")]))
