"""Linked elements in order, against following each link by hand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.scene.polygons.chains import chains_of, ranges


def by_hand(successors: list[int]) -> list[tuple[list[int], bool]]:
    followed = set(successors)
    found, seen = [], set()
    heads = [number for number in range(len(successors)) if number not in followed]
    for begin in [*heads, *range(len(successors))]:
        if begin in seen:
            continue
        chain, at = [], begin
        while at >= 0 and at not in seen:
            seen.add(at)
            chain.append(at)
            at = successors[at]
        found.append((chain, at >= 0))
    return sorted(found)


@settings(deadline=None)
@given(order=st.permutations(range(12)), cut=st.sets(st.integers(0, 11)))
def test_paths_and_cycles(order: list[int], cut: set[int]) -> None:
    successors = [-1 if number in cut else follower for number, follower in enumerate(order)]
    found = chains_of(np.array(successors))
    assert [
        (found.order[begin:end].tolist(), bool(closed))
        for begin, end, closed in zip(found.begins[:-1], found.begins[1:], found.closed, strict=True)
    ] == by_hand(successors)
    assert found.heads.tolist() == [chain[0] for chain, _ in by_hand(successors)]
    assert found.tails.tolist() == [chain[-1] for chain, _ in by_hand(successors)]
    assert found.lengths.sum() == 12


def test_nothing() -> None:
    assert len(chains_of(np.zeros(0, dtype=np.int64))) == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=6))
def test_ranges(given_ranges: list[tuple[int, int]]) -> None:
    begins = np.array([begin for begin, _ in given_ranges], dtype=np.int64)
    lengths = np.array([length for _, length in given_ranges], dtype=np.int64)
    expected = [number for begin, length in given_ranges for number in range(begin, begin + length)]
    assert ranges(begins, lengths).tolist() == expected
