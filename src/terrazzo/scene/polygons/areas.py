"""Connected areas of one value, followed from band to band down the map."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from terrazzo.scene.polygons.runs import Runs, united

__all__ = ["BandAreas", "OpenAreas", "follow_areas", "no_areas"]


@dataclass(frozen=True)
class OpenAreas:
    """Areas that touch the last row so far and may still grow.

    Attributes:
        pixels: Pixels of each so far.
        square_metres: What these measure on the ground.
        of_run: The area of each run of that row.
    """

    pixels: Int64[np.ndarray, " open"]
    square_metres: Float64[np.ndarray, " open"]
    of_run: Int64[np.ndarray, " run"]


@dataclass(frozen=True)
class BandAreas:
    """The areas of a band, and those that were open before it.

    Attributes:
        of_run: The area of each of the band's runs, those of the row before it included.
        moved: The area that each formerly open one has become.
        values: Value of each area's pixels.
        pixels: Pixels of each so far.
        square_metres: What these measure on the ground.
        last_row: Row of the map that each reaches down to.
        still_open: Position of each among the areas that are open after the band; -1 where it is complete.
        after: These.
    """

    of_run: Int64[np.ndarray, " run"]
    moved: Int64[np.ndarray, " before"]
    values: Shaped[np.ndarray, " area"]
    pixels: Int64[np.ndarray, " area"]
    square_metres: Float64[np.ndarray, " area"]
    last_row: Int64[np.ndarray, " area"]
    still_open: Int64[np.ndarray, " area"]
    after: OpenAreas


def no_areas(runs: int) -> OpenAreas:
    """Return what is open before the first row, where each of a row's runs lies outside of the map."""
    return OpenAreas(np.zeros(runs, np.int64), np.zeros(runs), np.arange(runs))


def follow_areas(
    before: OpenAreas,
    values: Shaped[np.ndarray, "y x"],
    runs: Runs,
    *,
    top: int,
    square_metres: Float64[np.ndarray, " new_run"],
) -> BandAreas:
    """Unite the runs of a band with each other and with the areas that reach into it.

    Args:
        before: Areas that touch the row before the band.
        values: That row, and the band's.
        runs: Runs of these.
        top: The band's first row in the map.
        square_metres: What each run of the band's own rows measures on the ground.
    """
    already, first = len(before.pixels), len(before.of_run)
    node = np.concatenate([before.of_run, np.arange(already, already + len(runs) - first)])
    areas, area = united(already + len(runs) - first, node[runs.upper], node[runs.lower])
    of_run = area[node]
    new = of_run[first:]
    found = np.empty(areas, dtype=values.dtype)
    found[of_run] = values.ravel()[runs.begins]
    last_row = np.full(areas, top - 1, dtype=np.int64)
    # Of several rows for one area numpy keeps the last: runs are in raster order.
    last_row[new] = runs.rows[first:] + top - 1
    pixels = _sums(area[:already], before.pixels, areas) + _sums(new, runs.lengths[first:], areas)
    ground = _sums(area[:already], before.square_metres, areas) + _sums(new, square_metres, areas)
    bottom = of_run[np.searchsorted(runs.begins, (len(values) - 1) * values.shape[1]) :]
    opened, of_bottom = np.unique(bottom, return_inverse=True)
    still_open = np.full(areas, -1, dtype=np.int64)
    still_open[opened] = np.arange(len(opened))
    pixels = np.rint(pixels).astype(np.int64)
    after = OpenAreas(pixels[opened], ground[opened], of_bottom.astype(np.int64))
    return BandAreas(of_run, area[:already], found, pixels, ground, last_row, still_open, after)


def _sums(
    area: Int64[np.ndarray, " part"], amounts: Shaped[np.ndarray, " part"], areas: int
) -> Float64[np.ndarray, " area"]:
    """Add up amounts by area; whole numbers below 2^53 stay exact."""
    return np.bincount(area, weights=amounts, minlength=areas)
