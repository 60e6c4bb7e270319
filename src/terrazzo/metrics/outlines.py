"""Boundary pixels and bands along boundaries, of all classes of a map at once.

A map is an array of codes: class 0..K-1, and K where nothing is known. A boundary runs between two classes, never
between a class and what is not known.
"""

import numpy as np
from jaxtyping import Bool, UInt

__all__ = ["boundary", "code_type", "differing"]


def code_type(classes: int) -> np.dtype[np.unsignedinteger]:
    """Return the type of the codes of so many classes: it holds K + 1.

    >>> code_type(254), code_type(255)
    (dtype('uint8'), dtype('uint16'))
    """
    return np.dtype(np.uint8 if classes <= 254 else np.uint16)


def boundary(codes: UInt[np.ndarray, "y x"], classes: int) -> Bool[np.ndarray, "y x"]:
    """Return the inner boundaries: pixels with another known class among their four neighbours.

    Such a pixel belongs to the boundary of its own class, so that one map says the boundaries of all classes. The
    image's border is no boundary.

    Args:
        codes: 0..K-1, or K.
        classes: K.
    """
    edge = np.zeros(codes.shape, dtype=np.bool_)
    known = codes != classes
    for first, second in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        change = (codes[first] != codes[second]) & known[first] & known[second]
        edge[first] |= change
        edge[second] |= change
    return edge


def differing(codes: UInt[np.ndarray, "y x"], classes: int, reach: int) -> Bool[np.ndarray, "y x"]:
    """Return the known pixels with another known class in the square of 2 * reach + 1 pixels around them.

    That is a class minus its erosion, `reach` times, by a square of 3 x 3 pixels, for all classes: distances are
    Chebyshev's. Outside the image nothing is known.

    Args:
        codes: 0..K-1, or K.
        classes: K.
        reach: In pixels.
    """
    known = codes != classes
    # What is not known is the largest code here, and the smallest there: neither minimum nor maximum takes it.
    lowest = _in_squares(codes, reach, np.minimum, outside=classes)
    highest = _in_squares(np.where(known, codes + codes.dtype.type(1), 0).astype(codes.dtype), reach, np.maximum, 0)
    apart: Bool[np.ndarray, "y x"] = known & (lowest + codes.dtype.type(1) != highest)
    return apart


def _in_squares(
    values: UInt[np.ndarray, "y x"], reach: int, extreme: np.ufunc, outside: int
) -> UInt[np.ndarray, "y x"]:
    """Return the extreme in the square around each pixel: along rows, then along columns."""
    along_rows = _in_windows(values.T, reach, extreme, outside)
    return _in_windows(along_rows.T, reach, extreme, outside)


def _in_windows(
    values: UInt[np.ndarray, "y x"], reach: int, extreme: np.ufunc, outside: int
) -> UInt[np.ndarray, "y x"]:
    """Return the extreme in the window of 2 * reach + 1 pixels along the first axis, from windows of doubled size."""
    length, size = 2 * reach + 1, 1
    found = np.pad(values, ((reach, reach), (0, 0)), constant_values=outside)
    while 2 * size <= length:
        found = extreme(found[:-size], found[size:])
        size *= 2
    rest = length - size
    return extreme(found[:-rest], found[rest:]) if rest else found
