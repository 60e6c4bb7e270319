"""A few thousand pixels of an image that stand for all its labelled ones, drawn while its rows go by.

Every pixel has a place in line, a hash of the image's name and the pixel's position: the first ones in line are drawn,
whoever asks, in whatever pieces and order the pixels come.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Integer, UInt64

__all__ = ["LEAST_OF_A_CLASS", "PixelSample", "SampledPixels"]

LEAST_OF_A_CLASS = 32
"""Pixels that are drawn of each class that an image holds, however rare it is; all where it has fewer, and fewer where
there are so many classes that these would be more than all others."""


@dataclass(frozen=True)
class SampledPixels:
    """Pixels drawn from one image, in their places in line.

    A weighted sum over them estimates the sum over all labelled pixels without bias: the pixels of one class that were
    drawn are a plain random sample of that class, and each stands for as many as it has pixels for each one drawn.

    Attributes:
        y: Row of each.
        x: Column of each.
        target: Class of each.
        weight: Labelled pixels of the image that each stands for, at least 1.
        values: What was kept of each.
    """

    y: Int64[np.ndarray, " pixel"]
    x: Int64[np.ndarray, " pixel"]
    target: Int64[np.ndarray, " pixel"]
    weight: Float64[np.ndarray, " pixel"]
    values: Float32[np.ndarray, "pixel value"]

    def __len__(self) -> int:
        return len(self.target)


class PixelSample:
    """Draws pixels of one image: a plain random sample, and so many of each rare class as it lacks.

    A plain sample alone would hold next to nothing of rare classes, on which factors and offsets of classes are fitted;
    the same number of each class would describe a population that does not exist. So all classes share one line: drawn
    are the first `pixels` of it, and the first `least` of each class. Within a class these are the first in line, a
    plain random sample, whose weights (pixels of the class over those drawn) keep every sum right.

    Source: Cohen, Summarizing data using bottom-k sketches, PODC 2007 (ranks in place of coins); Horvitz and Thompson,
        A generalization of sampling without replacement from a finite universe, JASA 1952, within strata (weights).

    Args:
        name: Of the image, once in its catalog; decides what is drawn.
        pixels: How many are drawn, besides those of rare classes.
        classes: Classes.
        width: Columns of the image.
        least: Pixels of each class that it holds.
    """

    def __init__(self, name: str, *, pixels: int, classes: int, width: int, least: int = LEAST_OF_A_CLASS) -> None:
        self._seed = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
        self._pixels = pixels
        # Half of what is drawn at the most.
        self._least = min(least, max(pixels // classes, 1))
        self._width = width
        self._counts = np.zeros(classes, dtype=np.int64)
        # From which place in line on a pixel is certainly not drawn: for all classes alike, and for each.
        self._limit = np.uint64(np.iinfo(np.uint64).max)
        self._limits = np.full(classes, self._limit, dtype=np.uint64)
        self._places: UInt64[np.ndarray, " pixel"] = np.empty(0, dtype=np.uint64)
        self._positions: Int64[np.ndarray, " pixel"] = np.empty(0, dtype=np.int64)
        self._targets: Int64[np.ndarray, " pixel"] = np.empty(0, dtype=np.int64)
        self._values: Float32[np.ndarray, "pixel value"] | None = None

    def add(
        self,
        target: Integer[np.ndarray, "y x"],
        ignored: Bool[np.ndarray, "y x"],
        values: Callable[
            [Int64[np.ndarray, " pixel"], Int64[np.ndarray, " pixel"]], Float32[np.ndarray, "pixel value"]
        ],
        *,
        y: int,
        x: int = 0,
    ) -> None:
        """Draw among further pixels, each of which comes once.

        Args:
            target: Classes 0..K-1; anything where ignored.
            ignored: Where nothing counts.
            values: Returns what is to be kept of pixels, given their rows and columns within these.
            y: Row in the image of the first of these.
            x: Column in the image of the first of these.
        """
        rows, columns = np.nonzero(~ignored)
        classes = target[rows, columns].astype(np.int64)
        self._counts += np.bincount(classes, minlength=len(self._counts))
        positions = (rows + y) * self._width + (columns + x)
        places = _places(self._seed, positions)
        chance = np.flatnonzero((places <= self._limit) | (places <= self._limits[classes]))
        # What is not drawn among these alone is not drawn among all.
        chance = chance[_drawn(places[chance], classes[chance], self._pixels, self._least)]
        if not len(chance):
            return
        found = values(rows[chance], columns[chance])
        self._places = np.concatenate([self._places, places[chance]])
        self._positions = np.concatenate([self._positions, positions[chance]])
        self._targets = np.concatenate([self._targets, classes[chance]])
        self._values = found if self._values is None else np.concatenate([self._values, found])
        self._let_go()

    def result(self) -> SampledPixels:
        """Return the pixels that are drawn of all that have come."""
        drawn = np.bincount(self._targets, minlength=len(self._counts))
        weights = self._counts / np.maximum(drawn, 1)
        values = np.empty((0, 0), dtype=np.float32) if self._values is None else self._values
        return SampledPixels(
            y=self._positions // self._width,
            x=self._positions % self._width,
            target=self._targets,
            weight=weights[self._targets],
            values=values,
        )

    def _let_go(self) -> None:
        """Keep those that are drawn by now, in their places, and note from where on no other can be."""
        kept = _drawn(self._places, self._targets, self._pixels, self._least)
        self._places, self._positions, self._targets = self._places[kept], self._positions[kept], self._targets[kept]
        if self._values is not None:
            self._values = self._values[kept]
        if len(self._places) >= self._pixels:
            self._limit = self._places[self._pixels - 1]
        for number in np.unique(self._targets):
            own = self._places[self._targets == number]
            if len(own) >= self._least:
                self._limits[number] = own[self._least - 1]


def _drawn(
    places: UInt64[np.ndarray, " pixel"], targets: Int64[np.ndarray, " pixel"], pixels: int, least: int
) -> Int64[np.ndarray, " drawn"]:
    """Return which pixels are drawn, in their places: the first of all, and the first of each class."""
    order = np.argsort(places)
    kept = np.zeros(len(order), dtype=bool)
    kept[:pixels] = True
    in_order = targets[order]
    for number in np.unique(in_order):
        kept[np.flatnonzero(in_order == number)[:least]] = True
    return order[kept]


def _places(seed: np.uint64, positions: Int64[np.ndarray, " pixel"]) -> UInt64[np.ndarray, " pixel"]:
    """Return each pixel's place in line: no two of an image have the same.

    Source: SplitMix64; Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    mixed = seed + (positions.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
