"""Burned shapes: the same in every window, and what rasterio and shapely say."""

import threading

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.features import shapes as outline

from terrazzo.geo import burning
from terrazzo.geo.burning import Burner
from terrazzo.geo.grid import Grid, Window

UTM = CRS.from_epsg(32633)
NORTH_UP = Affine(0.3, 0, 500_000.1, 0, -0.3, 5_000_000.7)
SOUTH_UP = Affine(0.3, 0, 500_000.1, 0, 0.3, 5_000_000.7)
ROTATED = NORTH_UP @ Affine.rotation(31) @ Affine.scale(1, 1.7)


def grid(transform=NORTH_UP, height=300, width=530):
    return Grid(UTM, transform, height, width)


def stars(on, count=60, seed=3):
    """Spiky polygons over a grid and beyond its borders, some with holes."""
    draw = np.random.default_rng(seed)
    shapes = []
    for number in range(count):
        middle = draw.uniform((-40, -40), (on.width + 40, on.height + 40))
        angles = np.sort(draw.uniform(0, 2 * np.pi, 11))
        radii = draw.uniform(1, 60 if number % 5 else 260, 11)
        ring = middle + np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
        shape = shapely.make_valid(shapely.Polygon(ring))
        if number % 3 == 0:
            shape = shapely.difference(shape, shapely.buffer(shapely.Point(middle), 8))
        if shape.geom_type in {"Polygon", "MultiPolygon"} and not shape.is_empty:
            shapes.append(shape)
    matrix = on.transform
    placed = shapely.transform(
        np.array(shapes, dtype=object),
        lambda at: at @ np.array([[matrix.a, matrix.d], [matrix.b, matrix.e]]) + np.array([matrix.c, matrix.f]),
    )
    return placed, np.arange(1, len(shapes) + 1)


@pytest.mark.parametrize("transform", [NORTH_UP, SOUTH_UP, ROTATED], ids=["north", "south", "rotated"])
@pytest.mark.parametrize("all_touched", [False, True])
def test_windows_of_any_cut_hold_what_the_whole_image_holds(transform, all_touched):
    on = grid(transform)
    shapes, codes = stars(on)
    whole = Burner(on, shapes, codes, all_touched=all_touched).read(on.whole)
    assert len(np.unique(whole)) > 20
    draw = np.random.default_rng(5)
    for _ in range(40):
        y, x = int(draw.integers(0, 299)), int(draw.integers(0, 529))
        window = Window(y, x, int(draw.integers(1, 300 - y + 1)), int(draw.integers(1, 530 - x + 1)))
        # A burner of its own, so that nothing kept from another window helps.
        part = Burner(on, shapes, codes, all_touched=all_touched).read(window)
        assert np.array_equal(part, whole[window.slices])


@pytest.mark.parametrize("transform", [NORTH_UP, SOUTH_UP, ROTATED], ids=["north", "south", "rotated"])
@pytest.mark.parametrize("all_touched", [False, True])
def test_blocks_hold_what_rasterio_burns_at_once(transform, all_touched):
    on = grid(transform)
    shapes, codes = stars(on)
    found = Burner(on, shapes, codes, all_touched=all_touched).read(on.whole)
    expected = rasterize(
        zip(shapes, codes.tolist(), strict=True),
        out_shape=(on.height, on.width),
        transform=transform,
        all_touched=all_touched,
        dtype="int32",
    )
    assert np.array_equal(found, expected)


def test_a_pixel_belongs_to_the_area_that_its_centre_lies_in():
    on = grid(ROTATED)
    shapes, codes = stars(on)
    found = Burner(on, shapes, codes).read(on.whole)
    draw = np.random.default_rng(7)
    for y, x in zip(draw.integers(0, 300, 300), draw.integers(0, 530, 300), strict=True):
        centre = shapely.Point(*(ROTATED @ (x + 0.5, y + 0.5)))
        holding = codes[shapely.contains(shapes, centre)]
        assert found[y, x] == (holding[-1] if len(holding) else 0)


