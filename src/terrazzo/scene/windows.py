"""Where windows lie along an axis, how they fade into each other, and what stands beyond the scene's edge."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64

from terrazzo.errors import ConfigError

__all__ = ["Axis", "mirrored", "step_between"]


def step_between(window: int, *, overlap: float | None, stride: int | None) -> int:
    """Return the largest allowed step from one window to the next.

    Args:
        window: Side of a window in pixels.
        overlap: Least share of a window in common with the next, 0..1/2; 1/8 if neither is given.
        stride: The step itself.

    Raises:
        ConfigError: The stride leaves gaps, or makes more than two windows meet.

    >>> step_between(512, overlap=None, stride=None)
    448
    >>> step_between(5, overlap=0.5, stride=None)
    3
    """
    if stride is not None:
        if not (window + 1) // 2 <= stride <= window:
            raise ConfigError(
                f"predict.stride is {stride}, but with windows of {window} pixels it lies between {(window + 1) // 2} "
                f"and {window}: further apart there are gaps, closer the same pixels are predicted more than twice."
            )
        return stride
    return window - int(window * (0.125 if overlap is None else overlap))


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

    def weights(self, number: int) -> Float32[np.ndarray, " pixel"]:
        """Return the weights, 0..1, of one window's pixels; over all windows they sum to 1 at every pixel.

        Neighbours share a cosine ramp exactly as long as their real overlap. A window's weight is the ramp that rises
        into it less the ramp that rises out of it, so that the sum telescopes to 1 whatever the overlaps are.

        Args:
            number: Position of the window in `starts`.
        """
        pixels = np.arange(self.size) + self.starts[number]
        rising = np.ones(self.size) if number == 0 else self._ramp(number - 1, pixels)
        falling = np.zeros(self.size) if number == len(self) - 1 else self._ramp(number, pixels)
        return (rising - falling).astype(np.float32)

    def _ramp(self, number: int, pixels: np.ndarray) -> Float64[np.ndarray, " pixel"]:
        """Rise from 0 to 1 over what windows `number` and `number + 1` have in common."""
        begin = self.starts[number + 1]
        shared = self.starts[number] + self.size - begin
        if shared == 0:
            return (pixels >= begin).astype(np.float64)
        # Half a pixel in, so that no pixel of the overlap has weight 0 in either window.
        share = np.clip((pixels - begin + 0.5) / shared, 0.0, 1.0)
        return np.sin(0.5 * np.pi * share) ** 2


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
