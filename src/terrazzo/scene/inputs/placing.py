"""Where the pixels of one grid lie on another, and the grid around several."""

from collections.abc import Sequence

import numpy as np
from affine import Affine
from jaxtyping import Float64
from rasterio._err import CPLE_BaseError
from rasterio.warp import transform

from terrazzo.errors import DataError
from terrazzo.geo.grid import LARGEST_SHIFT, Grid, Window

__all__ = ["grid_around"]

LARGEST_SIDE = 2**31 - 1
"""Rows or columns that a raster can have at most."""

# Points on each side of a grid: where systems differ its edges are curves.
_POINTS = 65


def grid_around(grids: Sequence[Grid], names: Sequence[str]) -> tuple[Grid, list[Window]]:
    """Return the first grid, made as large as all of them, and where each lies on it.

    Args:
        grids: All with a coordinate reference system.
        names: What messages call them.

    Raises:
        DataError: One cannot be placed, or together they are too large for any raster.
    """
    first = grids[0]
    boxes = [_box(grid, first, name) for grid, name in zip(grids, names, strict=True)]
    left, top = (min(box[side] for box in boxes) for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
    if max(right - left, bottom - top) > LARGEST_SIDE:
        far = max(zip(boxes, names, strict=True), key=lambda one: max(map(abs, one[0])))[1]
        raise DataError(
            f"Together the files are {bottom - top} x {right - left} pixels, which no raster can hold; {far} lies far "
            f"from {names[0]}."
        )
    moved = first.transform @ Affine.translation(left, top)
    whole = Grid(first.crs, moved, bottom - top, right - left)
    windows = [Window(box[1] - top, box[0] - left, box[3] - box[1], box[2] - box[0]) for box in boxes]
    return whole, windows


def _box(grid: Grid, onto: Grid, name: str) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a grid in whole pixels of another, rounding in files forgiven."""
    edge = np.linspace(0, 1, _POINTS)
    ends = np.zeros(_POINTS), np.ones(_POINTS)
    across = np.concatenate([edge, edge, *ends]) * grid.width
    down = np.concatenate([*ends, edge, edge]) * grid.height
    xs, ys = _applied(grid.transform, across, down)
    slack = -LARGEST_SHIFT
    if grid.crs != onto.crs:
        xs, ys = _converted(grid, onto, xs, ys, name)
        # Curves reach a little beyond the points on them.
        slack = 1.0
    columns, rows = _applied(~onto.transform, xs, ys)
    left, right = np.floor(columns.min() - slack), np.ceil(columns.max() + slack)
    top, bottom = np.floor(rows.min() - slack), np.ceil(rows.max() + slack)
    return int(left), int(top), max(int(right), int(left) + 1), max(int(bottom), int(top) + 1)


def _applied(
    affine: Affine, xs: Float64[np.ndarray, " point"], ys: Float64[np.ndarray, " point"]
) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
    return affine.a * xs + affine.b * ys + affine.c, affine.d * xs + affine.e * ys + affine.f


def _converted(
    here: Grid, there: Grid, xs: Float64[np.ndarray, " point"], ys: Float64[np.ndarray, " point"], name: str
) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
    try:
        found = np.array(transform(here.crs, there.crs, xs, ys), dtype=np.float64)
    except CPLE_BaseError:
        found = np.full((2, len(xs)), np.inf)
    if not np.isfinite(found).all():
        raise DataError(
            f"{name} covers {here.describe_bounds()}, which has no place in the system of a mosaic that begins with "
            f"{there.describe_bounds()}; map it by itself."
        )
    return found[0], found[1]
