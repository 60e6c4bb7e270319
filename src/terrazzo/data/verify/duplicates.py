"""Pictures that come twice, also turned or mirrored, found by a perceptual hash and confirmed by correlation."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt64
from scipy.fft import dct

from terrazzo.data.verify.reduction import Reduced

__all__ = ["MOVES", "SIDE", "Twin", "find_twins", "thumbnail"]

SIDE = 32
"""Pixels of a thumbnail's side."""
HASHED = 8
"""Lowest frequencies along each axis that make the hash; the mean is left out, which leaves 63 bits."""
LEAST_DETAIL = 1e-3
"""Deviation of a thumbnail from a plane, as a share of its mean, below which a picture is too even to be compared."""
BITS = HASHED**2 - 1
"""Bits of a hash."""
AT_ONCE = 512
"""Hashes of each side that are compared at once, and pictures that are correlated at once: they stay in the cache."""
BUCKETED_FROM = 2**12
"""Pictures from which on hashes are sorted into buckets; among fewer, comparing all is faster."""
BUCKETED_BITS = 10
"""Bits up to which buckets spare most comparisons; beyond, they are too wide."""
MOVES = (
    "",
    "turned by 90 degrees",
    "turned by 180 degrees",
    "turned by 270 degrees",
    "mirrored",
    "mirrored and turned by 90 degrees",
    "mirrored and turned by 180 degrees",
    "mirrored and turned by 270 degrees",
)
"""The eight ways in which a square lies upon itself, in the order of `_moved`; turns are counter-clockwise."""


@dataclass(frozen=True)
class Twin:
    """Two pictures of one thing.

    Attributes:
        first: Position of the earlier picture.
        second: Position of the later one.
        move: What makes the second of the first, such as "mirrored"; empty where they lie alike.
        correlation: Of both thumbnails, 0..1.
    """

    first: int
    second: int
    move: str
    correlation: float


def thumbnail(view: Reduced) -> Float32[np.ndarray, "32 32"] | None:
    """Return a picture on 32 x 32 cells without its mean and slope, at length 1; None where it is too even to compare.

    Args:
        view: The reduced image.
    """
    down, across = _spread(view.height, view.factor), _spread(view.width, view.factor)
    small = down @ view.brightness.astype(np.float64) @ across.T
    # A slope of brightness, as over water or by vignetting, makes any two pictures alike.
    ramp = np.linspace(-1.0, 1.0, SIDE)
    rest = small - small.mean()
    steepness = float((ramp**2).mean())
    rest = rest - np.outer(ramp, np.ones(SIDE)) * float((rest * ramp[:, None]).mean()) / steepness
    rest = rest - np.outer(np.ones(SIDE), ramp) * float((rest * ramp[None]).mean()) / steepness
    length = float(np.linalg.norm(rest))
    if not np.isfinite(length) or length <= LEAST_DETAIL * SIDE * max(float(np.abs(small).mean()), 1e-12):
        return None
    picture: Float32[np.ndarray, "32 32"] = (rest / length).astype(np.float32)
    return picture


@lru_cache(maxsize=64)
def _spread(pixels: int, factor: int) -> Float64[np.ndarray, "32 cell"]:
    """Return the weights that bring a row of cells onto a thumbnail's side, each cell shared by its pixels.

    The last cell may be narrower: taken for a whole one, it would make a turned copy another picture.
    """
    edges = np.linspace(0.0, pixels, SIDE + 1)
    lower, upper = edges[:-1, None], edges[1:, None]
    begin = np.arange(0, pixels, factor)[None]
    shared = np.clip(np.minimum(upper, np.minimum(begin + factor, pixels)) - np.maximum(lower, begin), 0.0, None)
    weights: Float64[np.ndarray, "32 cell"] = shared / shared.sum(axis=1, keepdims=True)
    return weights


def find_twins(
    thumbnails: Sequence[Float32[np.ndarray, "32 32"]],
    *,
    bits: int,
    correlation: float,
    groups: Sequence[Hashable] | None = None,
) -> list[Twin]:
    """Return for each picture the first earlier one of each group that shows the same, by second, then by first.

    Memory follows the number of pictures, also where many are alike; processor time follows its square, but most pairs
    are never met: a hundred thousand pictures that differ take less than half a minute.

    Args:
        thumbnails: As `thumbnail` makes them.
        bits: Bits by which hashes may differ, of 63.
        correlation: Least correlation of the thumbnails.
        groups: What each picture belongs to, such as its split; all are one group if None.

    Source: hash by the signs of low frequencies: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash
    Functions", section 3.2.1. Differs: signs instead of a comparison with the median, which turns and mirrors keep.
    """
    if len(thumbnails) < 2:
        return []
    groups = groups or [None] * len(thumbnails)
    best: dict[tuple[int, Hashable], Twin] = {}
    for move, seconds, firsts in _candidates(_hashes(thumbnails), bits):
        alike = _correlations(thumbnails, seconds, firsts, move)
        chosen = alike >= correlation
        found = zip(seconds[chosen].tolist(), firsts[chosen].tolist(), alike[chosen].tolist(), strict=True)
        for second, first, value in found:
            known = best.get((second, groups[first]))
            # Moves come in their order: of those that fit alike, the simplest counts.
            if known is None or (first, -value) < (known.first, -known.correlation):
                best[second, groups[first]] = Twin(first, second, MOVES[move], value)
    return sorted(best.values(), key=lambda twin: (twin.second, twin.first))


