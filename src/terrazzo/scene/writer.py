"""Writing a map from top to bottom: a GeoTIFF on the scene's own grid, or a PNG for a picture without one."""

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import rasterio
from affine import Affine
from jaxtyping import Shaped, UInt8
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.rpc import RPC
from rasterio.windows import Window as RasterioWindow

from terrazzo.errors import ConfigError, StorageError
from terrazzo.geo.grid import Grid
from terrazzo.scene.png import PngForm, PngWriter

__all__ = [
    "GeoTiffWriter",
    "Georeference",
    "Layer",
    "RowWriter",
    "open_writer",
    "read_georeference",
    "require_can_hold",
    "storage_errors",
]

BLOCK = 512
"""Side of a GeoTIFF's blocks; less where the scene is smaller."""


@dataclass(frozen=True)
class Georeference:
    """How a scene says where it lies, beside its grid.

    Attributes:
        gcps: Ground control points.
        gcps_crs: Coordinate reference system of these.
        rpcs: Rational polynomial coefficients of the sensor.
        present: Whether the scene says in any way where it lies.
    """

    gcps: tuple[GroundControlPoint, ...]
    gcps_crs: CRS | None
    rpcs: RPC | None
    present: bool


def read_georeference(scene: Path) -> Georeference:
    """Return how a scene says where it lies."""
    # That there is none is an answer here.
    with rasterio.open(scene) as source:
        gcps, gcps_crs = source.gcps
        said = bool(source.crs or gcps or source.rpcs or source.transform != Affine.identity())
        return Georeference(tuple(gcps), gcps_crs, source.rpcs, said)


@dataclass(frozen=True)
class Layer:
    """One raster to write, and what its values mean.

    Attributes:
        name: What it shows, such as "class".
        dtype: numpy type of the values.
        channels: 1, 4 for red, green, blue, alpha of a colour map, or one a class.
        nodata: Value of missing pixels; None where alpha says it.
        palette: Red, green, blue, alpha of each of 256 values; None for plain numbers.
        scale: Factor from value to meaning.
        tags: Notes kept in the file.
        band_names: What each band shows; the layer's name if empty.
        colours: Whether the four channels are red, green, blue and alpha.
    """

    name: str
    dtype: np.dtype[Any]
    channels: int = 1
    nodata: int | float | None = None
    palette: UInt8[np.ndarray, "256 4"] | None = None
    scale: float = 1.0
    tags: Mapping[str, str] = field(default_factory=dict)
    band_names: tuple[str, ...] = ()
    colours: bool = False


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
    compression: Literal["deflate", "zstd"] = "deflate",
) -> Iterator[RowWriter]:
    """Open a file for one layer; the suffix decides the format, and on exit it is complete.

    Args:
        path: File to write.
        layer: What its values mean.
        grid: Coordinate reference system, transform and size.
        georeference: Ground control points and sensor model, where the scene has them.
        goal: What the file will be called; named in messages.
        compression: Compression of a GeoTIFF.

    Raises:
        ConfigError: The format cannot hold the layer or the scene's georeference.
        StorageError: The file cannot be written.
    """
    require_can_hold(goal, layer, georeference)
    with storage_errors(goal):
        if path.suffix.lower() == ".png":
            writer: RowWriter = _png(path, layer, grid)
        else:
            writer = GeoTiffWriter(path, layer, grid, georeference, compression=compression)
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
    except (RasterioError, OSError) as error:
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


