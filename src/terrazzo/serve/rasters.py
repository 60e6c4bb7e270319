"""Rasters as the viewer opens them: files of known formats, read by windows at any size, turned as they are seen."""

import contextlib
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from jaxtyping import Bool, Shaped
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from terrazzo.errors import DataError
from terrazzo.geo.declared_size import check_declared_size
from terrazzo.geo.file_bands import alpha_number, file_bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.jpeg import check_jpeg
from terrazzo.geo.orientation import UPRIGHT, Orientation, read_orientation
from terrazzo.geo.png import check_png

__all__ = ["FORMATS", "SUFFIXES", "Pixels", "ViewedRaster", "open_viewed"]

_BEGINNINGS = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WEBP",
    b"\0\0\0\x0cjP": "JP2OpenJPEG",
    b"\xffO\xffQ": "JP2OpenJPEG",
    b"<VRT": "VRT",
}
"""GDAL's names of formats by how their files begin."""
FORMATS = frozenset({"GTiff", "PNG", "JPEG", "WEBP", "JP2OpenJPEG"})
"""The formats that are opened: whatever a file's suffix, none of these leads to other files."""
SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".webp", ".jp2"})
"""Suffixes of files that are taken for rasters."""


@dataclass(frozen=True)
class Pixels:
    """Pixels of a window.

    Attributes:
        values: Raw values, band first.
        valid: Where all of these bands were measured.
    """

    values: Shaped[np.ndarray, "band y x"]
    valid: Bool[np.ndarray, "y x"]


class ViewedRaster:
    """An open raster; one thread at a time reads it.

    Args:
        source: The file as rasterio opened it.
        path: Where it lies.
        orientation: How its pixels are turned; as its file notes if None.

    Attributes:
        source: The same.
        path: The same.
        alpha: Number of the band that is transparency, if any.
        orientation: How stored pixels are turned.
        grid: Where the turned pixels lie.
    """

    def __init__(self, source: Any, path: Path, orientation: Orientation | None = None) -> None:  # noqa: ANN401 - rasterio has no types
        self.source = source
        self.path = path
        self.alpha = alpha_number(source)
        self.orientation = self._noted_orientation() if orientation is None else orientation
        height, width = self.orientation.shape(source.height, source.width)
        self.grid = Grid(source.crs, source.transform, height, width)

    def turned_as(self, other: "ViewedRaster") -> "ViewedRaster":
        """Return a copy of another raster turned like it: a copy's file notes nothing."""
        return ViewedRaster(self.source, self.path, other.orientation)

    def _noted_orientation(self) -> Orientation:
        placed = self.source.crs is not None or not self.source.transform.is_identity or self.source.gcps[0]
        return UPRIGHT if placed else read_orientation(self.path, self.source.driver)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of all bands but transparency, from 1."""
        return tuple(number for number in range(1, self.source.count + 1) if number != self.alpha)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of these bands."""
        return file_bands(self.source, self.alpha).names

    @property
    def palette(self) -> dict[int, tuple[int, int, int, int]] | None:
        """Colours of the values of a file of one band that has a palette."""
        if self.source.colorinterp[0] != ColorInterp.palette:
            return None
        return dict(self.source.colormap(1))

    def check(self) -> None:
        """Refuse a file that is cut short, or claims more pixels than it can hold.

        Raises:
            DataError: It is.
        """
        source = self.source
        value_bytes = sum(np.dtype(kind).itemsize for kind in source.dtypes if not kind.startswith("complex_"))
        check_declared_size(
            str(self.path),
            whole_bytes=source.height * source.width * value_bytes,
            block_bytes=math.prod(source.block_shapes[0]) * value_bytes,
            file_bytes=self.path.stat().st_size,
            driver=source.driver,
        )
        if source.driver == "PNG":
            check_png(self.path)
        elif source.driver == "JPEG":
            check_jpeg(self.path)

    def read(
        self,
        window: Window,
        bands: Sequence[int],
        *,
        height: int | None = None,
        width: int | None = None,
        smooth: bool = False,
    ) -> Pixels:
        """Read a window, made smaller where that is asked for.

        Args:
            window: Pixels of the turned raster, none outside it.
            bands: Numbers of the bands, from 1.
            height: Rows of the answer; those of the window if None.
            width: Columns of the answer; likewise.
            smooth: Whether values are averaged where the answer is smaller; else the nearest is taken.

        Raises:
            DataError: Blocks cannot be decoded.
        """
        height, width = height or window.height, width or window.width
        stored = self.orientation.stored(window, self.grid.height, self.grid.width)
        area = RasterioWindow(stored.x, stored.y, stored.width, stored.height)
        shape = self.orientation.shape(height, width)
        how: dict[str, Any] = {"window": area, "resampling": Resampling.bilinear if smooth else Resampling.nearest}
        try:
            values = self.source.read(list(bands), out_shape=(len(bands), *shape), **how)
            valid = np.isfinite(values).all(axis=0) if values.dtype.kind == "f" else np.ones(shape, dtype=bool)
            for number in bands:
                flags = self.source.mask_flag_enums[number - 1]
                if MaskFlags.all_valid not in flags and MaskFlags.alpha not in flags:
                    valid &= self.source.read_masks(number, out_shape=shape, window=area) != 0
            if self.alpha is not None:
                valid &= self.source.read(self.alpha, out_shape=shape, window=area) != 0
        except RasterioError as error:
            self._forget_error()
            raise DataError(f"{self.path.name} cannot be decoded, the file is damaged: {error}.") from error
        return Pixels(self.orientation.upright(values), self.orientation.upright(valid))

    def overview(self, bands: Sequence[int], *, longest: int, smooth: bool = False) -> Pixels:
        """Read the whole raster so that its longer side has no more than some pixels.

        Args:
            bands: Numbers of the bands, from 1.
            longest: Most pixels of a side.
            smooth: As for `read`.

        Raises:
            DataError: Blocks cannot be decoded.
        """
        scale = max(1.0, max(self.grid.height, self.grid.width) / longest)
        height, width = (max(1, round(side / scale)) for side in (self.grid.height, self.grid.width))
        return self.read(self.grid.whole, bands, height=height, width=width, smooth=smooth)

    def _forget_error(self) -> None:
        """Take what GDAL still says of a failed read: rasterio would raise it at its next call, on any file."""
        with contextlib.suppress(CPLE_BaseError, RasterioError):
            _ = self.source.colorinterp


@contextlib.contextmanager
def open_viewed(path: Path, *, formats: Collection[str] = FORMATS) -> Iterator[ViewedRaster]:
    """Open a raster of one of the known formats.

    Args:
        path: The file.
        formats: GDAL's names of the formats.

    Raises:
        DataError: It is missing, damaged, or of another format.
    """
    driver = _format_of(path)
    if driver not in formats:
        raise DataError(f"{path.name} is no raster that the viewer opens: a TIFF, PNG, JPEG, WebP or JPEG 2000 file.")
    try:
        source = rasterio.open(path, driver=driver)
    except RasterioError as error:
        reason = str(error).replace(str(path), path.name)
        raise DataError(f"{path.name} cannot be read, the file is damaged: {reason}.") from error
    with source:
        yield ViewedRaster(source, path)


def _format_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            begins = file.read(8)
    except OSError as error:
        raise DataError(f"{path.name} cannot be opened: {error.strerror}.") from error
    return next((name for sign, name in _BEGINNINGS.items() if begins.startswith(sign)), None)
