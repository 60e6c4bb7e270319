"""Maps, and their polygons in whatever bands."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
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
