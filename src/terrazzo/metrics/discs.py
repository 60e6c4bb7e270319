"""Which classes lie within a distance of each pixel: dilation by discs, of all classes at once.

A pixel is an unsigned integer whose bit k stands for class k, so that one OR moves the pixels of all classes.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt

__all__ = ["MOST_CLASSES", "bit_type", "within_discs"]

MOST_CLASSES = 64
"""Bits of the largest type."""


def bit_type(classes: int) -> np.dtype[np.unsignedinteger]:
    """Return the smallest type that has a bit for each of 1..64 classes.

    >>> bit_type(8), bit_type(9)
    (dtype('uint8'), dtype('uint16'))
    """
    return np.dtype(f"uint{max(8, 2 ** math.ceil(math.log2(classes)))}")


def within_discs(bits: UInt[np.ndarray, "y x"], squared_radii: Sequence[int]) -> list[UInt[np.ndarray, "y x"]]:
    """Return, for each radius, the bits of all pixels whose Euclidean distance is at most the radius.

    A disc is a stack of rows. Rows are widened one pixel at a time, and each disc takes the widths that it has: all
    radii together cost what the largest alone would, but for the stacking.

    Args:
        bits: One bit a class.
        squared_radii: Squares of the radii in pixels; distances between pixels are roots of integers, so that integers
            say everything.
    """
    spans = [
        [math.isqrt(squared - step * step) for step in range(math.isqrt(squared) + 1)] for squared in squared_radii
    ]
    height, width = bits.shape
    found = [np.zeros_like(bits) for _ in squared_radii]
    wide = bits.copy()
    for reach in range(max((span[0] for span in spans), default=-1) + 1):
        if 0 < reach < width:
            wide[:, reach:] |= bits[:, :-reach]
            wide[:, :-reach] |= bits[:, reach:]
        for result, span in zip(found, spans, strict=True):
            for step, half in enumerate(span):
                if half != reach or step >= height:
                    continue
                result[step:] |= wide[: height - step]
                result[: height - step] |= wide[step:]
    return found
