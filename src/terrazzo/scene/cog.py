"""A cloud-optimised GeoTIFF: rows and their overviews stream into scratch files, and GDAL's COG driver joins them.

The order of bytes that such a file needs, overviews before the image, is known only at the end: hence the copy.

Source: GDAL, "COG -- Cloud Optimized GeoTIFF generator"; OGC Cloud Optimized GeoTIFF Standard 1.0 (OGC 21-026).
"""

import contextlib
import functools
import itertools
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from jaxtyping import Shaped
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.errors import RasterioError

from terrazzo.errors import StorageError
from terrazzo.geo.grid import Grid
from terrazzo.scene.cog_structure import check_cog
from terrazzo.scene.geotiff import BLOCK, GeoTiffWriter, block_side, pixels_checksum
from terrazzo.scene.layer import NOWHERE, Georeference, Layer
from terrazzo.scene.overviews import Pyramid, halved_by_mean, halved_by_mode, overview_shapes
from terrazzo.storage import scratch_folder

__all__ = ["CogWriter", "Compression"]

Compression = Literal["deflate", "zstd"]

# Of 12000 x 12000 classes, level 6 of deflate saves a quarter of 27 MB and takes four times the seconds; level 3 of
# zstd saves nothing, and confidences become smaller by neither.
_LEVEL = 1

_LEAST_BLOCK = 128
"""Side of the smallest blocks that GDAL's driver makes without a warning."""

_LEAST_CACHE, _LARGEST_CACHE = 2**23, 2**26
"""Bytes of decoded blocks that GDAL keeps while the copy is made and read back."""

_SCRATCH_OPTIONS = {"compress": "zstd", "zstd_level": 1, "num_threads": "all_cpus"}


class CogWriter:
    """An open cloud-optimised GeoTIFF that takes its rows from top to bottom.

    When complete, each image of the file is read back and compared, and the order of its bytes is checked.

    Args:
        path: File to write; scratch files lie beside it until it is complete.
        layer: What its values mean.
        grid: Coordinate reference system, transform and size.
        georeference: Ground control points and sensor model, where the scene has them.
        compression: Compression of the blocks.
    """

    def __init__(
        self, path: Path, layer: Layer, grid: Grid, georeference: Georeference, *, compression: Compression
    ) -> None:
        self._path = path
        self._layer = layer
        self._grid = grid
        self._compression = compression
        self._points = georeference.gcps
        self._stack = contextlib.ExitStack()
        self._folder = self._stack.enter_context(scratch_folder(path))
        try:
            self._begin(georeference)
        except BaseException:
            self._stack.close()
            raise

    def _begin(self, georeference: Georeference) -> None:
        layer = self._layer
        bare = Layer(layer.name, layer.dtype, channels=layer.channels, nodata=layer.nodata)
        shapes = overview_shapes(self._grid.height, self._grid.width, largest=BLOCK)
        self._images = [self._image(0, layer, self._grid, georeference)]
        for level, (height, width) in enumerate(shapes, 1):
            self._images.append(self._image(level, bare, Grid(None, Affine.identity(), height, width), NOWHERE))
        halve = functools.partial(halved_by_mode if layer.categorical else halved_by_mean, nodata=layer.nodata)
        self._pyramid = Pyramid(shapes, halve, [image.write for image in self._images[1:]])

    def write(self, rows: Shaped[np.ndarray, "channel y x"]) -> None:
        """Append rows."""
        self._images[0].write(rows)
        self._pyramid.write(rows)

    def complete(self) -> None:
        """Join the scratch files into the map after its last row, read it back and compare.

        Raises:
            StorageError: Rows are missing, or the file holds other values or lies in another order.
        """
        with self._stack, rasterio.Env(GDAL_CACHEMAX=self._cache_bytes()):
            self._pyramid.close()
            for image in self._images:
                image.close()
            self._join()
            check_cog(self._path)
            for level, image in enumerate(self._images):
                found = pixels_checksum(self._path, image.step, overview=level - 1 if level else None)
                if found != image.checksum:
                    what = f"overview {level} of {self._path}" if level else str(self._path)
                    raise StorageError(f"{what} does not hold what was written to it; is the disk full or failing?")

    def abandon(self) -> None:
        """Close and remove the scratch files."""
        with self._stack:
            for image in self._images:
                image.abandon()

    def _cache_bytes(self) -> int:
        """Return room for two rows of blocks: each block is read once, so that more would be held for nothing."""
        rows = 2 * BLOCK * self._grid.width * self._layer.channels * self._layer.dtype.itemsize
        return min(max(rows, _LEAST_CACHE), _LARGEST_CACHE)

    def _image(self, level: int, layer: Layer, grid: Grid, georeference: Georeference) -> GeoTiffWriter:
        image = GeoTiffWriter(self._scratch(level), layer, grid, georeference, options=_SCRATCH_OPTIONS)
        self._stack.callback(image.abandon)
        return image

    def _scratch(self, level: int) -> Path:
        return self._folder / f"level_{level}.tif"

    def _join(self) -> None:
        """Copy the scratch files into the map."""
        try:
            rasterio.shutil.copy(self._joined(), self._path, driver="COG", **self._options())
        except (CPLE_BaseError, RasterioError, SystemError) as error:
            # A system error is rasterio's word for a copy that GDAL gave up without one.
            raise StorageError(f"{self._path} cannot be written: {error}; is the disk full or failing?") from error

    def _joined(self) -> Path:
        """Return a virtual raster of the image and its overviews."""
        path = self._folder / "joined.vrt"
        rasterio.shutil.copy(self._scratch(0), path, driver="VRT")
        bands, points = itertools.count(1), iter(self._points)
        # Text in a virtual raster is escaped, so that neither of these stands anywhere else.
        text = path.read_text(encoding="utf-8")
        text = re.sub("</VRTRasterBand>", lambda end: self._overviews_of(next(bands)) + end[0], text)
        text = re.sub(r"<GCP [^>]*>", lambda _: _exact(next(points)), text)
        path.write_text(text, encoding="utf-8")
        return path

    def _overviews_of(self, band: int) -> str:
        return "".join(
            f'<Overview><SourceFilename relativeToVRT="1">{self._scratch(level).name}</SourceFilename>'
            f"<SourceBand>{band}</SourceBand></Overview>"
            for level in range(1, len(self._images))
        )

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "BLOCKSIZE": max(block_side(max(self._grid.height, self._grid.width)), _LEAST_BLOCK),
            "COMPRESS": self._compression.upper(),
            "LEVEL": _LEVEL,
            "OVERVIEWS": "FORCE_USE_EXISTING",
            "NUM_THREADS": "ALL_CPUS",
            "BIGTIFF": "IF_SAFER",
        }
        if not self._layer.categorical:
            # Neighbouring shares differ little: differences need a fifth less room. Classes need more that way.
            options["PREDICTOR"] = "YES"
        if self._layer.dtype == np.float16:
            options["NBITS"] = 16
        return options


def _exact(point: GroundControlPoint) -> str:
    """Return a control point for a virtual raster; GDAL's own has four decimals of a pixel."""
    return f'<GCP Pixel="{point.col!r}" Line="{point.row!r}" X="{point.x!r}" Y="{point.y!r}" Z="{point.z or 0.0!r}" />'
