"""Several pictures as one scene: where they overlap one lies on top, and where it is missing the next shows through."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int64

from terrazzo.errors import ContractError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster
from terrazzo.scene.inputs.part import OpenPart, ScenePart

__all__ = ["MOST_OPEN", "OpenMosaic", "Order"]

Order = Literal["first", "last"]
"""Which of the pictures that cover a pixel is seen, in the order in which they were given."""

MOST_OPEN = 64
"""Files that stay open at once; each reader of a scene has its own."""


class OpenMosaic:
    """A mosaic; of its pictures only those are opened that touch what is read.

    Args:
        parts: The pictures, in the order in which they were given.
        bands: What all of them offer.
        grid: Of the whole mosaic.
        order: Which one lies on top.
        path: What messages call it.
    """

    def __init__(self, parts: Sequence[ScenePart], bands: Bands, grid: Grid, *, order: Order, path: str) -> None:
        self.path = path
        self.grid = grid
        self.bands = bands
        self._parts = tuple(parts if order == "first" else reversed(parts))
        self._windows: Int64[np.ndarray, "part 4"] = np.array([part.window for part in self._parts], dtype=np.int64)
        self._open: OrderedDict[int, OpenPart] = OrderedDict()

    def __enter__(self) -> "OpenMosaic":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def block_shape(self) -> tuple[int, int]:
        """Height and width that the picture on top decodes together."""
        return self._part(0).block_shape

    @property
    def sequential(self) -> bool:
        """Whether the picture on top can only be decoded from its top."""
        return self._part(0).sequential

    @property
    def tags(self) -> dict[str, str]:
        """Nothing: what one picture says, such as its date, need not hold for the others."""
        return {}

    def never_missing(self, bands: Bands) -> bool:
        """Return whether a single picture covers all and never lacks a pixel; of several nobody knows."""
        only = len(self._parts) == 1 and self._parts[0].window == self.grid.whole
        return only and self._part(0).never_missing(bands)

    def read(self, window: Window, bands: Bands) -> Raster:
        """Read a window; what no picture has measured is 0 and not valid.

        Args:
            window: Pixels of the mosaic.
            bands: Bands by name in the wanted order.

        Raises:
            DataError: A file is missing or damaged.
            ContractError: The window leaves the mosaic, or a band's name is unknown.
        """
        if window.intersection(self.grid.whole) != window:
            raise ContractError(f"{self.path}: {window} leaves the mosaic of {self.grid.height} x {self.grid.width}.")
        self.bands.positions(bands.names)
        dtype = np.result_type(*(band.dtype for band in bands))
        values = np.zeros((len(bands), window.height, window.width), dtype=dtype)
        valid = np.zeros((window.height, window.width), dtype=bool)
        for number in self._touching(window):
            shared = self._parts[number].window.intersection(window)
            here = shared.inside(window)
            if valid[here].all():
                continue
            found = self._part(number).read(_within(shared, self._parts[number].window), bands)
            seen = found.valid & ~valid[here]
            np.copyto(values[:, *here], found.values, where=seen)
            valid[here] |= seen
        return Raster(values, valid, self.grid.window(window), bands)

    def close(self) -> None:
        """Free all files."""
        for part in self._open.values():
            part.close()
        self._open.clear()

    def _touching(self, window: Window) -> list[int]:
        """Return which pictures touch a window, from the one on top downwards."""
        y, x, height, width = self._windows.T
        down = (y < window.y + window.height) & (y + height > window.y)
        across = (x < window.x + window.width) & (x + width > window.x)
        found: list[int] = np.flatnonzero(down & across).tolist()
        return found

    def _files_open(self) -> int:
        return sum(len(self._parts[number].files) for number in self._open)

    def _part(self, number: int) -> OpenPart:
        """Return a picture, opened; the one that was not needed for longest is closed."""
        if number not in self._open:
            part = self._parts[number]
            self._open[number] = OpenPart(part, self.grid, path=part.files[0])
            while len(self._open) > 1 and self._files_open() > MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(number)
        return self._open[number]


def _within(shared: Window, part: Window) -> Window:
    """Count a window's pixels from a picture's own corner."""
    return Window(shared.y - part.y, shared.x - part.x, shared.height, shared.width)
