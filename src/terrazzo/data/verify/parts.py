"""The parts that an image is divided into, each with a role of its own: measured together in one pass over it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from jaxtyping import Bool, Shaped
from rasterio.crs import CRS

from terrazzo.data.areas.area import Area, AreaReader
from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.areas.intersection import IntersectionArea
from terrazzo.data.sources.source import Pair
from terrazzo.data.statistics import Moments, MomentSum
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster

__all__ = ["Parts", "Portion", "guard_m"]

PLAIN_CORNERS = 64
"""Corners of a polygon from which on its stairs are made straight."""
MOST_CORNERS = 4096
"""Corners of a part's outline at most, so that memory stays bounded however small blocks are."""


@dataclass(frozen=True)
class Portion:
    """What is known of the pixels of an image that have one role: of all, or of one of its parts.

    Attributes:
        pair: The image, with the part's name, role, fold and area.
        moments: Of its bands, over a sample of the valid pixels.
        class_pixels: Labelled and valid pixels of each class.
        outline: Where it was measured, in pixels of the image as (x, y); None where that is not known.
        divided: Whether its image is divided along the ground, so that it shares no pixel with any other such part.
    """

    pair: Pair
    moments: Moments | None = None
    class_pixels: tuple[int, ...] = ()
    outline: shapely.Geometry | None = None
    divided: bool = False


class Parts(AreaReader):
    """All parts of one image, open on its grid; as an area, what lies in any of them.

    Args:
        pairs: The parts; they share no pixel.
        grid: The image's grid.
        bands: Number of bands.
        classes: Number of classes.
        factor: Pixels from one place to the next at which outlines are taken, along both axes.
    """

    def __init__(self, pairs: Sequence[Pair], grid: Grid, *, bands: int, classes: int, factor: int) -> None:
        self._pairs, self._grid, self._factor = tuple(pairs), grid, factor
        self._areas = [None if pair.area is None else pair.area.open(grid) for pair in pairs]
        self._moments = [MomentSum(bands) for _ in pairs]
        self._pixels = np.zeros((len(pairs), classes), dtype=np.int64)
        # The pixel in the middle of each cell speaks for it; the last cell may be too narrow to have one there.
        self._rows, self._columns = (
            np.minimum(np.arange(0, length, factor) + factor // 2, length - 1) for length in (grid.height, grid.width)
        )
        self._cells = np.zeros((len(pairs), len(self._rows), len(self._columns)), dtype=bool)
        self._window: Window | None = None
        self._masks: tuple[Bool[np.ndarray, "y x"], ...] = ()

    @property
    def present(self) -> bool:
        """Whether there is any part."""
        return bool(self._pairs)

    def inside(self, window: Window) -> Bool[np.ndarray, "y x"]:
        """Return which pixels of a window lie in any part."""
        found = np.zeros((window.height, window.width), dtype=bool)
        for mask in self._of(window):
            found |= mask
        return found

    def _of(self, window: Window) -> tuple[Bool[np.ndarray, "y x"], ...]:
        """Return which pixels of a window lie in each part; asked for once more, it is not worked out again."""
        if window != self._window:
            whole = np.ones((window.height, window.width), dtype=bool)
            self._masks = tuple(whole if area is None else area.inside(window) for area in self._areas)
            self._window = window
        return self._masks

    def add(self, strip: Window, raster: Raster, target: Shaped[np.ndarray, "y x"] | None, *, step: int | None) -> None:
        """Add a decoded strip to each part.

        Args:
            strip: Rows of the image, over its whole width.
            raster: Its values.
            target: Its classes; None without label.
            step: Every so many rows and columns enter the moments; None where these are not asked for.
        """
        cells = slice(*np.searchsorted(self._rows, [strip.y, strip.y + strip.height]))
        everywhere = bool(raster.valid.all())
        for number, mask in enumerate(self._of(strip)):
            self._cells[number, cells] = mask[self._rows[cells] - strip.y][:, self._columns]
            if not mask.any():
                continue
            own = mask if everywhere else mask & raster.valid
            if target is not None:
                classes = self._pixels.shape[1]
                self._pixels[number] += np.bincount(target[own], minlength=classes)[:classes]
            if step is not None:
                # Counted from the image's first row, wherever strips are cut.
                few = (slice(-strip.y % step, None, step), slice(None, None, step))
                self._moments[number].add(raster.values[:, *few], own[few])

    def portions(self, measured: Sequence[tuple[float, float]], *, counted: bool) -> tuple[Portion, ...]:
        """Return what is known of each part.

        Args:
            measured: Convex outline of the image's measured pixels; empty where it is not known.
            counted: Whether pixels of classes were counted.
        """
        return tuple(
            Portion(
                pair=pair,
                moments=self._moments[number].result(),
                class_pixels=tuple(self._pixels[number].tolist()) if counted else (),
                outline=self._outline(number).intersection(shapely.Polygon(measured)) if measured else None,
                divided=True,
            )
            for number, pair in enumerate(self._pairs)
        )

    def _outline(self, number: int) -> shapely.Geometry:
        """Return the outline of a part, in pixels; blocks too small to be told apart are drawn by a sample of them."""
        cells, factor = self._cells[number], self._factor
        outline = self._drawn(cells, factor)
        while shapely.get_num_coordinates(outline) > MOST_CORNERS:
            cells, factor = cells[::2, ::2], 2 * factor
            outline = self._drawn(cells, factor)
        return outline

    def _drawn(self, cells: Bool[np.ndarray, "y x"], factor: int) -> shapely.Geometry:
        """Return the outline of cells, in pixels."""
        shapes = rasterio.features.shapes(cells.astype(np.uint8), mask=np.ascontiguousarray(cells))
        found = np.array([shapely.geometry.shape(shape) for shape, _ in shapes], dtype=object)
        limits = np.array([self._grid.width, self._grid.height], dtype=np.float64)
        placed = shapely.transform(found, lambda corners: np.minimum(corners * factor, limits))
        pieces = shapely.get_parts(shapely.union_all(placed))
        # A stair of cells along a slanting border has a corner at every step, and leaves it by less than a cell.
        many = shapely.get_num_coordinates(pieces) > PLAIN_CORNERS
        pieces[many] = shapely.simplify(pieces[many], factor)
        return shapely.make_valid(shapely.multipolygons(pieces))


def guard_m(area: Area | None) -> float:
    """Return the metres that a part keeps from others by construction, 0 where it gives way to none."""
    if isinstance(area, IntersectionArea):
        return max(map(guard_m, area.areas))
    if not isinstance(area, BlockArea) or not area.clear_of or area.crs is None:
        return 0.0
    return area.guard * (Grid(CRS.from_wkt(area.crs), Affine.identity(), 1, 1).resolution_m or 1.0)
