"""Points of a stratified sample: drawn by area within each class, without replacement, whatever order maps come in.

Each pixel has a random number that only the seed and its place decide. Of each class those pixels are taken whose
numbers, weighed by their area, are the smallest: so the sample depends neither on blocks nor on the order of maps, and
one pass over the maps with as much memory as there are points is enough.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
from jaxtyping import Float64, Int64, UInt64

from terrazzo.assessment.area_strata import Strata
from terrazzo.assessment.class_map import ClassMap
from terrazzo.errors import ConfigError
from terrazzo.geo.grid import Grid
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.polygons.ground import GroundAreas

__all__ = ["SamplePoints", "draw_points", "require_pixels"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIXERS = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))
_LARGEST_PIXEL = 8.0
"""How many times larger than the mean of its rows a pixel may be: a bound that no usual projection comes near."""

Numbers = Int64[np.ndarray, " point"]
Coordinates = Float64[np.ndarray, " point"]


@dataclass(frozen=True)
class SamplePoints:
    """Points in an order that is random, and so tells nothing of their classes.

    Attributes:
        maps: Position of each point's map among those of the strata.
        rows: Row of its pixel, from 0.
        columns: Column of its pixel, from 0.
        classes: Class that its pixel is mapped as.
        x: Of the pixel's middle in the map's coordinate reference system; column and a half without one.
        y: Likewise.
        longitudes: Degrees in WGS 84; NaN without coordinate reference system.
        latitudes: Likewise.
    """

    maps: Numbers
    rows: Numbers
    columns: Numbers
    classes: Numbers
    x: Coordinates
    y: Coordinates
    longitudes: Coordinates
    latitudes: Coordinates

    def __len__(self) -> int:
        return len(self.maps)


def require_pixels(strata: Strata, points: Int64[np.ndarray, " class"]) -> None:
    """Refuse a sample that has more points in a class than the class has pixels.

    Raises:
        ConfigError: Naming each such class, and what to do.
    """
    short = np.flatnonzero(points > strata.pixels)
    if not len(short):
        return
    names = strata.legend.names
    told = "; ".join(f'"{names[k]}" has {strata.pixels[k]} pixels for {points[k]} points' for k in short)
    ask = " --minimum, --points or another --allocation"
    leave = ",".join(names[k] for k in short)
    raise ConfigError(
        f"Too few pixels: {told}. Ask for fewer points by{ask}, or leave the class out of the population with "
        f'--without "{leave}" (its ground is then part of no estimate).'
    )


def draw_points(
    strata: Strata, points: Int64[np.ndarray, " class"], *, seed: int, listener: Listener = silent
) -> SamplePoints:
    """Draw points uniformly over the ground of each class, each pixel at most once.

    Source: Rosén 1997, "On sampling with probability proportional to size", Journal of Statistical Planning and
    Inference 62 (Pareto sampling: a pixel's inclusion probability is its share of the area times the points but for
    an error that vanishes with their number; with pixels of one size it is simple random sampling).

    Args:
        strata: Population, as counted.
        points: Of each class, at most its pixels.
        seed: Of the draw; the same seed and maps give the same points.
        listener: Receives progress.

    Raises:
        ConfigError: A class has fewer pixels than points.
        DataError: A map cannot be read any more.
    """
    require_pixels(strata, points)
    drawn = [_Smallest(int(wanted), float(area)) for wanted, area in zip(points, strata.areas, strict=True)]
    grids: list[Grid] = []
    with Progress("draw points", listener=listener, total=len(strata.maps), unit="maps") as progress:
        for number, path in enumerate(strata.maps):
            grids.append(_draw_from(path, number, strata, drawn, seed))
            progress.advance()
    taken = [one.taken() for one in drawn]
    ticket = np.concatenate([one[0] for one in taken])
    order = np.argsort(ticket, kind="stable")
    maps, rows, columns = (np.concatenate([one[1][axis] for one in taken])[order] for axis in range(3))
    classes = np.repeat(np.arange(len(taken)), [len(one[0]) for one in taken])[order]
    return SamplePoints(maps, rows, columns, classes, *_places(grids, maps, rows, columns))


class _Smallest:
    """The pixels of one class that are to be taken as far as the maps were read."""

    def __init__(self, wanted: int, area: float) -> None:
        self._wanted = wanted
        self._area = area
        self._ranks: Coordinates = np.empty(0)
        self._tickets: Coordinates = np.empty(0)
        self._places = np.empty((3, 0), dtype=np.int64)

    def highest(self, largest: float) -> float:
        """Return the ticket from which on no pixel up to such an area is taken any more."""
        if not self._wanted:
            return 0.0
        share = self._wanted * largest / self._area
        if len(self._ranks) < self._wanted or share >= 1:
            return 1.0
        odds = float(self._ranks.max()) * share / (1 - share)
        # A little more, so that rounding never decides.
        return odds / (1 + odds) * 1.000001

    def add(self, tickets: Coordinates, areas: Coordinates, places: Int64[np.ndarray, "3 point"]) -> None:
        """Offer pixels: their random numbers in 0..1, their areas, their maps, rows and columns."""
        # A pixel that is sure to be taken has no finite odds; it must still have a rank.
        share = np.minimum(self._wanted * areas / self._area, 1 - 1e-12)
        ranks = np.concatenate([self._ranks, tickets / (1 - tickets) * (1 - share) / share])
        tickets = np.concatenate([self._tickets, tickets])
        places = np.concatenate([self._places, places], axis=1)
        best = np.argsort(ranks, kind="stable")[: self._wanted]
        self._ranks, self._tickets, self._places = ranks[best], tickets[best], places[:, best]

    def taken(self) -> tuple[Coordinates, Int64[np.ndarray, "3 point"]]:
        """Return the tickets and the places of what is taken."""
        return self._tickets, self._places


def _draw_from(path: Path, number: int, strata: Strata, drawn: Sequence[_Smallest], seed: int) -> Grid:
    """Offer all pixels of a map to its classes, and return its grid."""
    with ClassMap(path, strata.legend, strata.left_out) as found:
        ground = None if strata.unit == "pixels" else GroundAreas(found.grid)
        stream = _stream(seed, found.key)
        for top, classes in found.rows():
            height, width = classes.shape
            tickets = _tickets(stream, top * width, height * width).reshape(height, width)
            largest = _LARGEST_PIXEL * _mean_area(ground, top, height, width)
            highest = np.array([one.highest(largest) for one in drawn] + [0.0])
            row, column = np.nonzero(tickets < highest[classes])
            offered = classes[row, column]
            for position in np.unique(offered).tolist():
                chosen = offered == position
                y, x = row[chosen] + top, column[chosen]
                areas = np.ones(len(y)) if ground is None else ground.of_runs(y, x, x + 1)
                drawn[position].add(
                    tickets[row[chosen], column[chosen]], areas, np.stack([np.full(len(y), number), y, x])
                )
        return found.grid


def _mean_area(ground: GroundAreas | None, top: int, height: int, width: int) -> float:
    """Return the largest mean area of a pixel in these rows."""
    if ground is None:
        return 1.0
    rows = np.arange(top, top + height)
    sums = ground.of_runs(rows, np.zeros_like(rows), np.full_like(rows, width))
    # Rows that reach beyond the projection say nothing; then every pixel is offered.
    return float(sums.max()) / width if np.isfinite(sums).all() else np.inf


def _stream(seed: int, key: int) -> np.uint64:
    text = f"{seed} {key}".encode()
    return np.uint64(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))


def _tickets(stream: np.uint64, first: int, count: int) -> Coordinates:
    """Return a random number in 0..1, neither included, of each of some pixels, whatever was asked for before.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64, whose n-th number
    needs none of those before it).
    """
    mixed: UInt64[np.ndarray, " pixel"] = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    mixed *= _GOLDEN
    mixed += stream
    for shift, factor in _MIXERS:
        mixed ^= mixed >> np.uint64(shift)
        mixed *= factor
    mixed ^= mixed >> np.uint64(31)
    return np.asarray(((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def _places(
    grids: Sequence[Grid], maps: Numbers, rows: Numbers, columns: Numbers
) -> tuple[Coordinates, Coordinates, Coordinates, Coordinates]:
    """Return x, y, longitude and latitude of pixels' middles."""
    x, y = columns + 0.5, rows + 0.5
    longitudes, latitudes = np.full(len(maps), np.nan), np.full(len(maps), np.nan)
    for number, grid in enumerate(grids):
        if grid.crs is None:
            continue
        here = np.flatnonzero(maps == number)
        way, column, row = grid.transform, x[here], y[here]
        x[here] = way.a * column + way.b * row + way.c
        y[here] = way.d * column + way.e * row + way.f
        crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
        if crs.geodetic_crs is not None and (crs.is_geographic or crs.is_projected):
            to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
            # Nine decimals are a tenth of a millimetre: what follows them would only fill the table.
            longitudes[here], latitudes[here] = np.round(to_degrees.transform(x[here], y[here]), 9)
    return x, y, longitudes, latitudes
