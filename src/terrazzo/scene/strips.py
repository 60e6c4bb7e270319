"""Strips: runs of whole rows of windows, which one worker computes and which become durable at once.

Two strips share the rows over which their windows fade into each other. Each worker keeps its weighted share of these
seams; their sum, taken when both are there, is the same whoever computed which. So a map's bits do not depend on how
strips are dealt.
"""

from dataclasses import dataclass

from terrazzo.scene.windows import Axis

__all__ = ["Strip", "strips_of"]


@dataclass(frozen=True)
class Strip:
    """A run of rows of windows.

    Attributes:
        number: Position among the strips.
        rows: Rows of windows.
        above: Rows of pixels shared with the strip before; empty at the scene's top.
        below: Rows of pixels shared with the strip after; empty at the scene's bottom.
    """

    number: int
    rows: range
    above: slice
    below: slice

    @property
    def decided(self) -> slice:
        """Rows of pixels that no other strip touches."""
        return slice(self.above.stop, self.below.start)


def strips_of(axis: Axis, *, pixels: int) -> tuple[Strip, ...]:
    """Divide the rows of windows.

    Args:
        axis: Windows along y.
        pixels: Rows of pixels of a strip, rounded to whole steps between windows, at least one.

    >>> [(strip.rows, strip.decided) for strip in strips_of(Axis(26, 10, 9), pixels=16)]
    [(range(0, 2), slice(0, 16, None)), (range(2, 3), slice(18, 26, None))]
    """
    together = max(1, round(pixels / axis.stride))
    strips = []
    for number, first in enumerate(range(0, len(axis), together)):
        rows = range(first, min(first + together, len(axis)))
        above = axis.fades[first - 1] if first else slice(0, 0)
        below = axis.fades[rows[-1]] if rows[-1] < len(axis) - 1 else slice(axis.length, axis.length)
        strips.append(Strip(number, rows, above, below))
    return tuple(strips)
