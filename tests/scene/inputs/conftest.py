"""A web server on this machine, and rasters, that the tests of inputs share."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from terrazzo.geo.bands import Band, Bands


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Serve a folder with ranges.

    While a file called `down` lies in it, no range is answered; with one called `private`, only whoever signs as for an
    object store is.

    In a process of its own: GDAL holds Python's lock while it waits for some answers.
    """
    running: list[subprocess.Popen[str]] = []

    def begin(folder: Path) -> str:
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "range_server.py"), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(server)
        assert server.stdout is not None
        return f"http://127.0.0.1:{int(server.stdout.readline())}"

    yield begin
    for server in running:
        server.kill()
        server.communicate()


@pytest.fixture
def write_raster(tmp_path: Path) -> Callable[..., Path]:
    """Write an array (band, y, x) as a GeoTIFF in metres, its upper left corner at (x, y)."""

    def write(
        name: str,
        values: np.ndarray,
        *,
        x: float = 500_000,
        y: float = 5_000_000,
        size: float = 1.0,
        crs: str | None = "EPSG:32632",
        transform: Affine | None = None,
        names: tuple[str, ...] = (),
        **profile: object,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        place = {} if crs is None else {"crs": crs, "transform": transform or Affine(size, 0, x, 0, -size, y)}
        count, height, width = values.shape
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=count,
            height=height,
            width=width,
            dtype=values.dtype,
            photometric="minisblack",
            **{**place, **profile},
        ) as file:
            file.write(values)
            for number, word in enumerate(names, 1):
                file.set_band_description(number, word)
        return path

    return write


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """Make seeded values without 0."""

    def make(*shape: int, seed: int = 0, dtype: str = "uint8") -> np.ndarray:
        return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)

    return make


@pytest.fixture
def rgb() -> Bands:
    """Bands of a network that sees colours."""
    return Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue")))