def _candidates(
    hashes: UInt64[np.ndarray, "move image"], bits: int
) -> Iterator[tuple[int, Int64[np.ndarray, " pair"], Int64[np.ndarray, " pair"]]]:
    """Yield a move, and later and earlier pictures whose hashes differ by so many bits at most; each once.

    Source: buckets: Norouzi, Punjani & Fleet 2012, "Fast Search in Hamming Space with Multi-Index Hashing", section 2:
    of r + 1 disjoint parts of two hashes that differ by r bits, one is equal.
    """
    parts = bits + 1 if bits <= BUCKETED_BITS and hashes.shape[1] >= BUCKETED_FROM else 1
    # A single part is compared whatever it holds: its mask is empty.
    masks = [np.uint64(sum(1 << bit for bit in range(part, BITS, parts)) if parts > 1 else 0) for part in range(parts)]
    for move, (part, mask) in product(range(len(hashes)), enumerate(masks)):
        for later, earlier in _buckets(hashes[0] & mask, hashes[move] & mask):
            for down, across in product(range(0, len(later), AT_ONCE), range(0, len(earlier), AT_ONCE)):
                rows, columns = later[down : down + AT_ONCE], earlier[across : across + AT_ONCE]
                if columns[0] >= rows[-1]:
                    continue
                apart = hashes[0][rows][:, None] ^ hashes[move][columns][None]
                row, column = np.nonzero(np.bitwise_count(apart) <= bits)
                seconds, firsts = rows[row], columns[column]
                new = firsts < seconds
                for met in masks[:part]:
                    new &= (apart[row, column] & met) != 0
                if new.any():
                    yield move, seconds[new], firsts[new]


def _buckets(
    later: UInt64[np.ndarray, " image"], earlier: UInt64[np.ndarray, " image"]
) -> Iterator[tuple[Int64[np.ndarray, " row"], Int64[np.ndarray, " column"]]]:
    """Yield the positions, in their order, of each value that stands on both sides."""
    sides = []
    for keys in (later, earlier):
        order = np.argsort(keys, kind="stable")
        values, begins = np.unique(keys[order], return_index=True)
        sides.append(dict(zip(values.tolist(), np.split(order, begins[1:]), strict=True)))
    for value, positions in sides[0].items():
        if value in sides[1]:
            yield positions, sides[1][value]


def _correlations(
    thumbnails: Sequence[Float32[np.ndarray, "32 32"]],
    seconds: Int64[np.ndarray, " pair"],
    firsts: Int64[np.ndarray, " pair"],
    move: int,
) -> Float64[np.ndarray, " pair"]:
    """Return the correlation of each pair, at most 1, the first one moved."""
    found = []
    for begin in range(0, len(seconds), AT_ONCE):
        later = np.stack([thumbnails[number] for number in seconds[begin : begin + AT_ONCE]])
        earlier = _moved(np.stack([thumbnails[number] for number in firsts[begin : begin + AT_ONCE]]), move)
        # Summed row by row, so that a pair's bits do not depend on those beside it.
        products = np.multiply(later, earlier, dtype=np.float64, order="C").reshape(len(later), -1)
        found.append(products.sum(axis=1).clip(max=1.0))
    return np.concatenate(found)


def _moved(stack: Float32[np.ndarray, "image 32 32"], move: int) -> Float32[np.ndarray, "image 32 32"]:
    """Turn or mirror pictures."""
    mirrored = stack[:, :, ::-1] if move >= 4 else stack
    return np.rot90(mirrored, move % 4, axes=(1, 2))


def _hashes(thumbnails: Sequence[Float32[np.ndarray, "32 32"]]) -> UInt64[np.ndarray, "move image"]:
    """Return the signs of each picture's low frequencies as bits, in each of its moves."""
    waves: Float64[np.ndarray, "8 32"] = dct(np.eye(SIDE), axis=0, norm="ortho")[:HASHED]
    odd = (-1.0) ** np.arange(HASHED)
    weights = np.uint64(1) << np.arange(BITS, dtype=np.uint64)
    hashes = np.empty((len(MOVES), len(thumbnails)), dtype=np.uint64)
    for begin in range(0, len(thumbnails), AT_ONCE):
        part = np.stack(thumbnails[begin : begin + AT_ONCE]).astype(np.float64)
        upright = waves @ part @ waves.T
        for move in range(len(MOVES)):
            # Mirroring turns the sign of odd waves, a quarter turn also swaps the axes.
            low = upright * odd if move >= 4 else upright
            for _ in range(move % 4):
                low = low.transpose(0, 2, 1) * odd[:, None]
            signs = low.reshape(len(part), -1)[:, 1:] > 0
            hashes[move, begin : begin + len(part)] = np.where(signs, weights, np.uint64(0)).sum(axis=1)
    return hashes
