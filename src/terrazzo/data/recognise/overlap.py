"""Whether images of a data set show the same ground, so that dealing whole images would let roles see each other."""

from collections.abc import Sequence

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform_bounds

from terrazzo.geo.grid import Grid

__all__ = ["largest_overlap"]


def largest_overlap(grids: Sequence[Grid]) -> float:
    """Return the largest share, 0..1, of the smaller of two images' frames that lies in the other's.

    Images without coordinates, or at places that cannot be transformed, lie nowhere and overlap nothing.

    Args:
        grids: Frames of the images.
    """
    system = next((grid.crs for grid in grids if grid.crs is not None), None)
    if system is None:
        return 0.0
    frames = np.array([frame for grid in grids if (frame := _frame(grid, system)) is not None], dtype=object)
    tree = shapely.STRtree(frames)
    first, second = tree.query(frames, predicate="intersects")
    pairs = first < second
    if not pairs.any():
        return 0.0
    one, other = frames[first[pairs]], frames[second[pairs]]
    shared = shapely.area(shapely.intersection(one, other)) / np.minimum(shapely.area(one), shapely.area(other))
    return float(shared.max())


def _frame(grid: Grid, system: CRS) -> shapely.Polygon | None:
    if grid.crs is None:
        return None
    if grid.crs == system:
        corners = [(0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height)]
        return shapely.Polygon([grid.transform @ corner for corner in corners])
    try:
        frame = shapely.box(*transform_bounds(grid.crs, system, *grid.bounds))
    except CRSError:
        return None
    return frame if np.isfinite(frame.bounds).all() else None
