"""Strata of a sample: how many pixels, and how much ground, each class has on one or several maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import pyproj
import shapely
from jaxtyping import Float64, Int64

from terrazzo.assessment.class_map import OUTSIDE, ClassMap, Legend
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.grid import Grid
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.polygons.ground import GroundAreas

__all__ = ["Strata", "Unit", "count_strata", "runs_of"]

Unit = Literal["m2", "pixels"]
Runs = Int64[np.ndarray, " run"]


@dataclass(frozen=True)
class Strata:
    """The population that a sample is drawn from.

    Attributes:
        legend: Its classes.
        pixels: Of each class in all maps.
        areas: Of each class in all maps, in `unit`.
        unit: Square metres on the ellipsoid; pixels where the maps have no coordinate reference system.
        maps: The maps, in an order that does not depend on how they were named.
        left_out: Classes and values that were left out.
        warnings: What a reader should know.
    """

    legend: Legend
    pixels: Int64[np.ndarray, " class"]
    areas: Float64[np.ndarray, " class"]
    unit: Unit
    maps: tuple[Path, ...]
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def count_strata(
    paths: Sequence[Path], legend: Legend, *, left_out: Sequence[str] = (), listener: Listener = silent
) -> Strata:
    """Count the pixels of each class and add up their ground, reading the maps once, some rows at a time.

    Neither the maps' order nor how their files are laid out changes a bit of the result.

    Args:
        paths: Class maps that together are one population.
        legend: Their classes.
        left_out: Classes and other values, by name or number, that are no part of it.
        listener: Receives progress.

    Raises:
        ConfigError: No map is given, or one twice, or only some have a coordinate reference system.
        DataError: A map cannot be read, a pixel has no place on the earth, or nothing is mapped.
    """
    ordered, grids = _ordered(paths, legend, left_out)
    pixels = np.zeros(len(legend.names), dtype=np.int64)
    areas = np.zeros(len(legend.names))
    unit: Unit = "pixels" if grids[0].crs is None else "m2"
    with Progress("count strata", listener=listener, total=sum(grid.height for grid in grids), unit="rows") as progress:
        for path in ordered:
            with ClassMap(path, legend, left_out) as found:
                ground = None if unit == "pixels" else GroundAreas(found.grid)
                for top, classes in found.rows():
                    counts, sums = _of_rows(path, top, classes, len(pixels), ground)
                    pixels += counts.sum(axis=0)
                    # Row after row: sums of floats depend on how they are grouped, and rows do not on how they come.
                    for row in sums:
                        areas += row
                    progress.advance(classes.shape[0])
    if not pixels.any():
        raise DataError(f"No pixel of {', '.join(map(str, ordered))} is in any class: there is nothing to sample.")
    return Strata(legend, pixels, areas, unit, tuple(ordered), tuple(left_out), tuple(_overlaps(ordered, grids)))


def runs_of(classes: Int64[np.ndarray, "y x"]) -> tuple[Runs, Runs, Runs, Runs]:
    """Return the runs of equal classes along rows, without those outside the population.

    Args:
        classes: Class of each pixel, or `OUTSIDE`.

    Returns:
        Row, first column, column after the last, and class of each.

    >>> [part.tolist() for part in runs_of(np.array([[1, 1, -1], [2, 1, 1]]))]
    [[0, 1, 1], [0, 0, 1], [2, 1, 3], [1, 2, 1]]
    """
    height, width = classes.shape
    fresh = np.ones((height, width), dtype=bool)
    fresh[:, 1:] = classes[:, 1:] != classes[:, :-1]
    first = np.flatnonzero(fresh)
    end = np.append(first[1:], height * width)
    kept = classes.ravel()[first] != OUTSIDE
    first, end = first[kept], end[kept]
    row = first // width
    return row, first - row * width, end - row * width, classes.ravel()[first]


def _of_rows(
    path: Path, top: int, classes: Int64[np.ndarray, "y x"], count: int, ground: GroundAreas | None
) -> tuple[Int64[np.ndarray, "y class"], Float64[np.ndarray, "y class"]]:
    """Return pixels and area by row and class."""
    rows = classes.shape[0]
    row, begin, end, number = runs_of(classes)
    place = row * count + number
    lengths = end - begin
    pixels = np.bincount(place, lengths, rows * count).reshape(rows, count).round().astype(np.int64)
    if ground is None:
        return pixels, pixels.astype(np.float64)
    found = ground.of_runs(row + top, begin, end)
    if np.isnan(found).any():
        lost = int(np.flatnonzero(np.isnan(found))[0])
        raise DataError(
            f"{path}: row {top + int(row[lost])} has classes where the projection has no ground; make these pixels "
            "nodata, or write the map in another coordinate reference system."
        )
    # Of no run at all bincount makes whole numbers.
    return pixels, np.bincount(place, found, rows * count).reshape(rows, count).astype(np.float64)


def _ordered(paths: Sequence[Path], legend: Legend, left_out: Sequence[str]) -> tuple[list[Path], list[Grid]]:
    """Return the maps in the order of their grids, and these."""
    if not paths:
        raise ConfigError("No map is given; name one or more class maps.")
    known: dict[int, tuple[Path, Grid]] = {}
    for path in paths:
        with ClassMap(path, legend, left_out) as found:
            if found.key in known:
                raise ConfigError(
                    f"{path} and {known[found.key][0]} show the same pixels; a population holds each of them once."
                )
            known[found.key] = path, found.grid
    ordered = [known[key] for key in sorted(known)]
    placed = [grid.crs is not None for _, grid in ordered]
    if any(placed) and not all(placed):
        lost = ordered[placed.index(False)][0]
        raise ConfigError(f"{lost} has no coordinate reference system, but other maps have one; areas cannot be added.")
    return [path for path, _ in ordered], [grid for _, grid in ordered]


def _overlaps(paths: Sequence[Path], grids: Sequence[Grid]) -> list[str]:
    """Return a warning for each pair of maps whose frames share ground."""
    if len(grids) < 2 or grids[0].crs is None:
        return []
    return [
        f"The frames of {paths[one].name} and {paths[other].name} overlap; where both have classes their ground counts "
        "twice. Cut one of them off there."
        for one, other in combinations(range(len(grids)), 2)
        if _shares_ground(grids[one], grids[other])
    ]


def _shares_ground(one: Grid, other: Grid) -> bool:
    """Whether the other frame covers more than a pixel of the one, whose pixels are the plane that is compared in."""
    if one.crs is None or other.crs is None:
        return False
    outline = shapely.get_coordinates(
        shapely.segmentize(shapely.box(0, 0, other.width, other.height), max(other.width, other.height) / 16)
    )
    x, y = other.transform @ (outline[:, 0], outline[:, 1])
    if one.crs != other.crs:
        x, y = _way(other.crs.to_wkt(), one.crs.to_wkt()).transform(x, y)
    column, row = ~one.transform @ (np.asarray(x), np.asarray(y))
    if not (np.isfinite(column).all() and np.isfinite(row).all()):
        return False
    frame = shapely.make_valid(shapely.Polygon(np.stack([column, row], axis=1)))
    return bool(frame.intersection(shapely.box(0, 0, one.width, one.height)).area > 1.0)


@lru_cache(maxsize=64)
def _way(source: str, goal: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, goal, always_xy=True)
