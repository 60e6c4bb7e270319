"""Where on the Earth a map lies: its outline in longitude and latitude, as GeoJSON wants it.

Edges are straight in the map's own system, and bent in others: points along them keep the outline to what is covered.

Source: RFC 7946, The GeoJSON Format, sections 3.1.6 (rings run anti-clockwise), 3.1.9 (what crosses the antimeridian is
cut there) and 5.2 (the west of a box that crosses it is larger than its east).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Float64
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import GCPTransformer, RPCTransformer
from rasterio.warp import transform
from shapely.geometry import mapping
from shapely.geometry.polygon import orient

from terrazzo.geo.grid import Grid
from terrazzo.scene.layer import Georeference

__all__ = ["Footprint", "footprint"]

_POINTS_AN_EDGE = 32
_WGS84 = CRS.from_epsg(4326)
_DECIMALS = 8
"""Decimals of a degree: a millimetre."""

Ring = Float64[np.ndarray, "point 2"]


@dataclass(frozen=True)
class Footprint:
    """What a map covers, in degrees of longitude and latitude in WGS 84.

    Attributes:
        geometry: GeoJSON polygon or multipolygon.
        box: West, south, east, north; west is larger than east where the map crosses the antimeridian.
    """

    geometry: dict[str, Any]
    box: tuple[float, float, float, float]


def footprint(grid: Grid, georeference: Georeference) -> Footprint | None:
    """Return what a map covers.

    Args:
        grid: Coordinate reference system, transform and size.
        georeference: Ground control points or a sensor model, where the grid has no system.

    Returns:
        None where the map does not say where it lies, or an edge of it lies beside the Earth.
    """
    found = _outline(grid, georeference)
    if found is None or not np.isfinite(found).all():
        return None
    # Rounded first: what ends at the antimeridian but for rounding does not cross it.
    longitude = np.unwrap(found[:, 0].round(_DECIMALS), period=360)
    latitude = np.clip(found[:, 1].round(_DECIMALS), -90, 90)
    ring = np.column_stack([longitude, latitude])
    turns = round((longitude[-1] - longitude[0]) / 360)
    if turns:
        # Once around the Earth: a pole lies inside.
        pole = 90.0 if latitude.mean() > 0 else -90.0
        ring = np.vstack([ring, [longitude[-1], pole], [longitude[0], pole]])
    whole = _cut(shapely.make_valid(shapely.Polygon(ring)))
    if whole is None:
        return None
    west, south, east, north = (float(side) for side in shapely.Polygon(ring).bounds)
    if turns or east - west >= 360:
        west, east = -180.0, 180.0
    else:
        west, east = _wrapped(west, -180.0), _wrapped(east, 180.0)
    box = (round(west, _DECIMALS), round(south, _DECIMALS), round(east, _DECIMALS), round(north, _DECIMALS))
    return Footprint(_plain(mapping(whole)), box)


def _outline(grid: Grid, georeference: Georeference) -> Ring | None:
    """Return points along the map's edge; the last is the first again."""
    steps = np.arange(_POINTS_AN_EDGE) / _POINTS_AN_EDGE
    rows = np.concatenate([0 * steps, steps, 0 * steps + 1, 1 - steps, [0]]) * grid.height
    columns = np.concatenate([steps, 0 * steps + 1, 1 - steps, 0 * steps, [0]]) * grid.width
    bare = grid.transform == Affine.identity()
    if bare and georeference.gcps and georeference.gcps_crs is not None:
        with GCPTransformer(list(georeference.gcps)) as by_points:
            xs, ys = by_points.xy(rows, columns, offset="ul")
        return _in_degrees(georeference.gcps_crs, np.asarray(xs), np.asarray(ys))
    if bare and georeference.rpcs is not None:
        height = georeference.rpcs.height_off
        with RPCTransformer(georeference.rpcs) as by_sensor:
            xs, ys = by_sensor.xy(rows, columns, zs=np.full(len(rows), height), offset="ul")
        return np.column_stack([np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)])
    if grid.crs is None:
        return None
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    return _in_degrees(grid.crs, a * columns + b * rows + c, d * columns + e * rows + f)


def _in_degrees(crs: CRS, xs: Float64[np.ndarray, " point"], ys: Float64[np.ndarray, " point"]) -> Ring | None:
    try:
        longitude, latitude = transform(crs, _WGS84, xs.tolist(), ys.tolist())
    except (RasterioError, CPLE_BaseError):
        # A system of an engineer's own, on no known Earth; or an edge that lies beside it.
        return None
    return np.column_stack([np.asarray(longitude, dtype=np.float64), np.asarray(latitude, dtype=np.float64)])


def _cut(polygon: shapely.Geometry) -> shapely.Polygon | shapely.MultiPolygon | None:
    """Cut at the antimeridian, and bring each piece to -180..180; None where no area is left."""
    parts = []
    for turn in (-2, -1, 0, 1, 2):
        strip = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
        parts.append(
            shapely.transform(shapely.intersection(polygon, strip), lambda at, turn=turn: at - [360 * turn, 0])
        )
    # Around a pole the first and the last piece touch.
    pieces = [orient(part) for part in shapely.get_parts(shapely.union_all(parts)) if part.geom_type == "Polygon"]
    if not pieces:
        return None
    return shapely.MultiPolygon(pieces) if len(pieces) > 1 else pieces[0]


def _wrapped(longitude: float, edge: float) -> float:
    """Bring a longitude to -180..180; the antimeridian itself is the given edge."""
    inside = (longitude + 180) % 360 - 180
    return edge if inside == -180 else inside


def _plain(geometry: dict[str, Any]) -> dict[str, Any]:
    """Return lists of rounded numbers."""

    def rounded(part: Any) -> Any:  # noqa: ANN401 - nested to any depth
        return round(float(part), _DECIMALS) if isinstance(part, (int, float)) else [rounded(inner) for inner in part]

    return {"type": geometry["type"], "coordinates": rounded(geometry["coordinates"])}