class GeoTiffWriter:
    """An open GeoTIFF that takes its rows from top to bottom and writes whole rows of blocks.

    When complete the file is read back and compared, because a full disk is not always reported on closing.

    Args:
        path: File to write.
        layer: What its values mean.
        grid: Coordinate reference system, transform and size.
        georeference: Ground control points and sensor model, where the scene has them.
        compression: Compression of the blocks.
    """

    def __init__(
        self, path: Path, layer: Layer, grid: Grid, georeference: Georeference, *, compression: str = "deflate"
    ) -> None:
        self._path = path
        self._grid = grid
        profile = _profile(layer, grid, georeference, compression)
        self._buffer = np.empty((layer.channels, profile["blockysize"], grid.width), dtype=layer.dtype)
        self._buffered = 0
        self._written = 0
        self._checksum = 0
        # A scene without georeference gives a map without one.
        self._file = rasterio.open(path, "w", **profile)
        _describe(self._file, layer)

    def write(self, rows: Shaped[np.ndarray, "channel y x"]) -> None:
        """Append rows."""
        done, height = 0, rows.shape[1]
        while done < height:
            taken = min(height - done, self._buffer.shape[1] - self._buffered)
            self._buffer[:, self._buffered : self._buffered + taken] = rows[:, done : done + taken]
            self._buffered += taken
            done += taken
            if self._buffered == self._buffer.shape[1]:
                self._flush()

    def complete(self) -> None:
        """Close the file after its last row, read it back and compare.

        Raises:
            StorageError: Rows are missing, or the file holds other values.
        """
        try:
            if self._buffered:
                self._flush()
        finally:
            self._file.close()
        self._verify()

    def abandon(self) -> None:
        """Close the file as it is."""
        with contextlib.suppress(RasterioError):
            self._file.close()

    def _flush(self) -> None:
        ready = self._buffer[:, : self._buffered]
        self._checksum = zlib.crc32(np.ascontiguousarray(ready).data, self._checksum)
        self._file.write(ready, window=RasterioWindow(0, self._written, self._grid.width, self._buffered))
        self._written += self._buffered
        self._buffered = 0

    def _verify(self) -> None:
        if self._written != self._grid.height:
            raise StorageError(f"{self._path}: {self._grid.height - self._written} rows were not written.")
        found, step = 0, self._buffer.shape[1]
        written = rasterio.open(self._path)
        with written:
            for top in range(0, self._grid.height, step):
                height = min(step, self._grid.height - top)
                rows = written.read(window=RasterioWindow(0, top, self._grid.width, height))
                found = zlib.crc32(np.ascontiguousarray(rows).data, found)
        if found != self._checksum:
            raise StorageError(f"{self._path} does not hold what was written to it; is the disk full or failing?")


def _profile(layer: Layer, grid: Grid, georeference: Georeference, compression: str) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "driver": "GTiff", "height": grid.height, "width": grid.width, "count": layer.channels, "dtype": layer.dtype,
        "tiled": True, "blockysize": _block(grid.height), "blockxsize": _block(grid.width),
        "compress": compression, "bigtiff": "IF_SAFER", "interleave": "pixel",
    }  # fmt: skip
    if layer.nodata is not None:
        profile["nodata"] = layer.nodata
    if layer.colours:
        profile |= {"photometric": "RGB", "alpha": "unassociated"}
    elif layer.palette is not None:
        profile |= {"photometric": "palette"}
    if georeference.gcps:
        profile |= {"gcps": list(georeference.gcps), "crs": georeference.gcps_crs}
    else:
        if grid.crs is not None:
            profile["crs"] = grid.crs
        if grid.transform != Affine.identity():
            profile["transform"] = grid.transform
    if georeference.rpcs is not None:
        profile["rpcs"] = georeference.rpcs
    return profile


def _block(length: int) -> int:
    """Return the block's side: blocks of a TIFF are multiples of 16."""
    return min(BLOCK, -(-length // 16) * 16)


def _describe(file: Any, layer: Layer) -> None:  # noqa: ANN401 - rasterio has no types
    for number, name in enumerate(layer.band_names or (layer.name,), 1):
        file.set_band_description(number, name)
    if layer.colours:
        file.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
        for number, name in enumerate(("red", "green", "blue", "alpha"), 1):
            file.set_band_description(number, name)
    if layer.palette is not None:
        file.write_colormap(1, {value: tuple(map(int, colour)) for value, colour in enumerate(layer.palette)})
    if layer.scale != 1.0:
        file.scales = (layer.scale,) * layer.channels
    file.update_tags(**layer.tags)
