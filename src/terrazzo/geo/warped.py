"""Pixels on another grid: what a block needs is read with its validity and resampled onto it, never a whole raster.

A pixel of the new grid is valid where the nearest pixel of the file is; missing pixels never enter a mean. Blocks lie
at fixed places, so that no value depends on the window that asks for it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import rasterio
from affine import Affine
from jaxtyping import Bool, Float64, Shaped, UInt8
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling as Method
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform

from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid, Window

__all__ = ["BLOCK", "MEASURED", "MISSING", "OUTSIDE", "Found", "Pixels", "Resampling", "Warp", "way_onto"]

Resampling = Literal["nearest", "bilinear"]
"""The nearest pixel, for classes; or a mean weighted by distance, for measurements: over all pixels that a coarser one
covers."""

Pixels = tuple[Shaped[np.ndarray, "band y x"], Bool[np.ndarray, "y x"]]
"""Values, and where every band was measured."""

OUTSIDE, MISSING, MEASURED = 0, 1, 2
"""What a pixel of the target meets: nothing of the file, a pixel that is missing there, a pixel that was measured."""

Found = tuple[Shaped[np.ndarray, "band target_y target_x"], UInt8[np.ndarray, "target_y target_x"]]
"""Values, and what each pixel meets: `OUTSIDE`, `MISSING` or `MEASURED`."""

BLOCK = 256
"""Side of the blocks that are resampled together."""

SOURCE_PIXELS = 2**21
"""Pixels of the file that are held at once; a block that covers more is divided."""

CACHE_BYTES = 64 * 2**20
"""Decoded blocks that GDAL keeps while it resamples; left alone, it keeps a twentieth of the machine's memory."""

# Pixels of the file by which a position may be wrong, so that not every one is converted by itself.
_TOLERANCE = 0.001
_LATTICE = 21
# Share of a window's extent by which curved edges may bulge between the points of the lattice.
_BULGE = 0.02


def way_onto(target: Grid, source: Grid, resampling: Resampling, *, name: str) -> "Warp | None":
    """Decide how a file is brought onto a grid; None where its pixels stay as they are.

    Args:
        target: Where pixels are wanted.
        source: Where the file's pixels lie.
        resampling: How values are found.
        name: File, for messages.

    Raises:
        DataError: Without a coordinate reference system on both sides, the sizes differ.
    """
    if source.crs is not None and target.crs is not None:
        return None if target.same_pixels(source) else Warp(source, target, resampling, name=name)
    if source.shape == target.shape:
        return None
    lacking = "neither has" if source.crs is None and target.crs is None else "only one of them has"
    raise DataError(
        f"{name} has {source.height} x {source.width} pixels (rows x columns), but its image has {target.height} x "
        f"{target.width}, and {lacking} a coordinate reference system; they must be pixel for pixel, or both must say "
        "where they lie."
    )


