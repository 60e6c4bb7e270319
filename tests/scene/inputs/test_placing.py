"""Where grids lie on each other."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform

from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid, Window
from terrazzo.scene.inputs.placing import grid_around

UTM = CRS.from_epsg(32632)


def grid(x: float, y: float, height: int, width: int, *, size: float = 2.0, crs: CRS = UTM) -> Grid:
    return Grid(crs, Affine(size, 0, x, 0, -size, y), height, width)


def test_whole_pixels_stay_whole() -> None:
    first = grid(100, 900, 10, 20)
    whole, windows = grid_around([first, grid(140 + 1e-4, 900, 5, 5), grid(90, 920, 4, 4)], ["a", "b", "c"])
    assert whole == grid(90, 920, 20, 30)
    assert windows == [Window(10, 5, 10, 20), Window(10, 25, 5, 5), Window(0, 0, 4, 4)]
    assert whole.window(windows[0]) == first


def test_pixels_between_are_covered() -> None:
    whole, windows = grid_around([grid(0, 0, 4, 4), grid(1, -1, 4, 4)], ["a", "b"])
    assert whole.shape == (5, 5)
    assert windows == [Window(0, 0, 4, 4), Window(0, 0, 5, 5)]


@pytest.mark.parametrize(
    "transformed",
    [Affine(2, 0, 0, 0, 2, 0), Affine.translation(50, 60) @ Affine.rotation(30) @ Affine.scale(2, -2)],
    ids=["south up", "rotated"],
)
def test_south_up_and_rotated_first_grids(transformed: Affine) -> None:
    first = Grid(UTM, transformed, 6, 8)
    second = first.window(Window(3, -5, 6, 8))
    whole, windows = grid_around([first, second], ["a", "b"])
    assert whole.shape == (9, 13)
    assert windows == [Window(0, 5, 6, 8), Window(3, 0, 6, 8)]
    assert whole.window(windows[1]).same_pixels(second)


def test_another_system_is_covered_to_its_curved_edges() -> None:
    there = CRS.from_epsg(4326)
    degrees = Grid(there, Affine(0.01, 0, 6.0, 0, -0.01, 50.0), 300, 600)
    first = grid(500_000, 5_400_000, 100, 100, size=100.0)
    whole, (_, window) = grid_around([first, degrees], ["a", "b"])
    xs, ys = np.meshgrid(np.linspace(6, 12, 200), np.linspace(47, 50, 200))
    east, north = transform(there, UTM, xs.ravel(), ys.ravel())
    columns = (np.array(east) - whole.transform.c) / 100
    rows = (whole.transform.f - np.array(north)) / 100
    assert window.x <= columns.min() < window.x + 3
    assert window.x + window.width - 3 < columns.max() <= window.x + window.width
    assert window.y <= rows.min() < window.y + 3
    assert window.y + window.height - 3 < rows.max() <= window.y + window.height


def test_what_no_raster_can_hold() -> None:
    with pytest.raises(DataError, match=r"no raster can hold; b\.tif lies far from a\.tif"):
        grid_around([grid(0, 0, 10, 10, size=1e-5), grid(1e6, 0, 10, 10)], ["a.tif", "b.tif"])


def test_what_has_no_place_in_the_system() -> None:
    site = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    with pytest.raises(DataError, match=r"site\.tif covers .* no place"):
        grid_around([grid(0, 0, 4, 4), grid(0, 0, 4, 4, crs=site)], ["a.tif", "site.tif"])
