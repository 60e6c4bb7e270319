"""How much of a map each class covers: pixels, and ground where the map's place on earth is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from terrazzo.geo.grid import Window
from terrazzo.scene.pixel_area import row_areas
from terrazzo.serve.map_classes import MapLegend
from terrazzo.serve.rasters import ViewedRaster

__all__ = ["ClassAreas", "class_areas"]

_MOST_COUNTED = 400_000_000
"""Pixels of a map that are counted one by one: some seconds."""
_EVEN = 1e-3
"""Relative difference of pixels' areas below which their mean stands for all of them."""
_LONGEST = 4096
_STRIP_PIXELS = 2**22


@dataclass(frozen=True)
class ClassAreas:
    """What the classes cover.

    Attributes:
        pixels: Pixels of each class.
        square_metres: Ground of each class on the ellipsoid; None where the map's place is unknown.
        estimated: Whether they come from an overview, or from the mean area of pixels that differ in size.
    """

    pixels: tuple[int, ...]
    square_metres: tuple[float, ...] | None
    estimated: bool


def class_areas(raster: ViewedRaster, legend: MapLegend, summary: Mapping[str, Any]) -> ClassAreas:
    """Return what each class of a map covers.

    The summary's counts are taken where it has them and pixels are of one size; else pixels are counted, and of huge
    maps those of an overview.

    Args:
        raster: The map.
        legend: Its classes.
        summary: What mapping the scene came to; empty where that is unknown.

    Raises:
        DataError: The map cannot be decoded.
    """
    ground = row_areas(raster.grid)
    size = raster.grid.height * raster.grid.width
    even = ground is None or float(np.ptp(ground)) <= _EVEN * float(ground.mean())
    said = _said(summary, raster, legend)
    if size > _MOST_COUNTED or (said is not None and even):
        pixels = said if said is not None else _from_overview(raster, legend)
        metres = None if ground is None else tuple(count * float(ground.mean()) for count in pixels)
        return ClassAreas(pixels, metres, estimated=said is None or not even)
    counts, areas = _counted(raster, legend, ground)
    return ClassAreas(counts, areas, estimated=False)


def _said(summary: Mapping[str, Any], raster: ViewedRaster, legend: MapLegend) -> tuple[int, ...] | None:
    """Return the summary's counts if they can be those of this map."""
    counts = summary.get("class_pixels")
    if (summary.get("height"), summary.get("width")) != (raster.grid.height, raster.grid.width):
        return None
    if not isinstance(counts, list) or len(counts) != len(legend.classes):
        return None
    return tuple(counts) if all(isinstance(count, int) and count >= 0 for count in counts) else None


def _from_overview(raster: ViewedRaster, legend: MapLegend) -> tuple[int, ...]:
    found = raster.overview(_bands(legend), longest=_LONGEST)
    positions = legend.positions(found.values, found.valid)
    counts = np.bincount(positions.ravel() + 1, minlength=len(legend.classes) + 1)[1:]
    scale = raster.grid.height * raster.grid.width / positions.size
    return tuple(round(float(count) * scale) for count in counts)


def _counted(
    raster: ViewedRaster, legend: MapLegend, ground: Float64[np.ndarray, " y"] | None
) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    grid, classes = raster.grid, len(legend.classes)
    pixels = np.zeros(classes, dtype=np.int64)
    metres = np.zeros(classes)
    rows = max(1, min(grid.height, _STRIP_PIXELS // grid.width))
    for top in range(0, grid.height, rows):
        height = min(rows, grid.height - top)
        part = raster.read(Window(top, 0, height, grid.width), _bands(legend))
        positions = legend.positions(part.values, part.valid) + 1
        # One count a row and class.
        shifted = positions + np.arange(height)[:, None] * (classes + 1)
        table = np.bincount(shifted.ravel(), minlength=height * (classes + 1)).reshape(height, -1)[:, 1:]
        pixels += table.sum(axis=0)
        if ground is not None:
            metres += ground[top : top + height] @ table
    return tuple(pixels.tolist()), None if ground is None else tuple(metres.tolist())


def _bands(legend: MapLegend) -> list[int]:
    return [1, 2, 3] if legend.coloured else [1]
