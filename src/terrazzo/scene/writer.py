"""Writing a map from top to bottom: a GeoTIFF on the scene's own grid, or a PNG for a picture without one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from terrazzo.errors import ConfigError, SpaceError, StorageError
from terrazzo.geo.grid import Grid
from terrazzo.scene.cog import CogWriter, Compression
from terrazzo.scene.geotiff import GeoTiffWriter
from terrazzo.scene.layer import Georeference, Layer, read_georeference
from terrazzo.scene.png import PngForm, PngWriter
from terrazzo.storage import is_full

__all__ = [
    "Georeference",
    "Layer",
    "RowWriter",
    "open_writer",
    "read_georeference",
    "require_can_hold",
    "storage_errors",
]


@runtime_checkable
class RowWriter(Protocol):
    """A file that takes its rows from top to bottom."""

    def write(self, rows: Shaped[np.ndarray, "channel y x"]) -> None:
        """Append rows."""
        ...

    def complete(self) -> None:
        """Close the file after its last row and make sure that it is whole."""
        ...

    def abandon(self) -> None:
        """Close the file as it is, because of an error elsewhere."""
        ...


@contextlib.contextmanager
def open_writer(
    path: Path,
    layer: Layer,
    grid: Grid,
    georeference: Georeference,
    *,
    goal: Path,
    compression: Compression = "deflate",
    overviews: bool = True,
) -> Iterator[RowWriter]:
    """Open a file for one layer; the suffix decides the format, and on exit it is complete.

    Args:
        path: File to write; scratch files of a cloud-optimised GeoTIFF lie beside it meanwhile.
        layer: What its values mean.
        grid: Coordinate reference system, transform and size.
        georeference: Ground control points and sensor model, where the scene has them.
        goal: What the file will be called; named in messages.
        compression: Compression of a GeoTIFF.
        overviews: Whether a GeoTIFF is cloud-optimised: with overviews, and laid out to be read by parts.

    Raises:
        ConfigError: The format cannot hold the layer or the scene's georeference.
        StorageError: The file cannot be written.
    """
    require_can_hold(goal, layer, georeference)
    with storage_errors(goal):
        if goal.suffix.lower() == ".png":
            writer: RowWriter = _png(path, layer, grid)
        elif overviews:
            writer = CogWriter(path, layer, grid, georeference, compression=compression)
        else:
            options = {"compress": compression, "num_threads": "all_cpus"}
            writer = GeoTiffWriter(path, layer, grid, georeference, options=options)
    try:
        yield writer
    except BaseException:
        writer.abandon()
        raise
    with storage_errors(goal):
        writer.complete()


def require_can_hold(goal: Path, layer: Layer, georeference: Georeference) -> None:
    """Refuse a file whose format cannot hold a layer, before anything is computed for it.

    Raises:
        ConfigError: The suffix names no format, or one that cannot hold the layer or the scene's georeference.
    """
    suffix = goal.suffix.lower()
    if suffix == ".png":
        _require_png_can_hold(goal, layer, georeference)
    elif suffix not in {".tif", ".tiff"}:
        raise ConfigError(f"A map is written as .tif or .png, not {suffix or 'without suffix'} ({goal}).")


@contextlib.contextmanager
def storage_errors(goal: Path) -> Iterator[None]:
    """Name the map where GDAL or the system cannot write it."""
    try:
        yield
    except StorageError:
        raise
    except (RasterioError, CPLE_BaseError, OSError) as error:
        if isinstance(error, OSError) and is_full(error):
            raise SpaceError(
                f"{goal} cannot be written: {error.strerror}; free some room or choose another disk."
            ) from error
        raise StorageError(f"{goal} cannot be written: {error}.") from error


def _png(path: Path, layer: Layer, grid: Grid) -> PngWriter:
    form = PngForm(grid.height, grid.width, layer.dtype, layer.channels, layer.palette)
    texts = {key.replace("TIFFTAG_SOFTWARE", "Software"): text for key, text in layer.tags.items()}
    return PngWriter(path, form, texts=texts)


def _require_png_can_hold(path: Path, layer: Layer, georeference: Georeference) -> None:
    if georeference.present:
        raise ConfigError(f"{path}: a PNG cannot say where the scene lies; write a .tif.")
    if layer.channels != 1 and not layer.colours:
        raise ConfigError(f"{path}: a PNG cannot hold {layer.channels} bands of {layer.name}; write a .tif.")
    if layer.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise ConfigError(f"{path}: a PNG cannot hold {layer.dtype} values; write a .tif or predict.values=index.")
