"""Where images lie on the ground: footprints that overlap across splits, and how far splits are apart."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio.warp
import shapely
from jaxtyping import Float32
from rasterio.crs import CRS
from rasterio.errors import RasterioError

from terrazzo.data.catalog import split_order
from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid

__all__ = ["Footprint", "Overlap", "distances_m", "ground", "outline", "overlaps"]

EDGE_POINTS = 8
"""Points along an image's longer side at least, so that an outline keeps its shape in another projection."""


@dataclass(frozen=True)
class Footprint:
    """Where the measured part of an image lies.

    Attributes:
        image_id: The image.
        file: Its file.
        split: Its role.
        shape: Polygon, or several, in metres, (east, north).
        divided: Whether its image is divided along the ground, so that it shares no pixel with any other such part.
        clear_m: Metres that it keeps from such parts of other roles by construction, where it is itself one.
    """

    image_id: str
    file: str
    split: str
    shape: shapely.Geometry
    divided: bool = False
    clear_m: float = 0.0


@dataclass(frozen=True)
class Overlap:
    """Two images of different splits that show the same ground.

    Attributes:
        first: One image.
        second: The other.
        share: Common area as a share of the smaller footprint.
        square_m: Common area in square metres.
    """

    first: Footprint
    second: Footprint
    share: float
    square_m: float


def outline(
    valid: Float32[np.ndarray, "y x"], *, factor: int, height: int, width: int
) -> tuple[tuple[float, float], ...]:
    """Return the convex outline of an image's measured cells in its pixels, as (x, y); empty where nothing is measured.

    Args:
        valid: Share of each cell that is valid.
        factor: Pixels of a cell's side.
        height: Rows of the image.
        width: Columns of the image.
    """
    rows = np.flatnonzero((valid > 0).any(axis=1))
    if not len(rows):
        return ()
    seen = valid[rows] > 0
    left = seen.argmax(axis=1)
    right = seen.shape[1] - seen[:, ::-1].argmax(axis=1)
    ys = np.concatenate([rows, rows, rows + 1, rows + 1]) * factor
    xs = np.concatenate([left, right, left, right]) * factor
    hull = shapely.multipoints(np.column_stack([xs.clip(max=width), ys.clip(max=height)])).convex_hull
    return tuple((float(x), float(y)) for x, y in hull.exterior.coords[:-1])


def ground(places: Sequence[tuple[Grid, shapely.Geometry]]) -> list[shapely.Geometry]:
    """Bring outlines into one projection in metres around their common centre.

    Args:
        places: Grid with a coordinate reference system, and outline in its pixels as (x, y), of each; none is empty.

    Returns:
        Polygons in metres (east, north), azimuthal equidistant around the mean of all centres.

    Raises:
        DataError: A reference system has no way to longitude and latitude.
    """
    degrees = CRS.from_epsg(4326)
    shapes = np.array(
        [shapely.segmentize(outline, max(grid.height, grid.width) / EDGE_POINTS) for grid, outline in places],
        dtype=object,
    )
    corners, owners = shapely.get_coordinates(shapes, return_index=True)
    a, b, c, d, e, f = np.array([grid.transform[:6] for grid, _ in places], dtype=np.float64)[owners].T
    east, north = a * corners[:, 0] + b * corners[:, 1] + c, d * corners[:, 0] + e * corners[:, 1] + f
    systems = list(dict.fromkeys(grid.crs for grid, _ in places))
    system = np.array([systems.index(grid.crs) for grid, _ in places])[owners]
    lonlat = np.empty_like(corners)
    for number, crs in enumerate(systems):
        chosen = system == number
        try:
            found = rasterio.warp.transform(crs, degrees, east[chosen], north[chosen])
        except RasterioError as error:
            raise DataError(f"{crs} cannot be brought to longitude and latitude: {error}.") from error
        lonlat[chosen] = np.array(found[:2], dtype=np.float64).T
    counts = np.bincount(owners)
    centre = [float((np.bincount(owners, weights=axis) / counts).mean()) for axis in lonlat.T]
    local = CRS.from_proj4(f"+proj=aeqd +lon_0={centre[0]:.8f} +lat_0={centre[1]:.8f} +datum=WGS84 +units=m")
    metres = rasterio.warp.transform(degrees, local, lonlat[:, 0], lonlat[:, 1])[:2]
    return list(shapely.make_valid(shapely.set_coordinates(shapes, np.array(metres, dtype=np.float64).T)))


def overlaps(footprints: Sequence[Footprint], *, least_share: float) -> list[Overlap]:
    """Return pairs of images of different splits that share ground, the largest share first.

    Args:
        footprints: Of all images. Parts of images that are divided along the ground agree about every place, and are
            not compared with each other; nor is a file with itself.
        least_share: Share of the smaller footprint from which on an overlap counts.
    """
    if not footprints:
        return []
    shapes = [one.shape for one in footprints]
    tree = shapely.STRtree(shapes)
    found = []
    for here, there in tree.query(shapes, predicate="intersects").T.tolist():
        first, second = footprints[here], footprints[there]
        if here >= there or first.split == second.split or first.file == second.file:
            continue
        if first.divided and second.divided:
            continue
        area = float(first.shape.intersection(second.shape).area)
        share = area / max(min(first.shape.area, second.shape.area), 1e-12)
        if area > 0 and share >= least_share:
            found.append(Overlap(first, second, share, area))
    return sorted(found, key=lambda one: (-one.share, one.first.file, one.second.file))


def distances_m(footprints: Sequence[Footprint]) -> Mapping[tuple[str, str], tuple[float, str, str]]:
    """Return for each two splits their smallest distance in metres, and the files that are so near.

    Args:
        footprints: Of all images; a file that is not divided is not compared with itself.
    """
    by_split: dict[str, list[Footprint]] = {}
    for one in footprints:
        by_split.setdefault(one.split, []).append(one)
    found: dict[tuple[str, str], tuple[float, str, str]] = {}
    for first, second in itertools.combinations(sorted(by_split, key=split_order), 2):
        tree = shapely.STRtree([one.shape for one in by_split[second]])
        nearest: tuple[float, str, str] | None = None
        for one in by_split[first]:
            for position in tree.query_nearest(one.shape, all_matches=True).tolist():
                other = by_split[second][position]
                distance = float(one.shape.distance(other.shape))
                divided = one.divided and other.divided
                if divided:
                    # Outlines of parts are drawn on cells; how far they keep apart is known better.
                    distance = max(distance, one.clear_m, other.clear_m)
                if (divided or one.file != other.file) and (nearest is None or distance < nearest[0]):
                    nearest = (distance, one.file, other.file)
        if nearest is not None:
            found[first, second] = nearest
    return found
