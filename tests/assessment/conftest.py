"""Small class maps on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

UTM = Affine(10, 0, 500_000, 0, -10, 5_500_000)
DEGREES = Affine(0.01, 0, 10, 0, -0.01, 62)


@pytest.fixture
def write_map(tmp_path: Path) -> Callable[..., Path]:
    """Write a class map as `terrazzo predict` does, and return its path."""

    def write(
        name: str,
        values: Any,
        *,
        names: tuple[str, ...] | None = ("forest", "water", "town"),
        numbers: tuple[int, ...] | None = None,
        crs: str | None = "EPSG:32632",
        transform: Affine = UTM,
        nodata: float | None = 255,
        block: int | None = None,
        tags: dict[str, str] | None = None,
        colours: dict[int, tuple[int, int, int, int]] | None = None,
    ) -> Path:
        pixels = np.asarray(values)
        pixels = pixels.astype(np.uint8) if pixels.dtype == np.int64 else pixels
        layers = pixels if pixels.ndim == 3 else pixels[None]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tiles = {"tiled": True, "blockxsize": block, "blockysize": block} if block else {}
        with rasterio.open(
            path, "w", driver="GTiff", count=len(layers), height=layers.shape[1], width=layers.shape[2],
            dtype=layers.dtype, crs=crs, transform=transform if crs else None, nodata=nodata, **tiles,
        ) as file:  # fmt: skip
            file.write(layers)
            if names is not None:
                file.update_tags(CLASS_NAMES=json.dumps(names))
            if numbers is not None:
                file.update_tags(CLASS_VALUES=json.dumps(numbers))
            file.update_tags(**(tags or {}))
            if colours:
                file.write_colormap(1, colours)
        return path

    return write
