"""Pictures that come twice, also turned or mirrored, found by a perceptual hash and confirmed by correlation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, UInt64
from scipy.fft import dctn

from terrazzo.data.verify.reduction import Reduced

__all__ = ["MOVES", "SIDE", "Twin", "find_twins", "thumbnail"]

SIDE = 32
"""Pixels of a thumbnail's side."""
HASHED = 8
"""Lowest frequencies along each axis that make the hash; the mean is left out, which leaves 63 bits."""
LEAST_DETAIL = 1e-3
"""Deviation of a thumbnail from a plane, as a share of its mean, below which a picture is too even to be compared."""
COMPARED = 2**20
"""Pairs whose hashes are compared at once."""
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


def find_twins(thumbnails: Sequence[Float32[np.ndarray, "32 32"]], *, bits: int, correlation: float) -> list[Twin]:
    """Return pairs of pictures that show the same, in the order of the second, then of the first.

    Memory follows the number of pictures, time its square; a hundred thousand pictures take minutes.

    Args:
        thumbnails: As `thumbnail` makes them.
        bits: Bits by which hashes may differ, of 63.
        correlation: Least correlation of the thumbnails.

    Source: hash by the signs of low frequencies: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash
    Functions", section 3.2.1. Differs: signs instead of a comparison with the median, which turns and mirrors keep.
    """
    if len(thumbnails) < 2:
        return []
    stack = np.stack(thumbnails)
    hashes = [_hashes(_moved(stack, move)) for move in range(len(MOVES))]
    found: list[Twin] = []
    rows = max(1, COMPARED // len(stack))
    for begin in range(1, len(stack), rows):
        later = np.arange(begin, min(begin + rows, len(stack)))
        best: dict[tuple[int, int], Twin] = {}
        for move, name in enumerate(MOVES):
            apart = np.bitwise_count(hashes[0][later][:, None] ^ hashes[move][None, : later[-1]])
            for row, first in np.argwhere(apart <= bits).tolist():
                second = int(later[row])
                if first < second:
                    alike = float(np.vdot(stack[second], _moved(stack[first][None], move)[0]))
                    known = best.get((second, first))
                    if alike >= correlation and (known is None or alike > known.correlation):
                        best[second, first] = Twin(first, second, name, min(alike, 1.0))
        found += [best[key] for key in sorted(best)]
    return found


def _moved(stack: Float32[np.ndarray, "image 32 32"], move: int) -> Float32[np.ndarray, "image 32 32"]:
    """Turn or mirror pictures."""
    mirrored = stack[:, :, ::-1] if move >= 4 else stack
    return np.rot90(mirrored, move % 4, axes=(1, 2))


def _hashes(stack: Float32[np.ndarray, "image 32 32"]) -> UInt64[np.ndarray, " image"]:
    """Return the signs of each picture's low frequencies as bits."""
    low = dctn(stack, axes=(1, 2), norm="ortho")[:, :HASHED, :HASHED].reshape(len(stack), -1)[:, 1:]
    weights = np.uint64(1) << np.arange(low.shape[1], dtype=np.uint64)
    hashes: UInt64[np.ndarray, " image"] = np.where(low > 0, weights, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return hashes
