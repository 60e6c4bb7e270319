"""Quicker copies of rasters that are slow to read in parts: photographs, and large rasters without overviews.

A photograph is decoded from its top for every tile; and a coarse tile of a raster without overviews is made of all its
pixels. Such a raster is copied once, in a folder that goes with the server, with overviews and in blocks.
"""

import contextlib
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from terrazzo.errors import DataError
from terrazzo.serve.rasters import ViewedRaster, open_viewed
from terrazzo.storage import fingerprint

__all__ = ["ReducedCopies"]

_SMALL_PIXELS = 2**22
"""A raster of no more pixels is read as it is."""
_COARSE = 4
"""From this many pixels to a tile's pixel on, a raster without overviews is read through its copy."""
_DECODED_WHOLE = frozenset({"PNG", "JPEG", "WEBP"})


class ReducedCopies:
    """Copies of rasters, made when they are first needed; several threads may ask at once.

    Args:
        most_bytes: Room that copies may take; those that were used longest ago go first.

    Attributes:
        folder: Where they lie, as long as this lives; None before the first one is needed.
    """

    def __init__(self, most_bytes: int = 4 * 2**30) -> None:
        self.folder: Path | None = None
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._made: OrderedDict[str, tuple[Path, int]] = OrderedDict()

    @contextlib.contextmanager
    def quicker(self, raster: ViewedRaster, factor: int, *, smooth: bool) -> Iterator[ViewedRaster]:
        """Yield a raster, or a copy of it that gives the same pixels sooner.

        Args:
            raster: The raster.
            factor: Pixels of it along a side of a pixel that is asked for.
            smooth: Whether overviews may hold means; else they hold what stands in the raster.

        Raises:
            DataError: It cannot be read.
        """
        source = raster.source
        if source.height * source.width <= _SMALL_PIXELS or source.overviews(1):
            yield raster
            return
        whole = source.driver in _DECODED_WHOLE
        if not whole and factor < _COARSE:
            yield raster
            return
        path = self._copy(raster, whole=whole, smooth=smooth)
        with open_viewed(path, formats=("GTiff", "VRT")) as copied:
            yield copied.turned_as(raster)

    def _copy(self, raster: ViewedRaster, *, whole: bool, smooth: bool) -> Path:
        status = raster.path.stat()
        key = fingerprint([str(raster.path), status.st_size, status.st_mtime_ns, whole, smooth])
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key][0]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._made:
                    return self._made[key][0]
            try:
                path = self._make(raster, key, whole=whole, smooth=smooth)
            finally:
                with self._lock:
                    self._making.pop(key, None)
            self._keep(key, path)
        return path

    def _keep(self, key: str, path: Path) -> None:
        size = sum(part.stat().st_size for part in _parts(path))
        with self._lock:
            self._made[key] = (path, size)
            while len(self._made) > 1 and sum(taken for _, taken in self._made.values()) > self._most_bytes:
                _, (oldest, _) = self._made.popitem(last=False)
                _remove(oldest)

    def _place(self) -> Path:
        with self._lock:
            if self.folder is None:
                self.folder = Path(tempfile.mkdtemp(prefix="terrazzo-view-"))
                weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
            return self.folder

    def _make(self, raster: ViewedRaster, key: str, *, whole: bool, smooth: bool) -> Path:
        """Copy a photograph into blocks; of any other raster only its overviews are made, beside a reference to it."""
        path = self._place() / f"{key}.{'tif' if whole else 'vrt'}"
        driver = {"driver": "GTiff", "tiled": True, "compress": "zstd", "zstd_level": 1} if whole else {"driver": "VRT"}
        longest = max(raster.source.height, raster.source.width)
        factors = [2**power for power in range(1 if whole else 2, max(2, (longest // 256).bit_length()) + 1)]
        try:
            with rasterio.Env(COMPRESS_OVERVIEW="ZSTD", BIGTIFF_OVERVIEW="IF_SAFER"):
                rasterio.shutil.copy(raster.source, path, **driver)
                with rasterio.open(path, "r+") as copied:
                    copied.build_overviews(factors, Resampling.average if smooth else Resampling.mode)
        except (RasterioError, CPLE_BaseError, SystemError) as error:
            _remove(path)
            raise DataError(f"{raster.path.name} cannot be decoded as a whole: {error}.") from error
        return path


def _parts(path: Path) -> list[Path]:
    """Return a copy's files: its overviews lie beside it."""
    return sorted(path.parent.glob(f"{path.stem}.*"))


def _remove(path: Path) -> None:
    for part in _parts(path):
        part.unlink(missing_ok=True)
