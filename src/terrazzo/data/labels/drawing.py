"""Shapes drawn one over the other into the classes of any window.

Which pixels a shape covers is a matter of `terrazzo.data.labels.shapes`; here they get their order and their classes.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Shaped
from numpy.typing import DTypeLike

from terrazzo.data.classes import Classes, Decoded
from terrazzo.data.labels.label import LabelReader
from terrazzo.data.labels.named import decode_words
from terrazzo.data.labels.shapes import Shape
from terrazzo.errors import LabelError
from terrazzo.geo.grid import Grid, Window

__all__ = ["Drawing", "DrawnReader", "ground_class"]


class Drawing:
    """Shapes in the order in which they are drawn: where several cover a pixel, the last one counts.

    Args:
        shapes: Each with the code that it is drawn in.
    """

    def __init__(self, shapes: Sequence[tuple[Shape, int]]) -> None:
        self._shapes = tuple(shapes)
        extents = np.array([shape.extent for shape, _ in shapes], dtype=np.int64).reshape(-1, 4)
        self._begins, self._ends = extents[:, :2], extents[:, :2] + extents[:, 2:]

    def draw(self, window: Window, *, ground: int, dtype: DTypeLike) -> Shaped[np.ndarray, "y x"]:
        """Return the codes of a window.

        Args:
            window: Pixels of the image.
            ground: Code of pixels that no shape covers.
            dtype: An integer type that holds all codes.
        """
        drawn = np.full((window.height, window.width), ground, dtype=dtype)
        begin, end = np.array([window.y, window.x]), np.array([window.y + window.height, window.x + window.width])
        # An image may hold many thousand shapes, and most windows few of them.
        near = np.flatnonzero(((self._begins < end) & (self._ends > begin)).all(axis=1))
        for number in near:
            shape, code = self._shapes[number]
            part = shape.extent.intersection(window)
            drawn[part.inside(window)][shape.covers(part)] = code
        return drawn


class DrawnReader(LabelReader):
    """A label made of shapes whose classes are known by name.

    Args:
        where: File, and place in it, that messages begin with.
        grid: Pixels of the image.
        shapes: Each with the name of its class, in the order in which they are drawn.
        background: What stands where no shape is; see `ground_class`.
    """

    def __init__(self, where: str, grid: Grid, shapes: Sequence[tuple[Shape, str]], *, background: str) -> None:
        # Drawing costs little beside finding what to draw, so that an image that fits is best drawn whole.
        self.block_shape = (grid.height, grid.width)
        self._where = where
        self._background = background
        self._names = tuple(dict.fromkeys(name for _, name in shapes))
        numbers = {name: number for number, name in enumerate(self._names)}
        self._drawing = Drawing([(shape, numbers[name]) for shape, name in shapes])

    def decode(self, window: Window, classes: Classes, inside: Bool[np.ndarray, "y x"] | None = None) -> Decoded:
        """Draw names, and look the visible ones up; what is covered whole by other shapes is never unlisted."""
        try:
            ground = ground_class(self._background, classes)
        except LabelError as error:
            raise LabelError(f"{self._where}: {error}") from error
        count = len(self._names)
        drawn = self._drawing.draw(window, ground=count, dtype=np.min_scalar_type(count + 1))
        if inside is not None:
            drawn[~inside] = count + 1
        return decode_words(drawn, self._names, [ground, classes.ignore], classes=classes, file=self._where)


def ground_class(background: str, classes: Classes) -> int:
    """Return what stands where no shape is.

    Args:
        background: Name of a class; "ignore"; or "auto", which is the first class where that is called background, and
            else to ignore.
        classes: The classes.

    Raises:
        LabelError: No class is called so.
    """
    if background == "auto":
        return 0 if classes.names[0].strip().lower() == "background" else classes.ignore
    found = classes.number_of(background)
    if found is None and background != "ignore":
        raise LabelError(
            f'no class is called "{background}", which `background` names; classes are {", ".join(classes.names)}.'
        )
    return classes.ignore if found is None else found
