"""Small images and labels on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

Write = Callable[..., Path]


@pytest.fixture
def photo() -> Callable[..., np.ndarray]:
    """Return noise as a photograph."""

    def make(seed: int = 0, *, height: int = 40, width: int = 50, bands: int = 3) -> np.ndarray:
        values = np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)
        return values if bands > 1 else values[..., 0]

    return make


@pytest.fixture
def stripes() -> Callable[..., np.ndarray]:
    """Return a label of diagonal stripes."""

    def make(*values: int, height: int = 40, width: int = 50) -> np.ndarray:
        places = (np.arange(height)[:, None] + np.arange(width)) // 7
        return np.array(values, dtype=np.uint8)[places % len(values)]

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an image below the test's folder: a GeoTIFF where a place is given, else what the suffix says."""

    def save(name: str, values: np.ndarray, *, place: tuple[float, float] | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if place is None:
            Image.fromarray(values).save(path)
            return path
        bands = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
        transform = Affine(2, 0, place[0], 0, -2, place[1])
        shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
        with rasterio.open(
            path, "w", driver="GTiff", dtype=bands.dtype, crs="EPSG:32632", transform=transform, **shape
        ) as file:
            file.write(bands)
        return path

    return save
