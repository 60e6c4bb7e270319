"""Whether a label lies beside its image: the move at which its borders meet the image's edges best.

Both are cut into blocks, so that the gain of a move can be judged by how far the blocks agree on it: a single strong
edge, such as a shadow, convinces one block and not the others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import uniform_filter

from terrazzo.data.verify.reduction import Reduced

__all__ = ["Shift", "find_shift"]

BLOCKS = 4
"""Blocks along each axis."""
REACH = 1 / 24
"""Farthest move that is tried, as a share of the longer side."""
SMOOTHING = 9
"""Cells over which a local mean is taken and subtracted, so that only edges are left."""
LEAST_BLOCKS = 6
"""Blocks with borders and edges that a judgement needs."""
LEAST_AGREEMENT = 4.0
"""Standard errors over blocks by which the best move must beat none."""
LEAST_PEAK = 6.0
"""Standard deviations by which it must stand out among all moves."""
LEAST_GAIN = 2.0
"""Times by which the correlation at the best move must exceed that at none."""


@dataclass(frozen=True)
class Shift:
    """A move of the label that fits its image better.

    Attributes:
        down_px: Pixels that the label should move down; negative is up.
        right_px: Pixels that it should move to the right; negative is left.
        gain: Correlation of borders and edges there, as a multiple of that at no move; infinite where that is none.
        agreement: Standard errors over the blocks by which the best move beats none.
        peak: Standard deviations by which it stands out among all moves.
    """

    down_px: float
    right_px: float
    gain: float
    agreement: float
    peak: float

    @property
    def length_px(self) -> float:
        """Pixels of the move."""
        return math.hypot(self.down_px, self.right_px)

    @property
    def significant(self) -> bool:
        """Whether blocks agree on the move, it stands out, and it is much better than none."""
        return self.agreement >= LEAST_AGREEMENT and self.peak >= LEAST_PEAK and self.gain >= LEAST_GAIN


def find_shift(view: Reduced) -> Shift | None:
    """Return the best move of a label, or None where borders or edges are too few to tell, or no move is better.

    Source: cross-correlation by the Fourier transform; block-wise standard errors as in a paired t-test.

    Args:
        view: The reduced image and label.
    """
    if view.borders is None or not view.borders.any():
        return None
    side = max(view.brightness.shape)
    reach = max(4, round(side * REACH))
    if min(view.brightness.shape) < 2 * reach:
        return None
    edges, usable = _edges(view)
    met = np.sqrt(view.borders)
    borders = np.where(usable, met - met.mean(), 0).astype(np.float32)
    return _judged(_moved(borders, edges, reach), view.factor)


def _edges(view: Reduced) -> tuple[Float32[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
    """Return how much stronger each cell's edge is than those around it, and where no missing pixel is near."""
    lit = view.brightness
    forward = np.zeros_like(lit)
    forward[:, :-1] = np.square(lit[:, 1:] - lit[:, :-1])
    forward[:-1] += np.square(lit[1:] - lit[:-1])
    whole = bool((view.valid == 1).all())
    usable = np.asarray((view.valid == 1) if whole else uniform_filter(view.valid, 3, mode="nearest") > 1 - 1e-4)
    # The fourth root of the squared gradient: a few strong edges must not outweigh all others.
    edges = _centred(np.where(usable, np.sqrt(np.sqrt(forward)), 0).astype(np.float32))
    return np.where(usable, edges, 0).astype(np.float32), usable


def _centred(plane: Float32[np.ndarray, "y x"]) -> Float32[np.ndarray, "y x"]:
    """Subtract the local mean."""
    centred: Float32[np.ndarray, "y x"] = plane - uniform_filter(plane, SMOOTHING, mode="nearest")
    return centred


@dataclass(frozen=True)
class _Moves:
    """How well borders meet edges at each move, and how far blocks of the image agree on the best.

    Attributes:
        total: Sum over the image at each move, from -reach to reach along both axes.
        gains: Of each block with borders and edges, how much more than at no move they meet at the best.
    """

    total: Float32[np.ndarray, "down right"]
    gains: Float32[np.ndarray, " block"]

    @property
    def best(self) -> tuple[int, int]:
        """Row and column of the best move."""
        down, right = np.unravel_index(int(self.total.argmax()), self.total.shape)
        return int(down), int(right)


def _moved(borders: Float32[np.ndarray, "y x"], edges: Float32[np.ndarray, "y x"], reach: int) -> _Moves:
    """Correlate borders with edges at each move; beyond the image there are no edges."""
    height, width = borders.shape
    shape = (next_fast_len(height + reach, real=True), next_fast_len(width + reach, real=True))
    around = irfft2(np.conj(rfft2(borders, s=shape)) * rfft2(edges, s=shape), s=shape)
    # Moves up and to the left stand at the far ends, since a transform goes in circles.
    axis = np.arange(-reach, reach + 1)
    total: Float32[np.ndarray, "down right"] = around[np.ix_(axis, axis)]
    moves = _Moves(total, np.empty(0, dtype=np.float32))
    down, right = moves.best
    there = np.pad(edges, reach)[down : down + height, right : right + width]
    starts = [np.arange(0, length, math.ceil(length / BLOCKS)) for length in (height, width)]
    gains = _block_sums(borders * (there - edges), starts)
    kept = _block_sums((borders != 0).astype(np.float32), starts) > 0
    kept &= _block_sums((edges != 0).astype(np.float32), starts) > 0
    return _Moves(total, gains[kept])


def _block_sums(
    plane: Float32[np.ndarray, "y x"], starts: Sequence[Int64[np.ndarray, " _"]]
) -> Float32[np.ndarray, "block_y block_x"]:
    sums: Float32[np.ndarray, "block_y block_x"] = np.add.reduceat(np.add.reduceat(plane, starts[0]), starts[1], axis=1)
    return sums


def _judged(moves: _Moves, factor: int) -> Shift | None:
    """Return the best move with what speaks for it."""
    gains, total = moves.gains, moves.total
    if len(gains) < LEAST_BLOCKS:
        return None
    reach = len(total) // 2
    down, right = moves.best
    if {down, right} & {0, 2 * reach}:
        return None  # the best lies at the border of what was tried: no peak
    spread = float(gains.std(ddof=1)) / math.sqrt(len(gains))
    if spread == 0:
        return None
    best, none = float(total[down, right]), float(total[reach, reach])
    # An image's edge stands at the far side of its cell, a label's border on average (factor + 1) / 2 pixels into it.
    offset = (factor - 1) / 2
    return Shift(
        down_px=factor * (down - reach + _vertex(total[down - 1 : down + 2, right])) + offset,
        right_px=factor * (right - reach + _vertex(total[down, right - 1 : right + 2])) + offset,
        gain=best / none if none > 0 else math.inf,
        agreement=float(gains.mean()) / spread,
        peak=(best - float(total.mean())) / float(total.std()),
    )


def _vertex(three: Float32[np.ndarray, " 3"]) -> float:
    """Return where between -0.5 and 0.5 the parabola through a peak and its neighbours is highest."""
    before, top, after = map(float, three)
    bend = before - 2 * top + after
    return 0.0 if bend >= 0 else max(-0.5, min(0.5, 0.5 * (before - after) / bend))
