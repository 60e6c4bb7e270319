"""Where windows lie along an axis, how they fade into each other, and what stands beyond the scene's edge."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float32

from terrazzo.errors import ConfigError

__all__ = ["Axis", "mirrored", "step_between"]


def step_between(window: int, *, overlap: float | None, stride: int | None) -> int:
    """Return the largest allowed step from one window to the next.

    Args:
        window: Side of a window in pixels.
        overlap: Least share of a window in common with the next, 0..1/2, but for an odd window's half; 1/8 if neither
            is given.
        stride: The step itself.

    Raises:
        ConfigError: The stride leaves gaps, or makes more than two windows meet.

    >>> step_between(512, overlap=None, stride=None)
    448
    >>> step_between(5, overlap=0.5, stride=None)
    3
    >>> step_between(100, overlap=0.125, stride=None)
    87
    """
    if stride is not None:
        if not (window + 1) // 2 <= stride <= window:
            raise ConfigError(
                f"predict.stride is {stride}, but with windows of {window} pixels it lies between {(window + 1) // 2} "
                f"and {window}: further apart there are gaps, closer the same pixels are predicted more than twice."
            )
        return stride
    # Rounded first, so that 0.07 of 100 is 7 and not a hair more; half of an odd window is rounded down.
    shared = math.ceil(round(window * (0.125 if overlap is None else overlap), 6))
    return window - min(shared, window // 2)


@dataclass(frozen=True)
class Axis:
    """Evenly spaced windows along one axis.

    ceil((length - size) / stride) + 1 windows; the first begins at 0 and the last ends at the border, so that the real
    overlap is at least the asked one and nowhere differs by more than a pixel.

    Source: positions as in nnU-Net v2, `nnunetv2/inference/sliding_window_prediction.py`.

    Attributes:
        length: Pixels of the scene.
        size: Pixels of a window; at most `length`.
        stride: Largest step between windows.
    """

    length: int
    size: int
    stride: int

    @classmethod
    def of(cls, length: int, *, window: int, stride: int) -> "Axis":
        """Return the axis of a scene; where it is shorter than a window, one window of the scene's length."""
        return cls(length, min(window, length), stride)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First pixel of each window.

        >>> Axis(10, 4, 4).starts
        (0, 3, 6)
        """
        steps = -(-(self.length - self.size) // self.stride)
        room = self.length - self.size
        return tuple((2 * number * room + steps) // (2 * steps) if steps else 0 for number in range(steps + 1))

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def fades(self) -> tuple[slice, ...]:
        """Pixels of the scene over which each window fades into the next: all that both see, but at most half a window.

        Fades never meet, so that no pixel is made of more than two windows.

        >>> Axis(26, 10, 9).fades
        (slice(8, 10, None), slice(16, 18, None))
        """
        pairs = [(before, after - before) for before, after in pairwise(self.starts)]
        # Two windows alone have no other fade to meet, however close they lie.
        widest = min([self.size // 2, *(step for _, step in pairs)]) if len(pairs) > 1 else self.size // 2
        found = []
        for before, step in pairs:
            shared = self.size - step
            width = min(shared, widest)
            begin = before + step + (shared - width) // 2
            found.append(slice(begin, begin + width))
        return tuple(found)

    def used(self, number: int) -> slice:
        """Return the pixels of the scene to which a window adds: from where it fades in to where it has faded out."""
        begin = self.fades[number - 1].start if number else 0
        return slice(begin, self.fades[number].stop if number < len(self) - 1 else self.length)

    def rising(self, number: int) -> Float32[np.ndarray, " pixel"]:
        """Return the weights, above 0 and below 1, of window `number + 1` over its fade; `number` has the rest to 1.

        A cosine ramp; sampled half a pixel in, so that neither window has weight 0 within.
        """
        width = self.fades[number].stop - self.fades[number].start
        share = (np.arange(width) + 0.5) / max(width, 1)
        ramp: Float32[np.ndarray, " pixel"] = (np.sin(0.5 * np.pi * share) ** 2).astype(np.float32)
        return ramp

    def weights(self, number: int) -> Float32[np.ndarray, " pixel"]:
        """Return the weights, 0..1, of one window's pixels; over all windows they sum to 1 at every pixel.

        Args:
            number: Position of the window in `starts`.
        """
        weights = np.zeros(self.size, dtype=np.float32)
        start, used = self.starts[number], self.used(number)
        weights[used.start - start : used.stop - start] = 1
        if number:
            fade = self.fades[number - 1]
            weights[fade.start - start : fade.stop - start] = self.rising(number - 1)
        if number < len(self) - 1:
            fade = self.fades[number]
            weights[fade.start - start : fade.stop - start] = 1 - self.rising(number)
        return weights


def mirrored(start: int, stop: int, length: int) -> slice | np.ndarray:
    """Return which pixels stand at start..stop of an axis that goes on beyond its edges as its mirror image.

    The edge pixel itself is not repeated; where the reflection is used up, its last pixel goes on.

    Args:
        start: First position; may be negative.
        stop: Position after the last; may exceed `length`.
        length: Pixels of the axis.

    >>> mirrored(-2, 3, 5).tolist()
    [2, 1, 0, 1, 2]
    >>> mirrored(-3, 2, 2).tolist()
    [1, 1, 1, 0, 1]
    """
    if start >= 0 and stop <= length:
        return slice(start, stop)
    positions = np.arange(start, stop)
    before_end = np.minimum(np.abs(positions), length - 1)
    after_end = np.maximum(2 * (length - 1) - positions, 0)
    return np.where(positions < length, before_end, after_end)
