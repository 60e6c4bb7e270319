"""Bringing linked elements into order: paths and cycles of which each element knows only the next."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int64
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

__all__ = ["Chains", "chains_of", "ranges"]


@dataclass(frozen=True)
class Chains:
    """Elements, chain by chain.

    Attributes:
        order: Every element once; a chain's elements stand together, each before its successor.
        begins: Where each chain begins in `order`, and the number of elements.
        closed: Whether a chain's last element leads back to its first.
    """

    order: Int64[np.ndarray, " element"]
    begins: Int64[np.ndarray, " chains_and_one"]
    closed: Bool[np.ndarray, " chain"]

    def __len__(self) -> int:
        return len(self.closed)

    @property
    def lengths(self) -> Int64[np.ndarray, " chain"]:
        """Elements of each chain."""
        return np.diff(self.begins)

    @property
    def heads(self) -> Int64[np.ndarray, " chain"]:
        """First element of each chain."""
        return np.asarray(self.order[self.begins[:-1]])

    @property
    def tails(self) -> Int64[np.ndarray, " chain"]:
        """Last element of each chain."""
        return np.asarray(self.order[self.begins[1:] - 1])


def chains_of(successors: Int[np.ndarray, " element"]) -> Chains:
    """Order elements along their links.

    Chains are sorted by their first element; a cycle begins with its lowest one.

    Args:
        successors: The element after each one, -1 where there is none. No element follows two.

    >>> found = chains_of(np.array([2, 4, -1, 1, 3]))
    >>> found.order, found.begins, found.closed
    (array([0, 2, 1, 4, 3]), array([0, 2, 5]), array([False,  True]))
    """
    count = len(successors)
    if not count:
        return Chains(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, bool))
    linked = np.flatnonzero(successors >= 0)
    predecessors = np.full(count, -1, dtype=np.int64)
    predecessors[successors[linked]] = linked
    graph = _graph(successors)
    # Chains are the graph's connected parts.
    parts, part = connected_components(graph, directed=False)
    first = np.empty(parts, dtype=np.int64)
    # Of several values for one place numpy keeps the last: the lowest element.
    first[part[::-1]] = np.arange(count - 1, -1, -1)
    heads = np.flatnonzero(predecessors < 0)
    closed = np.ones(parts, dtype=bool)
    first[part[heads]] = heads
    closed[part[heads]] = False
    ranked = np.argsort(first)
    last = np.empty(parts, dtype=np.int64)
    ends = np.flatnonzero(successors < 0)
    last[part[ends]] = ends
    last[closed] = predecessors[first[closed]]
    # All chains one behind the other are a single path, which is walked in one go.
    path = successors.astype(np.int64)
    path[last[ranked[:-1]]] = first[ranked[1:]]
    path[last[ranked[-1]]] = -1
    walked = breadth_first_order(_graph(path), first[ranked[0]], return_predecessors=False).astype(np.int64)
    sizes = np.bincount(part, minlength=parts)[ranked]
    return Chains(walked, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), closed[ranked])


def _graph(successors: Int[np.ndarray, " element"]) -> csr_array:
    """Return the links as a sparse matrix."""
    count = len(successors)
    has = successors >= 0
    rows = np.zeros(count + 1, dtype=np.int32)
    np.cumsum(has, out=rows[1:])
    columns = successors[has].astype(np.int32)
    return csr_array((np.ones(len(columns)), columns, rows), shape=(count, count))


def ranges(begins: Int[np.ndarray, " range"], lengths: Int[np.ndarray, " range"]) -> Int64[np.ndarray, " number"]:
    """Return the numbers of several ranges one after the other.

    >>> ranges(np.array([3, 7]), np.array([2, 3]))
    array([3, 4, 7, 8, 9])
    """
    shifts = begins.astype(np.int64) - (np.cumsum(lengths) - lengths)
    return np.repeat(shifts, lengths) + np.arange(int(lengths.sum()), dtype=np.int64)