def test_long_outlines_are_cut_to_a_block_without_changing_it(monkeypatch):
    on = grid()
    shapes, codes = stars(on, count=20)
    whole = Burner(on, shapes, codes).read(on.whole)
    monkeypatch.setattr(burning, "LONG", 3)
    assert np.array_equal(Burner(on, shapes, codes).read(on.whole), whole)


@pytest.mark.parametrize("transform", [NORTH_UP, SOUTH_UP, ROTATED], ids=["north", "south", "rotated"])
def test_the_outlines_of_pixels_burn_back_into_them(transform):
    """A map turned into shapes and back is the same map, in pixels of 0.3 m far from the origin."""
    on = grid(transform, 280, 270)
    draw = np.random.default_rng(9)
    values = np.kron(draw.integers(1, 5, (28, 27)), np.ones((10, 10))).astype(np.int32)
    values[draw.random(values.shape) < 0.05] = 7
    outlines = [(shapely.geometry.shape(shape), int(value)) for shape, value in outline(values, transform=transform)]
    shapes = np.array([shape for shape, _ in outlines], dtype=object)
    found = Burner(on, shapes, np.array([value for _, value in outlines])).read(on.whole)
    assert np.array_equal(found, values)


def test_a_later_shape_lies_on_top():
    on = Grid(UTM, Affine(1, 0, 0, 0, -1, 4), 4, 4)
    left, right = shapely.box(0, 0, 3, 4), shapely.box(1, 0, 4, 4)
    assert Burner(on, np.array([left, right]), np.array([1, 2])).read(on.whole)[0].tolist() == [1, 2, 2, 2]
    assert Burner(on, np.array([right, left]), np.array([2, 1])).read(on.whole)[0].tolist() == [1, 1, 1, 2]


def test_lines_and_points_mark_what_they_touch_between_areas_in_order():
    on = Grid(UTM, Affine(1, 0, 0, 0, -1, 4), 4, 4)
    line = shapely.LineString([(0.1, 0.9), (3.9, 0.9)])
    shapes = np.array([shapely.box(0, 0, 4, 2), line, shapely.Point(2.1, 0.2), shapely.box(0, 0, 1, 1)])
    found = Burner(on, shapes, np.array([1, 2, 3, 4])).read(on.whole)
    assert found.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [4, 2, 3, 2]]


def test_one_pixel_and_no_shapes():
    on = Grid(UTM, Affine(1, 0, 0, 0, -1, 1), 1, 1)
    assert Burner(on, np.array([shapely.box(0, 0, 1, 1)]), np.array([7])).read(on.whole).tolist() == [[7]]
    nothing = Burner(on, np.array([], dtype=object), np.array([], dtype=np.int64))
    assert nothing.read(on.whole).tolist() == [[0]]
    assert not nothing.touches(on.whole)


def test_touching_means_a_pixel_not_a_neighbourhood():
    on = grid(Affine(1, 0, 0, 0, -1, 300))
    # Between the centres of four pixels: it touches them, and holds none.
    small = Burner(on, np.array([shapely.box(9.6, 289.6, 10.4, 290.4)]), np.array([1]))
    assert not small.touches(on.whole)
    assert not small.touches(Window(200, 200, 10, 10))
    larger = Burner(on, np.array([shapely.box(9.4, 289.6, 10.4, 290.6)]), np.array([1]))
    assert larger.touches(on.whole)
    assert larger.touches(Window(9, 9, 1, 1))
    assert not larger.touches(Window(9, 10, 1, 1))


def test_kept_blocks_stay_within_bounds(monkeypatch):
    monkeypatch.setattr(burning, "KEPT_BYTES", 2 * burning.BLOCK**2 * 4)
    on = grid()
    shapes, codes = stars(on)
    burner = Burner(on, shapes, codes)
    first = burner.read(on.whole)
    assert len(burner._kept) == 2
    assert np.array_equal(burner.read(on.whole), first)


def test_several_threads_burn_the_same():
    on = grid()
    shapes, codes = stars(on)
    expected = Burner(on, shapes, codes).read(on.whole)
    found: list[np.ndarray] = []

    def burn():
        found.extend(Burner(on, shapes, codes).read(on.whole) for _ in range(3))

    threads = [threading.Thread(target=burn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert all(np.array_equal(one, expected) for one in found)
