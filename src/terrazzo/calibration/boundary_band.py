"""Pixels near the border between two classes, where a segmentation is least sure.

Distances are Chebyshev's (the larger of rows and columns), so that the band comes of running maxima along rows and
columns, in time that hardly grows with its width.
"""

import torch
from jaxtyping import Bool, Integer

from terrazzo.errors import ConfigError

__all__ = ["BOUNDARY_WIDTH", "boundary_band"]

BOUNDARY_WIDTH = 5
"""Pixels on each side of a border that are usually looked at."""


def boundary_band(
    target: Integer[torch.Tensor, "y x"], ignored: Bool[torch.Tensor, "y x"], width: int = BOUNDARY_WIDTH
) -> Bool[torch.Tensor, "y x"]:
    """Return the labelled pixels that have a pixel of another class at most so many rows and columns away.

    Ignored pixels are no class: they make no border, and a border that runs within them still counts for both sides.
    The label's own edge is none either.

    A pixel's answer depends on the pixels at most `width` rows above and below it: a label too large for memory may
    come in pieces that have so many rows of their neighbours, which are cut off from the answer.

    Args:
        target: Class of each pixel of the whole label, 0..65534; anything where ignored.
        ignored: Pixels without a class.
        width: In pixels, from 1.

    Raises:
        ConfigError: The width is below 1.

    >>> label = torch.tensor([[0, 0, 0, 1, 1, 1]])
    >>> boundary_band(label, torch.zeros_like(label, dtype=torch.bool), 1)
    tensor([[False, False,  True,  True, False, False]])
    """
    if width < 1:
        raise ConfigError(f"A boundary band has a width of at least 1 pixel, not {width}.")
    if not target.numel():
        return torch.zeros_like(ignored)
    kept = target.masked_fill(ignored, 0)
    # Small types are compared faster; 0 is left for what is ignored.
    kind = torch.uint8 if int(kept.max()) < 254 else torch.int32
    numbers = kept.to(kind) + 1
    highest = _largest_near(numbers.masked_fill(ignored, 0), width)
    top = torch.iinfo(kind).max
    lowest = top - _largest_near((top - numbers).masked_fill(ignored, 0), width)
    # Of a labelled pixel both are classes, since it is near itself.
    return (highest != lowest) & ~ignored


def _largest_near(values: Integer[torch.Tensor, "y x"], width: int) -> Integer[torch.Tensor, "y x"]:
    """Return the largest value at most so many rows and columns away, of values from 0."""
    for axis in (0, 1):
        values = _running_largest(values, axis, width)
    return values


def _running_largest(values: Integer[torch.Tensor, "y x"], axis: int, width: int) -> Integer[torch.Tensor, "y x"]:
    """Return the largest of each value and as many before and after it, looking twice as far at each step."""
    length = values.shape[axis]
    reach = min(width, length)
    padded_shape = list(values.shape)
    padded_shape[axis] = length + 2 * reach
    run = values.new_zeros(padded_shape)
    run.narrow(axis, reach, length).copy_(values)
    wanted, covered = 2 * reach + 1, 1
    while covered < wanted:
        # Overlapping runs do no harm: the larger of two is the same twice.
        step = min(covered, wanted - covered)
        size = run.shape[axis] - step
        run = torch.maximum(run.narrow(axis, 0, size), run.narrow(axis, step, size))
        covered += step
    return run
