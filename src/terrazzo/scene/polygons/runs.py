"""Runs: pixels of one value side by side in a row, and which of them touch from row to row."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, Int64, Shaped
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["Runs", "runs_of", "united"]


@dataclass(frozen=True)
class Runs:
    """The runs of an array, in raster order.

    Attributes:
        numbers: The run of each pixel.
        begins: Flat position of each run's first pixel.
        lengths: Pixels of each.
        upper: Runs that touch one of the same value in the row below.
        lower: These runs below.
    """

    numbers: Int32[np.ndarray, "y x"]
    begins: Int64[np.ndarray, " run"]
    lengths: Int64[np.ndarray, " run"]
    upper: Int32[np.ndarray, " touch"]
    lower: Int32[np.ndarray, " touch"]

    def __len__(self) -> int:
        return len(self.begins)

    @property
    def rows(self) -> Int64[np.ndarray, " run"]:
        """Row of each run."""
        return np.asarray(self.begins // self.numbers.shape[1])


def runs_of(values: Shaped[np.ndarray, "y x"]) -> Runs:
    """Find runs and where they touch.

    >>> found = runs_of(np.array([[5, 5, 7], [5, 7, 7]]))
    >>> found.begins, found.upper, found.lower
    (array([0, 2, 3, 4]), array([0, 1], dtype=int32), array([2, 3], dtype=int32))
    """
    height, width = values.shape
    begin = np.ones((height, width), dtype=bool)
    np.not_equal(values[:, 1:], values[:, :-1], out=begin[:, 1:])
    begins = np.flatnonzero(begin)
    lengths = np.diff(np.append(begins, height * width))
    flat = np.repeat(np.arange(len(begins), dtype=np.int32), lengths)
    # Two runs touch along many pixels; where one of them begins suffices.
    touch = values[1:] == values[:-1]
    touch &= begin[1:] | begin[:-1]
    where = np.flatnonzero(touch)
    return Runs(flat.reshape(height, width), begins, lengths, flat[where], flat[where + width])


def united(
    count: int, one: Int[np.ndarray, " pair"], other: Int[np.ndarray, " pair"]
) -> tuple[int, Int64[np.ndarray, " element"]]:
    """Number the groups of elements that pairs hold together.

    Args:
        count: Elements.
        one: One element of each pair.
        other: The other.

    Returns:
        Number of groups, and the group of each element.
    """
    if not count:
        return 0, np.zeros(0, dtype=np.int64)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(count, count)).tocsr()
    groups, group = connected_components(graph, directed=False)
    return int(groups), group.astype(np.int64)
