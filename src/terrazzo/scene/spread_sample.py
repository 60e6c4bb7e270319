"""A small sample of a scene's values, from blocks that lie all over it: looking must not take as long as mapping."""

import contextlib
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped

from terrazzo.errors import DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.scene.inputs.opened import OpenScene

__all__ = ["spread_sample"]

SAMPLED_PIXELS = 2**22
"""Pixels of the scene that are decoded."""
KEPT_PIXELS = 2**18
"""Pixels of these whose values are returned, about."""
FEWEST_WINDOWS = 9
"""Places of the scene that are looked at, however large its blocks are."""
LARGEST_WINDOW, SMALLEST_WINDOW = 2**18, 2**16
"""Pixels of one place: larger blocks are read in part, smaller ones together."""
FEWEST_PIXELS = 2**14
"""Valid pixels below which further places are looked at, up to `ROUNDS` times as many."""
ROUNDS = 4


def spread_sample(scene: OpenScene, bands: Bands) -> Shaped[np.ndarray, "band pixel"]:
    """Return values of valid pixels from all over the scene; none where no valid one was met.

    Args:
        scene: The scene.
        bands: Which of its bands, in order.
    """
    parts: list[Shaped[np.ndarray, "band pixel"]] = []
    places = _places(scene)
    valid = 0
    for _ in range(ROUNDS):
        windows = next(places, [])
        # Downwards, because photographs can only be decoded from their top.
        pixels = sum(window.height * window.width for window in windows)
        # Odd, so that not every row gives the same columns: a sensor's stripes would count for all.
        step = pixels // KEPT_PIXELS | 1
        for window in sorted(windows):
            # What cannot be read is tried again, counted and reported where the whole scene is read.
            with contextlib.suppress(DataError):
                raster = scene.read(window, bands)
                parts.append(raster.values[:, raster.valid][:, ::step])
                valid += int(raster.valid.sum())
        if valid >= FEWEST_PIXELS:
            break
    return np.concatenate(parts, axis=1) if parts else np.empty((len(bands), 0))


def _places(scene: OpenScene) -> Iterator[list[Window]]:
    """Yield windows all over the scene, in rounds, none twice; few if its blocks are large.

    Source: the R2 sequence of Roberts 2018, "The Unreasonable Effectiveness of Quasirandom Sequences".
    """
    height, width, decoded = _place_shape(scene)
    across = -(-scene.grid.width // width)
    cells = -(-scene.grid.height // height) * across
    together = max(SAMPLED_PIXELS // decoded, FEWEST_WINDOWS)
    order = list(range(cells)) if cells <= together else _spread(cells // across, across, together * ROUNDS)
    for begin in range(0, len(order), together):
        yield [
            Window(cell // across * height, cell % across * width, height, width).intersection(scene.grid.whole)
            for cell in order[begin : begin + together]
        ]


def _spread(down: int, across: int, wanted: int) -> list[int]:
    """Return different cells of a table, so that any first ones lie all over it."""
    # The plastic number solves x^3 = x + 1.
    plastic = 1.324717957244746
    found: dict[int, None] = {}
    number = 0
    while len(found) < wanted and number < 16 * wanted:
        y, x = (math.fmod(0.5 + number / plastic**power, 1.0) for power in (1, 2))
        found.setdefault(int(y * down) * across + int(x * across))
        number += 1
    return list(found)


def _place_shape(scene: OpenScene) -> tuple[int, int, int]:
    """Return height and width of a window that is looked at, and how many pixels are decoded for it."""
    grid = scene.grid
    height, width = min(scene.block_shape[0], grid.height), min(scene.block_shape[1], grid.width)
    if height * width < SMALLEST_WINDOW:
        # Small blocks, such as single rows, are read together: fewer places, but not thousands of reads.
        together = max(SMALLEST_WINDOW // (height * width), 1)
        if width == grid.width:
            height = min(height * together, grid.height)
        else:
            side = max(math.isqrt(together), 1)
            height, width = min(height * side, grid.height), min(width * side, grid.width)
    decoded = height * width
    if decoded > LARGEST_WINDOW:
        height = min(height, math.isqrt(LARGEST_WINDOW))
        width = min(width, max(LARGEST_WINDOW // height, 1))
    return height, width, decoded
