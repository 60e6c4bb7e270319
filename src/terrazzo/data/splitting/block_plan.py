"""On which coordinates blocks of the ground lie: one coordinate reference system for all images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyproj import Proj, Transformer
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError

from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.areas.dealt import DealtBlocks
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.splitting.settings import BlockSettings
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.grid import Grid

__all__ = ["BlockPlan", "plan_blocks"]

TRUE_SCALE = 0.05
"""A map whose scale is off by more than this share, such as Mercator's far from the equator, measures no blocks."""
CENTRE_STEP = 10
"""Degrees to which the centre of an equal-area map is rounded, so that it seldom moves when images join."""


@dataclass(frozen=True)
class BlockPlan:
    """Where the blocks of georeferenced images lie.

    Attributes:
        settings: What was asked for.
        crs: Coordinate reference system as WKT; empty where no image has one.
        name: What to call it.
        size: Side of a block in its units.
        guard: Distance in its units.
        size_m: Side of a block in metres.
    """

    settings: BlockSettings
    crs: str
    name: str
    size: float
    guard: float
    size_m: float

    def area(
        self,
        entry: ImageEntry,
        part: str,
        *,
        shares: tuple[tuple[str, float], ...],
        clear_of: tuple[str, ...] = (),
        dealt: DealtBlocks | None = None,
    ) -> BlockArea:
        """Return the blocks of an image that were drawn for a part.

        Args:
            entry: The image.
            part: A role or a fold.
            shares: Each part and its share of the blocks.
            clear_of: Parts from whose blocks the area keeps the guard distance.
            dealt: Parts of the blocks around the image, where they are dealt and not drawn.
        """
        settings = self.settings
        on_ground = entry.crs is not None
        return BlockArea(
            part=part,
            shares=shares,
            size=self.size if on_ground else float(settings.size_pixels or 1),
            crs=self.crs if on_ground else None,
            image="" if on_ground else entry.image_id,
            guard=self.guard if on_ground else float(settings.guard_pixels or 0),
            clear_of=clear_of if settings.guard_m or settings.guard_pixels else (),
            seed=settings.seed,
            dealt=dealt,
        )


def plan_blocks(entries: Sequence[ImageEntry], settings: BlockSettings) -> BlockPlan:
    """Decide on which coordinates the blocks of all images lie.

    Args:
        entries: The images that are divided.
        settings: What was asked for.

    Raises:
        ConfigError: The coordinate reference system that was asked for is unknown or counts in degrees.
        DataError: Blocks in metres are asked for, but an image has no coordinate reference system.
    """
    if settings.size_m is not None:
        for entry in entries:
            if entry.crs is None:
                raise DataError(
                    f"{entry.image} has no coordinate reference system, so blocks in metres cannot be laid over it; "
                    "give data.split.blocks.size_pixels."
                )
    for entry in entries:
        _require_place(entry)
    grids = [entry.grid for entry in entries if entry.crs is not None]
    if not grids:
        return BlockPlan(settings, "", "pixels of each image", 0.0, 0.0, 0.0)
    crs, name = _chosen(grids, settings.crs)
    metres = 1.0
    if settings.size_pixels is not None:
        known = [size for grid in grids if (size := grid.resolution_m) is not None]
        metres = float(np.median(known)) if known else float(np.mean(grids[0].resolution))
    unit = _unit(crs)
    size_m = settings.size_m if settings.size_m is not None else (settings.size_pixels or 1) * metres
    guard_m = (settings.guard_m or 0.0) + (settings.guard_pixels or 0) * metres
    return BlockPlan(settings, crs.to_wkt(), name, size_m / unit, guard_m / unit, size_m)


def _require_place(entry: ImageEntry) -> None:
    """Refuse an image that lies nowhere on Earth, by name."""
    if entry.crs is None or entry.grid.crs is None or not (entry.grid.crs.is_geographic or entry.grid.crs.is_projected):
        return
    try:
        lat, lon = _middle(entry.grid)
    except DataError as error:
        raise DataError(f"{entry.image}: {error}") from error
    if not (abs(lat) <= 90 and abs(lon) <= 360):
        raise DataError(
            f"{entry.image}: its centre has latitude {lat:g} and longitude {lon:g}, which is no place on Earth; its "
            "transform or its coordinate reference system is wrong."
        )


def _chosen(grids: Sequence[Grid], wanted: str | None) -> tuple[CRS, str]:
    """Return the coordinate reference system of the blocks, and what to call it."""
    if wanted is not None:
        try:
            crs = CRS.from_user_input(wanted)
        except CRSError as error:
            raise ConfigError(f"data.split.blocks.crs: {wanted} is no coordinate reference system: {error}.") from error
        if crs.is_geographic:
            raise ConfigError(f"data.split.blocks.crs: {wanted} counts in degrees; blocks need metres.")
        return crs, wanted
    shared = grids[0].crs
    if shared is not None and all(grid.crs == shared for grid in grids) and _is_true(shared, grids):
        return shared, "the images' own coordinate reference system"
    lat, lon = _centre(grids)
    text = f"+proj=laea +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m +no_defs"
    return CRS.from_string(text), f"an equal-area map around {lat}, {lon} (latitude, longitude)"


def _is_true(crs: CRS, grids: Sequence[Grid]) -> bool:
    """Return whether distances on the map are those on the ground, wherever an image lies."""
    if crs.is_geographic:
        return False
    if not crs.is_projected:
        # A local system, such as a building site's: nothing but its own unit is known.
        return True
    map_of = Proj(crs.to_wkt())
    scales: list[float] = []
    for grid in grids:
        lat, lon = _middle(grid)
        factors = map_of.get_factors(lon, lat)
        scales += [factors.meridional_scale, factors.parallel_scale]
    return all(abs(scale - 1) <= TRUE_SCALE for scale in scales)


def _middle(grid: Grid) -> tuple[float, float]:
    """Return latitude and longitude of a grid's centre."""
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    if grid.crs is None:
        raise DataError("an image without coordinate reference system has no place on the ground.")
    try:
        lon, lat = Transformer.from_crs(grid.crs.to_wkt(), "EPSG:4326", always_xy=True).transform(x, y, errcheck=True)
    except ProjError as error:
        raise DataError(f"the place {x:g}, {y:g} of an image has no latitude and longitude: {error}.") from error
    return float(lat), float(lon)


def _centre(grids: Sequence[Grid]) -> tuple[int, int]:
    """Return the mean place of images in whole steps of latitude and longitude, whatever their order."""
    places = [tuple(map(math.radians, _middle(grid))) for grid in grids]
    x = math.fsum(math.cos(lat) * math.cos(lon) for lat, lon in places)
    y = math.fsum(math.cos(lat) * math.sin(lon) for lat, lon in places)
    z = math.fsum(math.sin(lat) for lat, _ in places)
    lat = CENTRE_STEP * round(math.degrees(math.atan2(z, math.hypot(x, y))) / CENTRE_STEP)
    lon = CENTRE_STEP * round(math.degrees(math.atan2(y, x)) / CENTRE_STEP)
    return lat, (0 if abs(lat) == 90 else 180 if lon == -180 else lon)


def _unit(crs: CRS) -> float:
    """Return the metres of one unit."""
    try:
        _, factor = crs.linear_units_factor
    except CRSError:
        return 1.0
    return float(factor)
