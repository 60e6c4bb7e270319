"""Pixels together with what they mean: values, validity, grid and bands, read window by window.

The mask is part of the value: a pixel is invalid where any selected band is nodata, masked, transparent or not finite,
and every operation carries that on.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from terrazzo.errors import ContractError, DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.declared_size import check_declared_size
from terrazzo.geo.file_bands import alpha_number, file_bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.jpeg import check_jpeg
from terrazzo.geo.kept_open import close_dataset, found_whole, open_dataset
from terrazzo.geo.orientation import UPRIGHT, Orientation, read_orientation
from terrazzo.geo.png import check_png
from terrazzo.geo.warped import BLOCK, MEASURED, OUTSIDE, Pixels, Resampling, way_onto

__all__ = ["Raster", "RasterFile"]

_SEQUENTIAL = frozenset({"PNG", "JPEG", "GIF", "WEBP"})


@dataclass(frozen=True)
class Raster:
    """Pixels of a window.

    Attributes:
        values: Raw values, band first.
        valid: Where every band was measured.
        grid: Where the pixels lie.
        bands: What the first axis means.
    """

    values: Shaped[np.ndarray, "band y x"]
    valid: Bool[np.ndarray, "y x"]
    grid: Grid
    bands: Bands

    def select(self, names: Sequence[str]) -> "Raster":
        """Return the named bands in the order asked for, with the same validity."""
        return Raster(self.values[self.bands.positions(names)], self.valid, self.grid, self.bands.select(names))


class RasterFile:
    """A raster on disk, opened once and read by windows. Use as a context manager or call `close`.

    Args:
        path: Any raster GDAL reads.
        onto: Grid on which it is read; its own if None. Without coordinates on both sides, files of one size lie pixel
            for pixel. What lies outside the file is invalid.
        resampling: How values are found where the grids differ.

    Attributes:
        path: As it was given.
        warped: Whether pixels are resampled.
        orientation: How stored pixels are turned as they are read.

    Raises:
        DataError: The file is missing, damaged, of size zero or no raster; or it cannot lie on `onto`.
    """

    def __init__(self, path: str | Path, *, onto: Grid | None = None, resampling: Resampling = "bilinear") -> None:
        self.path = str(path)
        try:
            # A photograph has no georeference; that is said by `grid.crs is None`, not by a warning.
            self._source, fresh = open_dataset(self.path)
        except RasterioError as error:
            raise DataError(f"{self.path} cannot be read as a raster: {str(error).rstrip('.')}.") from error
        try:
            if fresh:
                self._check_file(Path(self.path))
                found_whole(self.path)
            self.orientation = self._noted_orientation()
            self._warp = None if onto is None else way_onto(onto, self.own_grid, resampling, name=self.path)
        except DataError:
            self.close()
            raise
        self._onto = onto
        self.warped = self._warp is not None

    def __enter__(self) -> "RasterFile":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _check_file(self, path: Path) -> None:
        """Refuse a file that is not whole, or claims what it cannot hold, where GDAL would say nothing."""
        if not path.is_file():
            return
        source = self._source
        value_bytes = sum(np.dtype(kind).itemsize for kind in source.dtypes if not kind.startswith("complex_"))
        check_declared_size(
            self.path,
            whole_bytes=source.height * source.width * value_bytes,
            block_bytes=math.prod(source.block_shapes[0]) * value_bytes,
            file_bytes=path.stat().st_size,
            driver=source.driver,
        )
        if source.driver == "PNG":
            check_png(path)
        elif source.driver == "JPEG":
            check_jpeg(path)

    def close(self) -> None:
        """Free the file, unless it is kept open for whoever reads it next."""
        close_dataset(self.path, self._source)

    @property
    def grid(self) -> Grid:
        """The frame in which windows are read."""
        return self.own_grid if self._onto is None else self._onto

    @cached_property
    def own_grid(self) -> Grid:
        """The frame of the file itself."""
        height, width = self.orientation.shape(self._source.height, self._source.width)
        return Grid(self._source.crs, self._source.transform, height, width)

    def _noted_orientation(self) -> Orientation:
        """Return how pixels are to be turned; a note does not count where something says where they lie."""
        placed = self._source.crs is not None or not self._source.transform.is_identity or self.control is not None
        path = Path(self.path)
        return UPRIGHT if placed or not path.is_file() else read_orientation(path, self._source.driver)

    @property
    def overlaps(self) -> bool:
        """Whether the file covers any of the grid on which it is read."""
        return self._warp is None or self._warp.overlaps

    @cached_property
    def control(self) -> Literal["ground control points", "RPCs"] | None:
        """What says where the pixels lie instead of a grid with a coordinate reference system, if anything does."""
        if self._source.crs is not None and not self._source.transform.is_identity:
            return None
        if self._source.gcps[0]:
            return "ground control points"
        return "RPCs" if self._source.rpcs is not None else None

    @cached_property
    def alpha(self) -> int | None:
        """1-based number of the band that is transparency, if any."""
        return alpha_number(self._source)

    @cached_property
    def bands(self) -> Bands:
        """All bands but alpha: named by description, else by colour, else `band_1`, `band_2`, ..."""
        return file_bands(self._source, self.alpha)

    @property
    def numbers(self) -> list[int]:
        """1-based numbers in the file of `bands`."""
        return [number for number in range(1, self._source.count + 1) if number != self.alpha]

    @property
    def colormap(self) -> dict[int, tuple[int, int, int, int]] | None:
        """Palette of the first band (index -> red, green, blue, alpha), or None where it has none."""
        if self._source.colorinterp[0] != ColorInterp.palette:
            return None
        return dict(self._source.colormap(1))

    @property
    def block_shape(self) -> tuple[int, int]:
        """Height and width of what is decoded together: the first band's blocks, or whole rows of resampled ones."""
        if self.warped:
            return BLOCK, self.grid.width
        height, width = self._source.block_shapes[0]
        if self.orientation != UPRIGHT and width == self._source.width:
            # Rows of a turned picture lie across, or far down in, a file that is decoded from its top.
            return self.own_grid.shape
        return self.orientation.shape(height, width)

    @property
    def sequential(self) -> bool:
        """Whether the file can only be decoded from its top, as photographs are."""
        return self._source.driver in _SEQUENTIAL

    @property
    def tags(self) -> dict[str, str]:
        """The file's metadata tags."""
        return dict(self._source.tags())

    def read(self, window: Window | None = None, bands: Bands | None = None) -> Raster:
        """Read a window that lies inside the grid.

        Args:
            window: Pixels to read; all if None.
            bands: Bands by name in the wanted order; all but alpha if None. Their own nodata value is honoured beside
                the file's.

        Raises:
            DataError: The blocks cannot be decoded (a truncated or damaged file).
            ContractError: The window leaves the grid, or a band's name is unknown.
        """
        return self._read(window, bands)[0]

    def read_covered(
        self, window: Window | None = None, bands: Bands | None = None
    ) -> tuple[Raster, Bool[np.ndarray, "y x"]]:
        """Read a window, and where the file has a pixel at all, measured or not.

        Args:
            window: As for `read`.
            bands: As for `read`.

        Raises:
            DataError: As for `read`.
            ContractError: As for `read`.
        """
        raster, state = self._read(window, bands)
        return raster, np.ones_like(raster.valid) if state is None else state != OUTSIDE

    def _read(self, window: Window | None, bands: Bands | None) -> tuple[Raster, UInt8[np.ndarray, "y x"] | None]:
        """Read a window, and the state of each pixel where it is resampled."""
        window = window or self.grid.whole
        if window.intersection(self.grid.whole) != window:
            raise ContractError(f"{self.path}: {window} leaves the raster of {self.grid.height} x {self.grid.width}.")
        chosen = bands or self.bands
        numbers = [self.numbers[position] for position in self.bands.positions(chosen.names)]
        if self._warp is None:
            values, valid = self._stored(window, numbers, chosen)
            state = None
        else:
            dtype = np.result_type(*(self._source.dtypes[number - 1] for number in numbers))
            values, state = self._warp.read(
                window, lambda part: self._stored(part, numbers, chosen), bands=len(numbers), dtype=dtype
            )
            valid = state == MEASURED
        return Raster(values, valid, self.grid.window(window), chosen), state

    def _stored(self, window: Window, numbers: list[int], bands: Bands) -> Pixels:
        """Return pixels of the file itself."""
        stored = self.orientation.stored(window, *self.own_grid.shape)
        area = RasterioWindow(stored.x, stored.y, stored.width, stored.height)
        try:
            values = self._source.read(numbers, window=area)
            valid = self._valid(numbers, area)
        except RasterioError as error:
            self._forget_error()
            raise DataError(f"{self.path}: {window} cannot be decoded, the file is damaged: {error}.") from error
        for position, band in enumerate(bands):
            # Whole numbers are finite: looking would take as long as decoding a label.
            if band.nodata is not None or values.dtype.kind not in "ui":
                valid &= _present(values[position], band.nodata)
        if bands.collar is not None:
            valid &= ~bands.collar.missing(values)
        return self.orientation.upright(values), self.orientation.upright(valid)

    def _forget_error(self) -> None:
        """Take what GDAL still says of a failed read: rasterio would raise it at its next call, on any file."""
        with contextlib.suppress(CPLE_BaseError, RasterioError):
            _ = self._source.colorinterp

    def never_missing(self, bands: Bands) -> bool:
        """Return whether every pixel of these bands is measured, as far as that can be told without reading any.

        Args:
            bands: Bands by name, as for `read`.
        """
        numbers = [self.numbers[position] for position in self.bands.positions(bands.names)]
        return (
            not self.warped
            and self.alpha is None
            and bands.collar is None
            and all(band.nodata is None for band in bands)
            and all(np.dtype(self._source.dtypes[number - 1]).kind in "ui" for number in numbers)
            and all(MaskFlags.all_valid in self._source.mask_flag_enums[number - 1] for number in numbers)
        )

    def _valid(self, numbers: list[int], area: RasterioWindow) -> Bool[np.ndarray, "y x"]:
        """Validity from nodata, masks and alpha."""
        valid = np.ones((int(area.height), int(area.width)), dtype=bool)
        for number in numbers:
            flags = self._source.mask_flag_enums[number - 1]
            if MaskFlags.all_valid not in flags and MaskFlags.alpha not in flags:
                valid &= self._source.read_masks(number, window=area) != 0
        if self.alpha is not None:
            valid &= self._source.read(self.alpha, window=area) != 0
        return valid


def _present(values: Shaped[np.ndarray, "y x"], nodata: float | None) -> Bool[np.ndarray, "y x"]:
    """Where a band is finite and not its nodata value."""
    present: Bool[np.ndarray, "y x"] = np.isfinite(values)
    return present if nodata is None else present & np.asarray(values != nodata)
