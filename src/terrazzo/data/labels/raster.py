"""Labels in raster files: on the image's own pixels, or anywhere and brought onto them window by window."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool
from pydantic import Field

from terrazzo.data.classes import Classes, Decoded
from terrazzo.data.labels.label import Label, LabelReader
from terrazzo.errors import DataError, LabelError
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster, RasterFile
from terrazzo.geo.warped import BLOCK

__all__ = ["RasterLabel", "RasterLabelReader"]

PIECE_PIXELS = 2**21
"""Pixels that are merged at once."""


class RasterLabel(Label):
    """A label image or a label raster; one on another grid is brought onto the image's, each pixel from the nearest."""

    name: Literal["raster"] = "raster"
    """Name of this kind."""
    rasters: Annotated[tuple[Path, ...], Field(min_length=1)]
    """Files; where several hold a pixel, the first that says something there counts."""
    may_miss: bool = False
    """Whether an image that no file covers is taken as one without label, rather than refused."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The rasters."""
        return self.rasters

    def open(self, grid: Grid) -> "RasterLabelReader":
        """Open the rasters that cover any of the image.

        Raises:
            DataError: A file is missing or damaged; without coordinates on both sides its size differs from the
                image's; or no file covers any of the image.
        """
        with ExitStack() as opened:
            files = [opened.enter_context(RasterFile(path, onto=grid, resampling="nearest")) for path in self.rasters]
            covering = [file for file in files if file.overlaps]
            if not covering and not self.may_miss:
                places = "; ".join(f"{file.path} covers {file.own_grid.describe_bounds()}" for file in files[:3])
                more = f" (and {len(files) - 3} files more)" if len(files) > 3 else ""
                raise DataError(
                    f"no label lies on the image, which covers {grid.describe_bounds()}, but {places}{more}; check the "
                    "coordinate reference systems, or leave the image out."
                )
            opened.pop_all()
        for file in files:
            if file not in covering:
                file.close()
        return RasterLabelReader(covering, grid)


class RasterLabelReader(LabelReader):
    """Open label rasters.

    Args:
        files: On the image's grid; the first that says something counts.
        grid: The image's grid.

    Attributes:
        block_shape: Rows and columns that are decoded together.
        warped: Paths of the files whose pixels are brought onto the image's.
    """

    def __init__(self, files: Sequence[RasterFile], grid: Grid) -> None:
        self._files = tuple(files)
        shapes = [file.block_shape for file in files] or [grid.shape]
        self.block_shape = (max(height for height, _ in shapes), max(width for _, width in shapes))
        self.warped = tuple(file.path for file in files if file.warped)

    def decode(self, window: Window, classes: Classes, inside: Bool[np.ndarray, "y x"] | None = None) -> Decoded:
        """Read a window and look its values or colours up; where no file has a pixel, `classes.ignore`."""
        if len(self._files) == 1 and not self.warped:
            file = self._files[0]
            raw = file.read(window)
            return _looked_up(file, raw if inside is None else replace(raw, valid=raw.valid & inside), classes)
        target = np.empty((window.height, window.width), dtype=np.uint8 if classes.ignore == 255 else np.uint16)
        unlisted: Counter[str] = Counter()
        for piece in _pieces(window):
            decoded = self._merged(piece, classes, None if inside is None else inside[piece.inside(window)])
            target[piece.inside(window)] = decoded.target
            unlisted.update(decoded.unlisted)
        return Decoded(target, dict(unlisted))

    def _merged(self, window: Window, classes: Classes, inside: Bool[np.ndarray, "y x"] | None) -> Decoded:
        """Decode a window from all files."""
        kind = np.uint8 if classes.ignore == 255 else np.uint16
        target = np.full((window.height, window.width), classes.ignore, dtype=kind)
        # What a file marks as missing may still be a listed class; it counts where no file says more.
        missing = target.copy()
        said = np.zeros(target.shape, dtype=bool)
        unlisted: Counter[str] = Counter()
        for file in self._files:
            raw, covered = file.read_covered(window)
            covered &= ~said
            if inside is not None:
                covered &= inside
            if not covered.any():
                continue
            raw.valid[~covered] = False
            decoded = _looked_up(file, raw, classes)
            unlisted.update(decoded.unlisted)
            np.copyto(target, decoded.target, where=raw.valid)
            np.copyto(missing, decoded.target, where=covered & ~raw.valid & (missing == classes.ignore))
            said |= raw.valid
        np.copyto(target, missing, where=~said)
        return Decoded(target, dict(unlisted))

    def close(self) -> None:
        """Free the files."""
        for file in self._files:
            file.close()


def _pieces(window: Window) -> Iterator[Window]:
    """Cut a large window between blocks, since merging holds several arrays of its size."""
    if window.height * window.width <= PIECE_PIXELS:
        yield window
        return
    step = max(PIECE_PIXELS // window.height // BLOCK, 1) * BLOCK
    edges = [window.x, *range((window.x // BLOCK + 1) * BLOCK, window.x + window.width, step), window.x + window.width]
    for left, right in itertools.pairwise(edges):
        yield Window(window.y, left, window.height, right - left)


def _looked_up(file: RasterFile, raw: Raster, classes: Classes) -> Decoded:
    try:
        return classes.decode(raw.values, file.colormap, valid=raw.valid)
    except LabelError as error:
        raise LabelError(f"{file.path}: {error}") from error
