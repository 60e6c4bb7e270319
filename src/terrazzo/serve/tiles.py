"""Tiles of a scene's layers as PNG pictures, on the pixels of each raster itself."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped

from terrazzo.errors import ConfigError
from terrazzo.serve.facts import layer_ramp, legend_of
from terrazzo.serve.kept_answers import KeptAnswers
from terrazzo.serve.rasters import Pixels, ViewedRaster, open_viewed
from terrazzo.serve.reduced_copies import ReducedCopies
from terrazzo.serve.rendering import class_picture, flag_picture, image_picture, ramp_picture
from terrazzo.serve.stretching import Stretch, band_ranges, default_stretch
from terrazzo.serve.tile_grid import TileGrid, TilePlace
from terrazzo.serve.viewed_scene import IMAGE, MAP, ViewedScene

__all__ = ["TileMaker", "TileStyle", "popcount"]

_WHOLE = 2**30
"""Pixels along a side of a pixel where only the whole raster is looked at."""


@dataclass(frozen=True)
class TileStyle:
    """How a tile is drawn.

    Attributes:
        bands: Numbers of the image's bands, one or three; those shown at first if empty. Of probabilities, the number
            of the class, from 1.
        stretch: How the image's values become brightness; as at first if None.
        hidden: Positions of classes that are left out.
    """

    bands: tuple[int, ...] = ()
    stretch: Stretch | None = None
    hidden: frozenset[int] = frozenset()


class TileMaker:
    """Makes tiles; several threads may ask at once.

    Args:
        kept: Where legends and ranges are kept.
        copies: Where rasters that are slow to read in parts have a quicker copy.
    """

    def __init__(self, kept: KeptAnswers, copies: ReducedCopies) -> None:
        self._kept = kept
        self._copies = copies

    def tile(
        self, scene: ViewedScene, layer: str, *, level: int, column: int, row: int, style: TileStyle
    ) -> bytes | None:
        """Return a tile as a PNG; None where there is no such layer or no such tile.

        Args:
            scene: The scene.
            layer: `image`, `class`, or a further layer of the map.
            level: Level, 0 the coarsest.
            column: Column of the tile.
            row: Row of the tile.
            style: How it is drawn.

        Raises:
            ConfigError: The image has no such bands.
            DataError: The raster cannot be read.
        """
        path = scene.files.get(layer)
        if path is None:
            return None
        with open_viewed(path) as raster:
            grid = TileGrid(raster.grid.height, raster.grid.width)
            place = grid.place(level, column, row)
            if place is None:
                return None
            factor = grid.factor(level)
            if layer == IMAGE:
                return self._image(scene, raster, place, factor, style)
            with self._copies.quicker(raster, factor, smooth=layer not in {MAP, "abstain", "sets"}) as source:
                return self._layer(scene, layer, source, place, style)

    def _layer(self, scene: ViewedScene, layer: str, raster: ViewedRaster, place: TilePlace, style: TileStyle) -> bytes:
        if layer == MAP:
            legend = legend_of(scene, self._kept)
            found = _read(raster, place, (1, 2, 3) if legend.coloured else (1,))
            return class_picture(legend.positions(found.values, found.valid), legend, hidden=style.hidden)
        band = _chosen_class(raster, style.bands) if layer == "probabilities" else 1
        found = _read(raster, place, (band,), smooth=layer not in {"abstain", "sets"})
        if layer == "abstain":
            return flag_picture((found.values[0] == 1) & found.valid)
        ramp = layer_ramp(scene, layer, self._kept)
        if layer == "sets":
            return ramp_picture(popcount(found.values[0]), found.valid, ramp)
        return ramp_picture(found.values[0].astype(np.float32) * raster.source.scales[band - 1], found.valid, ramp)

    def _image(
        self, scene: ViewedScene, raster: ViewedRaster, place: TilePlace, factor: int, style: TileStyle
    ) -> bytes:
        palette = raster.palette
        if palette is not None:
            found = _read(raster, place, (1,))
            table = np.zeros((max(256, max(palette) + 1), 4), dtype=np.uint8)
            table[list(palette)] = list(palette.values())
            coloured = np.moveaxis(table[found.values[0]], -1, 0)
            return image_picture(coloured[:3], found.valid & (coloured[3] != 0), [(0.0, 255.0)] * 3)
        bands = style.bands or raster.numbers[:3] if len(raster.numbers) >= 3 else style.bands or raster.numbers[:1]
        _require_bands(raster, bands)
        stretch = style.stretch or default_stretch(raster)
        ranges = self._kept.get(
            ("ranges", scene.id, scene.version, bands, stretch), lambda: self._ranges(raster, bands, stretch)
        )
        with self._copies.quicker(raster, factor, smooth=True) as source:
            found = _read(source, place, bands, smooth=True)
        return image_picture(found.values, found.valid, ranges)

    def _ranges(self, raster: ViewedRaster, bands: tuple[int, ...], stretch: Stretch) -> list[tuple[float, float]]:
        with self._copies.quicker(raster, _WHOLE, smooth=True) as source:
            return band_ranges(source, bands, stretch)


def popcount(sets: Shaped[np.ndarray, "y x"]) -> Float32[np.ndarray, "y x"]:
    """Return how many classes each set holds; bit k stands for class k.

    >>> popcount(np.array([[0, 1, 6, 255]], dtype=np.uint8))
    array([[0., 1., 2., 8.]], dtype=float32)
    """
    found: Float32[np.ndarray, "y x"] = np.bitwise_count(sets).astype(np.float32)
    return found


def _read(raster: ViewedRaster, place: TilePlace, bands: tuple[int, ...], *, smooth: bool = False) -> Pixels:
    return raster.read(place.window, bands, height=place.height, width=place.width, smooth=smooth)


def _chosen_class(raster: ViewedRaster, bands: Collection[int]) -> int:
    chosen = tuple(bands) or (1,)
    if len(chosen) != 1 or not 1 <= chosen[0] <= raster.source.count:
        raise ConfigError(f"Of probabilities one class is shown, 1 to {raster.source.count}, not {list(chosen)}.")
    return chosen[0]


def _require_bands(raster: ViewedRaster, bands: tuple[int, ...]) -> None:
    if len(bands) not in {1, 3} or not set(bands) <= set(raster.numbers):
        numbers = ", ".join(map(str, raster.numbers))
        raise ConfigError(f"One band or three are shown, of {numbers}, not {list(bands)}.")
