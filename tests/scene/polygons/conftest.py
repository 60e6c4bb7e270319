"""Maps, and their polygons in whatever bands."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS
from scipy.ndimage import gaussian_filter

from terrazzo.geo.grid import Grid
from terrazzo.scene.polygons.bands import BandLimits
from terrazzo.scene.polygons.polygoniser import Polygoniser

IGNORE, OUTSIDE = 255, 254


@dataclass(frozen=True)
class Found:
    """All polygons of a map, in pixels."""

    geometries: np.ndarray
    values: np.ndarray
    pixels: np.ndarray
    square_metres: np.ndarray
    spilled_points: int


def small_limits(rows: int, **changes: int) -> BandLimits:
    """Return limits of so many rows a band, and next to no memory."""
    return BandLimits(**{"rows": rows, "memory_points": 7, "parts": 3, **changes})


@pytest.fixture
def polygonise(tmp_path: Path) -> Callable[..., Found]:
    """Return the polygons of a map; coordinates are pixels."""

    def run(
        values: np.ndarray,
        limits: BandLimits | None = None,
        *,
        simplify: float = 0.0,
        chunk: int = 5,
        transform: Affine | None = None,
        crs: CRS | None = None,
        unwanted: tuple[int, ...] = (IGNORE, OUTSIDE),
    ) -> Found:
        grid = Grid(crs, transform or Affine.identity(), *values.shape)
        wanted = np.ones(256, dtype=bool)
        wanted[list(unwanted)] = False
        made = Polygoniser(
            grid, wanted, outside=OUTSIDE, simplify=simplify, folder=tmp_path, limits=limits or BandLimits()
        )
        found = [part for top in range(0, len(values), chunk) for part in made.write(values[top : top + chunk])]
        found += made.finish()
        spilled = made.spilled_points
        made.close()
        columns = (
            np.concatenate([getattr(part, name) for part in found])
            for name in ("geometries", "values", "pixels", "square_metres")
        )
        return Found(*columns, spilled)

    return run


@pytest.fixture
def smooth_map() -> Callable[..., np.ndarray]:
    """Make a map that looks like one: fields of several sizes with ragged borders."""

    def make(height: int, width: int, *, classes: int = 4, seed: int = 0, missing: bool = False) -> np.ndarray:
        draw = np.random.default_rng(seed)
        layers = [
            gaussian_filter(draw.standard_normal((height, width)), 6) * 6
            + gaussian_filter(draw.standard_normal((height, width)), 1.5)
            for _ in range(classes)
        ]
        values = np.argmax(layers, axis=0).astype(np.uint8)
        if missing:
            values[gaussian_filter(draw.standard_normal((height, width)), 5) > 0.04] = IGNORE
        return values

    return make


def spiral(side: int) -> np.ndarray:
    """Return an arm of 1 that winds inwards, one pixel wide, and one of 0 between."""
    values = np.zeros((side, side), dtype=np.uint8)
    top, left, bottom, right = 0, 0, side - 1, side - 1
    y, x = 0, 0
    while top <= bottom and left <= right:
        values[top, min(x, left) : right + 1] = 1
        values[top : bottom + 1, right] = 1
        values[bottom, left : right + 1] = 1
        values[min(top + 2, bottom) : bottom + 1, left] = 1
        y, x = top + 2, left
        values[min(y, bottom), x : min(x + 2, right) + 1] = 1
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    return values


def comb(height: int, width: int) -> np.ndarray:
    """Return ragged teeth that hang from one row and reach down the whole map."""
    values = np.zeros((height, width), dtype=np.uint8)
    values[0] = 1
    for y in range(1, height):
        values[y, (y // 2) % 2 :: 4] = 1
        values[y, 1 + (y // 2) % 2 :: 4] = 1
    return values


def parts_of(geometries: np.ndarray) -> list[bytes]:
    """Return all bytes of geometries."""
    return list(shapely.to_wkb(geometries))
