"""Boundary pixels and bands of an image, counted in strips of rows.

A strip sees as many rows around it as tolerances and bands reach, so that the counts are those of the whole image, and
what is needed at once stays small.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt

from terrazzo.errors import LabelError, ModelError
from terrazzo.metrics.discs import MOST_CLASSES, bit_type, within_discs
from terrazzo.metrics.outlines import boundary, code_type, differing

__all__ = ["StripCounts", "strip_counts"]

_ROWS = 256


@dataclass(frozen=True)
class StripCounts:
    """What is counted in a strip.

    Attributes:
        predicted: Predicted boundary pixels.
        labelled: Labelled boundary pixels.
        matched_predicted: Predicted boundary pixels with a labelled one of their class within the radius.
        matched_labelled: Labelled boundary pixels with a predicted one of their class within the radius.
        intersection: Pixels in the predicted and in the labelled band of the class.
        union: Pixels in either.
    """

    predicted: Int64[np.ndarray, " class"]
    labelled: Int64[np.ndarray, " class"]
    matched_predicted: Int64[np.ndarray, "radius class"]
    matched_labelled: Int64[np.ndarray, "radius class"]
    intersection: Int64[np.ndarray, " class"]
    union: Int64[np.ndarray, " class"]


def strip_counts(
    prediction: Integer[np.ndarray, "y x"],
    target: Integer[np.ndarray, "y x"],
    ignored: Bool[np.ndarray, "y x"],
    classes: int,
    *,
    squared_radii: Sequence[int],
    width: int | None,
) -> Iterator[StripCounts]:
    """Yield what is counted in each strip of an image.

    Args:
        prediction: Class of each pixel, 0..K-1; anything where ignored.
        target: Label of each pixel, 0..K-1; anything where ignored.
        ignored: Pixels that have no class in either.
        classes: K.
        squared_radii: Squares of the tolerances in pixels, the smallest first.
        width: Of the bands, in pixels; None counts none.

    Raises:
        LabelError: A counted pixel's label is outside 0..K-1.
        ModelError: A counted pixel's prediction is outside 0..K-1.
    """
    height = len(target)
    around = max(_reach(squared_radii), width or 0)
    rows = max(_ROWS, around)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        seen = slice(max(0, top - around), min(height, bottom + around))
        inner = slice(top - seen.start, bottom - seen.start)
        maps = [
            _codes(values[seen], ignored[seen], classes, error)
            for values, error in ((prediction, ModelError), (target, LabelError))
        ]
        predicted, labelled, matched = _boundaries(maps, inner, classes, squared_radii)
        intersection = union = np.zeros(classes, dtype=np.int64)
        if width is not None:
            intersection, union = _bands(maps, inner, classes, width, above=seen.start, height=height)
        yield StripCounts(predicted, labelled, matched[0], matched[1], intersection, union)


def _reach(squared_radii: Sequence[int]) -> int:
    """Return how many rows a strip must see: whether a pixel is a boundary depends on one more than the radius."""
    return math.isqrt(max(squared_radii, default=0)) + 1


def _codes(
    values: Integer[np.ndarray, "y x"],
    ignored: Bool[np.ndarray, "y x"],
    classes: int,
    error: type[LabelError] | type[ModelError],
) -> UInt[np.ndarray, "y x"]:
    """Return the class of each pixel, and K where it is ignored."""
    counted = np.where(ignored, values.dtype.type(0), values)
    if counted.min() < 0 or counted.max() >= classes:
        unlisted = np.unique(counted[(counted < 0) | (counted >= classes)])[:10].tolist()
        word = "Labels" if error is LabelError else "Predictions"
        raise error(f"{word} {unlisted} are no classes (0..{classes - 1}); mark pixels without a class as ignored.")
    codes = counted.astype(code_type(classes))
    codes[ignored] = classes
    return codes


def _boundaries(
    maps: Sequence[UInt[np.ndarray, "y x"]], inner: slice, classes: int, squared_radii: Sequence[int]
) -> tuple[Int64[np.ndarray, " class"], Int64[np.ndarray, " class"], list[Int64[np.ndarray, "radius class"]]]:
    """Return the boundary pixels of a strip in each map, and how many of them match by radius."""
    seen = slice(max(0, inner.start - _reach(squared_radii)), inner.stop + _reach(squared_radii))
    inner = slice(inner.start - seen.start, inner.stop - seen.start)
    outlines = [_Outline.of(codes[seen], classes, inner) for codes in maps]
    matched = [np.zeros((len(squared_radii), classes), dtype=np.int64) for _ in maps]
    # Only a class that has boundaries in both maps can match.
    shared = np.logical_and(*(outline.around > 0 for outline in outlines)).nonzero()[0]
    for first in range(0, len(shared), MOST_CLASSES):
        group = shared[first : first + MOST_CLASSES]
        # Of each class its bit; of the others none.
        table = np.zeros(classes, dtype=bit_type(len(group)))
        table[group] = np.left_shift(table.dtype.type(1), np.arange(len(group), dtype=table.dtype))
        for number, (own, other) in enumerate((outlines, outlines[::-1])):
            matched[number] += own.matches(table, within_discs(other.bits(table), squared_radii), inner)
    predicted, labelled = (_count(outline.inner_owners, classes) for outline in outlines)
    return predicted, labelled, matched


@dataclass(frozen=True)
class _Outline:
    """The boundary pixels of a strip and of the rows around it.

    Attributes:
        shape: Height and width with the rows around.
        positions: Of the boundary pixels, row by row.
        owners: Their classes.
        inner_positions: Of those in the strip, counted from its first pixel.
        inner_owners: Their classes.
        around: Boundary pixels of each class, those around the strip among them.
    """

    shape: tuple[int, int]
    positions: Int64[np.ndarray, " pixel"]
    owners: UInt[np.ndarray, " pixel"]
    inner_positions: Int64[np.ndarray, " own"]
    inner_owners: UInt[np.ndarray, " own"]
    around: Int64[np.ndarray, " class"]

    @staticmethod
    def of(codes: UInt[np.ndarray, "y x"], classes: int, inner: slice) -> "_Outline":
        """Find the boundary pixels of a map."""
        width = codes.shape[1]
        positions = boundary(codes, classes).ravel().nonzero()[0]
        owners = codes.ravel()[positions]
        first, last = np.searchsorted(positions, (inner.start * width, inner.stop * width)).tolist()
        return _Outline(
            shape=(codes.shape[0], width),
            positions=positions,
            owners=owners,
            inner_positions=positions[first:last] - inner.start * width,
            inner_owners=owners[first:last],
            around=_count(owners, classes),
        )

    def matches(
        self, table: UInt[np.ndarray, " class"], near: Sequence[UInt[np.ndarray, "y x"]], inner: slice
    ) -> Int64[np.ndarray, "radius class"]:
        """Return how many boundary pixels in the strip have their class's bit in the maps of what is near.

        Args:
            table: The bit of each class; 0 of those that are not looked for.
            near: For each radius the bits within it, the smallest radius first.
            inner: Rows of the strip.
        """
        radii, classes = len(near), len(table)
        wanted = table[self.inner_owners]
        missed = np.zeros(len(wanted), dtype=np.uint16)
        for bits in near:
            missed += (bits[inner].ravel()[self.inner_positions] & wanted) == 0
        # What is within a radius is within all larger ones: the number of those that miss says which.
        cells = np.bincount(self.inner_owners * np.uint32(radii + 1) + missed, minlength=classes * (radii + 1))
        return cells.reshape(classes, radii + 1).cumsum(axis=1)[:, :radii].T.astype(np.int64)

    def bits(self, table: UInt[np.ndarray, " class"]) -> UInt[np.ndarray, "y x"]:
        """Return a map of the boundary pixels, each with the bit of its class."""
        bits = np.zeros(math.prod(self.shape), dtype=table.dtype)
        bits[self.positions] = table[self.owners]
        return bits.reshape(self.shape)


def _bands(
    maps: Sequence[UInt[np.ndarray, "y x"]], inner: slice, classes: int, width: int, *, above: int, height: int
) -> tuple[Int64[np.ndarray, " class"], Int64[np.ndarray, " class"]]:
    """Return intersections and unions of the bands of a strip, whose first row is row `above` of the image."""
    bands = []
    for codes in maps:
        band = differing(codes, classes, width)
        # Beyond the border lies another class, as it were.
        border = np.zeros_like(band)
        border[: max(0, width - above)] = True
        border[max(0, height - width - above) :] = True
        border[:, :width] = True
        border[:, max(0, band.shape[1] - width) :] = True
        bands.append((band | (border & (codes != classes)))[inner])
    predicted, labelled = (codes[inner] for codes in maps)
    intersection = _count(labelled[bands[0] & bands[1] & (predicted == labelled)], classes)
    both = _count(predicted[bands[0]], classes) + _count(labelled[bands[1]], classes)
    return intersection, both - intersection


def _count(codes: UInt[np.ndarray, " pixel"], classes: int) -> Int64[np.ndarray, " class"]:
    """Return how often each class occurs."""
    return np.bincount(codes, minlength=classes).astype(np.int64)
