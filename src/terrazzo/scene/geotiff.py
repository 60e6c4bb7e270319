"""A GeoTIFF that takes its rows from top to bottom, and what every GeoTIFF of a map says about itself."""

import contextlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from jaxtyping import Shaped
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from terrazzo.errors import StorageError
from terrazzo.geo.grid import Grid
from terrazzo.scene.layer import Georeference, Layer

__all__ = ["BLOCK", "GeoTiffWriter", "block_side", "pixels_checksum", "stored_type"]

BLOCK = 512
"""Side of a GeoTIFF's blocks; less where the scene is smaller."""

_LARGEST_BUFFER = 2**26
"""Bytes of rows that wait for a whole row of blocks; many bands get lower blocks."""


def stored_type(layer: Layer) -> np.dtype[Any]:
    """Return the type in which GDAL takes a layer's values: half precision goes through single precision."""
    return np.dtype(np.float32) if layer.dtype == np.float16 else layer.dtype


def block_side(length: int) -> int:
    """Return the side of a block: those of a TIFF are multiples of 16.

    >>> [block_side(length) for length in (1, 17, 10_000)]
    [16, 32, 512]
    """
    return min(BLOCK, -(-length // 16) * 16)


class GeoTiffWriter:
    """An open GeoTIFF that takes its rows from top to bottom and writes whole rows of blocks.

    When complete the file is read back and compared, because a full disk is not always reported on closing.

    Args:
        path: File to write.
        layer: What its values mean.
        grid: Coordinate reference system, transform and size.
        georeference: Ground control points and sensor model, where the scene has them.
        options: Creation options of GDAL's GTiff driver, such as `compress`.

    Attributes:
        step: Rows that are written, and summed, at once.
        checksum: CRC-32 of the pixels written so far, such as `pixels_checksum` finds.
    """

    def __init__(
        self, path: Path, layer: Layer, grid: Grid, georeference: Georeference, *, options: Mapping[str, object]
    ) -> None:
        self._path = path
        self._grid = grid
        self._dtype = stored_type(layer)
        profile = {**_profile(layer, grid, georeference), **options}
        self.step = int(profile["blockysize"])
        self.checksum = 0
        self._buffer = np.empty((layer.channels, self.step, grid.width), dtype=self._dtype)
        self._buffered = 0
        self._written = 0
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

    def close(self) -> None:
        """Write what waits and close the file.

        Raises:
            StorageError: Rows are missing.
        """
        try:
            if self._buffered:
                self._flush()
        finally:
            self._file.close()
        if self._written != self._grid.height:
            raise StorageError(f"{self._path}: {self._grid.height - self._written} rows were not written.")

    def complete(self) -> None:
        """Close the file after its last row, read it back and compare.

        Raises:
            StorageError: Rows are missing, or the file holds other values.
        """
        self.close()
        if pixels_checksum(self._path, self.step) != self.checksum:
            raise StorageError(f"{self._path} does not hold what was written to it; is the disk full or failing?")

    def abandon(self) -> None:
        """Close the file as it is."""
        with contextlib.suppress(RasterioError, CPLE_BaseError):
            self._file.close()

    def _flush(self) -> None:
        ready = self._buffer[:, : self._buffered]
        self.checksum = zlib.crc32(np.ascontiguousarray(ready).data, self.checksum)
        self._file.write(ready, window=RasterioWindow(0, self._written, self._grid.width, self._buffered))
        self._written += self._buffered
        self._buffered = 0


def pixels_checksum(path: Path, step: int, *, overview: int | None = None) -> int:
    """Return the CRC-32 of a raster's pixels, taken some rows of all bands at a time.

    Args:
        path: The raster.
        step: Rows at a time.
        overview: Position of the overview that is read instead of the full image.
    """
    options: dict[str, object] = {"num_threads": "all_cpus"}
    if overview is not None:
        options["overview_level"] = overview
    found = 0
    with rasterio.open(path, **options) as file:
        for top in range(0, file.height, step):
            rows = file.read(window=RasterioWindow(0, top, file.width, min(step, file.height - top)))
            found = zlib.crc32(np.ascontiguousarray(rows).data, found)
    return found


def _profile(layer: Layer, grid: Grid, georeference: Georeference) -> dict[str, Any]:
    row_bytes = layer.channels * grid.width * stored_type(layer).itemsize
    profile: dict[str, Any] = {
        "driver": "GTiff", "height": grid.height, "width": grid.width, "count": layer.channels,
        "dtype": stored_type(layer), "tiled": True,
        "blockysize": min(block_side(grid.height), max(_LARGEST_BUFFER // row_bytes // 16 * 16, 16)),
        "blockxsize": block_side(grid.width), "bigtiff": "IF_SAFER",
        # A colour is read whole, but of many probabilities often one.
        "interleave": "pixel" if layer.colours else "band",
    }  # fmt: skip
    if layer.dtype == np.float16:
        profile["nbits"] = 16
    if layer.nodata is not None:
        profile["nodata"] = layer.nodata
    if layer.colours:
        profile |= {"photometric": "RGB", "alpha": "unassociated"}
    elif layer.palette is not None:
        profile |= {"photometric": "palette"}
    if georeference.gcps and grid.transform == Affine.identity():
        # A TIFF holds points or a transform, and the transform is exact.
        profile |= {"gcps": list(georeference.gcps), "crs": georeference.gcps_crs}
    else:
        if grid.crs is not None:
            profile["crs"] = grid.crs
        if grid.transform != Affine.identity():
            profile["transform"] = grid.transform
    if georeference.rpcs is not None:
        profile["rpcs"] = georeference.rpcs
    return profile


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