class Warp:
    """The way from one grid to another.

    Args:
        source: Where the file's pixels lie.
        target: Where they are wanted; both have a coordinate reference system.
        resampling: How values are found.
        name: File, for messages.
    """

    def __init__(self, source: Grid, target: Grid, resampling: Resampling, *, name: str) -> None:
        self._source = source
        self._target = target
        self._resampling = resampling
        self._name = name
        self._known: dict[Window, Sequence[tuple[Window, Window | None]]] = {}

    @cached_property
    def overlaps(self) -> bool:
        """Whether any pixel of the target may lie on the file."""
        return self._needed(self._target.whole, padding=0) is not None

    def read(self, window: Window, read: Callable[[Window], Pixels], *, bands: int, dtype: np.dtype) -> Found:
        """Return a window of the target.

        Args:
            window: Pixels, inside the target.
            read: Returns pixels of the file.
            bands: Number of bands that it returns.
            dtype: Type of their values.

        Raises:
            DataError: The coordinates cannot be converted.
        """
        values = np.zeros((bands, window.height, window.width), dtype=dtype)
        state = np.full((window.height, window.width), OUTSIDE, dtype=np.uint8)
        with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
            for block in self._blocks(window):
                for part, source in self._parts(block):
                    shared = part.intersection(window)
                    if source is not None and shared.height and shared.width:
                        found, states = self._resampled(part, source, read(source))
                        values[:, *shared.inside(window)] = found[:, *shared.inside(part)]
                        state[shared.inside(window)] = states[shared.inside(part)]
        return values, state

    def _blocks(self, window: Window) -> Iterator[Window]:
        """Yield the blocks that a window touches."""
        for y in range(window.y // BLOCK * BLOCK, window.y + window.height, BLOCK):
            for x in range(window.x // BLOCK * BLOCK, window.x + window.width, BLOCK):
                yield Window(y, x, BLOCK, BLOCK).intersection(self._target.whole)

    def _parts(self, block: Window) -> Sequence[tuple[Window, Window | None]]:
        """Return a block with the pixels of the file that it needs, divided until these are few."""
        if block not in self._known:
            self._known[block] = tuple(self._divided(block))
        return self._known[block]

    def _divided(self, block: Window) -> Iterator[tuple[Window, Window | None]]:
        source = self._needed(block, padding=self._reach)
        if source is None or source.height * source.width <= SOURCE_PIXELS or block.height * block.width == 1:
            yield block, source
        elif block.height >= block.width:
            half = block.height // 2
            yield from self._divided(block._replace(height=half))
            yield from self._divided(block._replace(y=block.y + half, height=block.height - half))
        else:
            half = block.width // 2
            yield from self._divided(block._replace(width=half))
            yield from self._divided(block._replace(x=block.x + half, width=block.width - half))

    def _resampled(self, part: Window, source: Window, pixels: Pixels) -> Found:
        values, valid = pixels
        state = np.where(valid, MEASURED, MISSING)[None]
        if self._resampling == "nearest":
            both = self._reproject(np.concatenate([values, state.astype(values.dtype)]), part, source, Method.nearest)
            return both[:-1], both[-1].astype(np.uint8)
        states = self._reproject(state.astype(np.uint8), part, source, Method.nearest)[0]
        # The mean of the measured pixels alone: sums of values and of weights, each over measured pixels.
        kind = np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64
        stacked = np.concatenate([np.where(valid, values, 0), valid[None]], dtype=kind, casting="unsafe")
        *sums, weights = self._reproject(stacked, part, source, Method.bilinear)
        states[(states == MEASURED) & (weights <= 0)] = MISSING
        present = states == MEASURED
        means = np.stack(sums) / np.where(present, weights, 1)
        means[:, ~present] = 0
        if values.dtype.kind in "ui":
            limits = np.iinfo(values.dtype)
            means = np.rint(means).clip(limits.min, limits.max)
        return means.astype(values.dtype), states

    def _reproject(
        self, values: Shaped[np.ndarray, "band y x"], part: Window, source: Window, method: Method
    ) -> Shaped[np.ndarray, "band target_y target_x"]:
        """Resample a piece of the file onto a piece of the target; 0 beyond the file."""
        there, here = self._source.window(source), self._target.window(part)
        along_y, along_x = self._scale
        frame = {"count": len(values), "height": source.height, "width": source.width, "dtype": values.dtype}
        try:
            with MemoryFile() as memory:
                # Said to be plain measurements, or a fourth band would be taken for transparency.
                with memory.open(
                    driver="GTiff", crs=there.crs, transform=there.transform, photometric="minisblack",
                    alpha="unspecified", interleave="band", **frame,
                ) as file:  # fmt: skip
                    file.write(values)
                with (
                    memory.open() as file,
                    WarpedVRT(
                        file,
                        crs=here.crs,
                        transform=here.transform,
                        height=part.height,
                        width=part.width,
                        resampling=method,
                        tolerance=_TOLERANCE,
                        # Left to GDAL, the width of the mean would follow each piece's shape.
                        XSCALE=min(1 / along_x, 1.0),
                        YSCALE=min(1 / along_y, 1.0),
                    ) as virtual,
                ):
                    return np.asarray(virtual.read())
        except (RasterioError, CPLE_BaseError) as error:
            raise DataError(f"{self._name} cannot be brought onto another grid: {error}.") from error

    @property
    def _reach(self) -> int:
        """Pixels of the file around a point that its value may need."""
        return 2 + math.ceil(max(self._scale))

    @cached_property
    def _scale(self) -> tuple[float, float]:
        """Pixels of the file for one step down and one step right at the target's centre; never 0."""
        y, x = self._target.height / 2, self._target.width / 2
        points = self._positions(np.array([x, x, x + 1]), np.array([y, y + 1, y]))
        down, right = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
        steps = float(np.hypot(*down)), float(np.hypot(*right))
        return (steps[0], steps[1]) if all(0 < step < math.inf for step in steps) else (1.0, 1.0)

    def _needed(self, window: Window, *, padding: int) -> Window | None:
        """Return the file's pixels below a window, or None where the file does not reach."""
        ys = np.linspace(window.y, window.y + window.height, _LATTICE)
        xs = np.linspace(window.x, window.x + window.width, _LATTICE)
        across, down = np.meshgrid(xs, ys)
        points = self._positions(across.ravel(), down.ravel())
        points = points[:, np.isfinite(points).all(axis=0)]
        if not points.size:
            return None
        low, high = points.min(axis=1), points.max(axis=1)
        if padding and self._source.crs != self._target.crs:
            bulge = _BULGE * (high - low)
            low, high = low - bulge, high + bulge
        # Far beyond the file, numbers may exceed what an integer holds.
        size = np.array([self._source.width, self._source.height])
        left, top = np.floor(low).clip(-1, size + 1).astype(int) - padding
        right, bottom = np.ceil(high).clip(-1, size + 1).astype(int) + padding
        needed = Window(int(top), int(left), int(bottom - top), int(right - left)).intersection(self._source.whole)
        return needed if needed.height and needed.width else None

    def _positions(
        self, xs: Float64[np.ndarray, " point"], ys: Float64[np.ndarray, " point"]
    ) -> Float64[np.ndarray, "2 point"]:
        """Return (column, row) in the file of positions in the target; not finite where there is none."""
        across, down = _apply(self._target.transform, xs, ys)
        if self._source.crs != self._target.crs:
            across, down = _converted(self._target, self._source, across, down)
        return np.stack(_apply(~self._source.transform, across, down))


def _apply(
    affine: Affine, xs: Float64[np.ndarray, " point"], ys: Float64[np.ndarray, " point"]
) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
    # A position that does not exist is infinite, and 0 times infinity is no number: neither is used.
    with np.errstate(invalid="ignore"):
        return affine.a * xs + affine.b * ys + affine.c, affine.d * xs + affine.e * ys + affine.f


def _converted(
    here: Grid, there: Grid, xs: Float64[np.ndarray, " point"], ys: Float64[np.ndarray, " point"]
) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
    """Convert coordinates between reference systems; infinite where one does not reach."""
    try:
        found = transform(here.crs, there.crs, xs, ys)
        return np.asarray(found[0], dtype=np.float64), np.asarray(found[1], dtype=np.float64)
    except CPLE_BaseError:
        # One point outside its domain fails all.
        if len(xs) == 1:
            return np.array([math.inf]), np.array([math.inf])
        pieces = [_converted(here, there, xs[n : n + 1], ys[n : n + 1]) for n in range(len(xs))]
        return np.concatenate([x for x, _ in pieces]), np.concatenate([y for _, y in pieces])
