"""Each kind of shape against shapely, PIL or arithmetic by hand; and windows of any cut against the whole."""

from collections.abc import Sequence

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.data.labels.shapes import Dots, Ellipse, Line, Mask, Polygon, Shape, box
from terrazzo.errors import DataError
from terrazzo.geo.grid import Window

SIZE = Window(0, 0, 40, 50)


def covered(shape: Shape, window: Window = SIZE) -> np.ndarray:
    """The shape in a window, wherever the two meet."""
    found = np.zeros((window.height, window.width), dtype=bool)
    common = shape.extent.intersection(window)
    if common.height and common.width:
        found[common.inside(window)] = shape.covers(common)
    return found


def by_centres(area: shapely.Geometry, window: Window = SIZE) -> np.ndarray:
    """Pixels whose centres lie in a geometry, each asked for alone."""
    x, y = np.meshgrid(np.arange(window.width) + window.x + 0.5, np.arange(window.height) + window.y + 0.5)
    return shapely.contains_xy(area, x, y)


def ring(*corners: tuple[float, float]) -> np.ndarray:
    return np.array(corners, dtype=np.float64)


def rle(mask: np.ndarray) -> np.ndarray:
    runs, inside = [0], False
    for pixel in mask.ravel():
        if pixel != inside:
            runs.append(0)
            inside = not inside
        runs[-1] += 1
    return np.array(runs, dtype=np.int64)


DRAW = np.random.default_rng(4)
SHAPES: dict[str, Shape] = {
    "star": Polygon((DRAW.random((11, 2)) * 60 - 5,)),
    "ring": Polygon((ring((3.1, 3), (45, 5.2), (40.3, 35), (8, 30.4)), ring((10, 10), (30, 12), (20.5, 25)))),
    "quarter": box(4.3, 2.1, 44.9, 20.2, rotation=37.0),
    "ellipse": Ellipse(20.2, 17.9, 18.5, 4.25, 61.0),
    "line": Line(DRAW.random((6, 2)) * 60 - 5, 3.3),
    "dots": Dots(DRAW.random((9, 2)) * 60 - 5, 5.5),
    "mask": Mask(Window(-3, 7, 30, 60), rle(DRAW.random((30, 60)) < 0.5)),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_windows_of_any_cut_hold_the_bits_of_the_whole(shape: Shape) -> None:
    whole = covered(shape)
    assert whole.any()
    for height, width in ((1, 1), (7, 13), (40, 3)):
        joined = np.zeros_like(whole)
        for y in range(0, 40, height):
            for x in range(0, 50, width):
                window = Window(y, x, min(height, 40 - y), min(width, 50 - x))
                joined[window.slices] = covered(shape, window)
        np.testing.assert_array_equal(joined, whole)


def test_edges_that_run_through_centres_give_the_same_bits_however_far_the_window_lies() -> None:
    # Thirds and sevenths, which no binary number holds: a window's own origin would round them in another way.
    shape = Polygon((ring((1 / 3, 0), (99_999 / 7, 30_000.5), (100_000 / 7, 30_000.5), (1 / 3 + 2, 0)),))
    rows = Window(0, 0, 3000, 2000)
    whole = covered(shape, rows)
    for y in range(0, 3000, 997):
        window = Window(y, 11, min(997, 3000 - y), 1500)
        np.testing.assert_array_equal(covered(shape, window), whole[window.slices])


def test_a_polygon_holds_the_pixels_whose_centres_lie_in_it() -> None:
    for _ in range(20):
        corners = DRAW.random((3, 2)) * 60 - 5
        np.testing.assert_array_equal(covered(Polygon((corners,))), by_centres(shapely.Polygon(corners)))


def test_a_ring_within_a_ring_is_a_hole() -> None:
    shape = SHAPES["ring"]
    assert isinstance(shape, Polygon)
    expected = by_centres(shapely.Polygon(shape.rings[0], [shape.rings[1]]))
    assert 0 < expected.sum() < by_centres(shapely.Polygon(shape.rings[0])).sum()
    np.testing.assert_array_equal(covered(shape), expected)


def test_what_a_polygon_encloses_twice_is_no_part_of_it() -> None:
    twice = ring((2, 2), (12, 2), (12, 12), (2, 12), (2, 2), (4, 4), (10, 4), (10, 10), (4, 10), (4, 4))
    assert covered(Polygon((twice,))).sum() == 10 * 10 - 6 * 6


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), min_size=3, max_size=3), st.integers(-5, 5))
def test_neighbours_share_every_pixel_of_their_common_edge_exactly_once(
    corners: Sequence[tuple[int, int]], shift: int
) -> None:
    # Halves put many corners and edges right on centres.
    a, b, c = (np.array(corner) / 2 for corner in corners)
    d = a + b - c + np.array([shift / 2, 0])
    one, other = Polygon((np.stack([a, b, c]),)), Polygon((np.stack([b, a, d]),))
    both = Polygon((np.stack([a, c, b, d]),))
    np.testing.assert_array_equal(covered(one) ^ covered(other), covered(both))
    np.testing.assert_array_equal(covered(Polygon((np.stack([c, b, a]),))), covered(one))


@pytest.mark.parametrize(
    "corners", [[], [(3.0, 3.0)], [(3.0, 3.0), (20.0, 30.0)], [(1.0, 5.5), (9.0, 5.5), (4.0, 5.5)]]
)
def test_a_polygon_without_an_area_covers_nothing(corners: list[tuple[float, float]]) -> None:
    shape = Polygon((np.array(corners, dtype=np.float64).reshape(-1, 2),))
    assert not covered(shape).any()
    assert not covered(shape, Window(5, 1, 1, 1)).any()


def test_a_box_on_pixel_edges_holds_exactly_those_pixels() -> None:
    expected = np.zeros((40, 50), dtype=bool)
    expected[3:9, 5:20] = True
    np.testing.assert_array_equal(covered(box(5.0, 3.0, 20.0, 9.0)), expected)
    np.testing.assert_array_equal(covered(box(5.0, 3.0, 20.0, 9.0, rotation=360.0)), expected)
    # The centre of a pixel belongs to the box whose upper left corner it is, not to the one that ends there.
    assert covered(box(0.5, 0.5, 1.5, 1.5), Window(0, 0, 3, 3)).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_a_box_turns_clockwise_about_its_centre() -> None:
    upright = covered(box(20.0, 5.0, 24.0, 25.0, rotation=90.0))
    assert upright.sum() == 20 * 4
    np.testing.assert_array_equal(upright[13:17, 12:32], True)
    # Turned by thirty degrees clockwise, the upper end of an upright box leans to the right.
    leaning = covered(box(20.0, 5.0, 24.0, 25.0, rotation=30.0))
    np.testing.assert_array_equal(
        leaning, by_centres(shapely.affinity.rotate(shapely.box(20.0, 5.0, 24.0, 25.0), 30, origin=(22, 15)))
    )
    assert np.flatnonzero(leaning.any(axis=0)).max() > 24
    assert np.flatnonzero(leaning[7])[0] > np.flatnonzero(leaning[23])[0]


def test_an_ellipse_holds_the_centres_that_its_equation_holds() -> None:
    x, y = np.meshgrid(np.arange(50) + 0.5 - 20.2, np.arange(40) + 0.5 - 17.9)
    angle = np.deg2rad(61)
    u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    np.testing.assert_array_equal(covered(SHAPES["ellipse"]), (u / 18.5) ** 2 + (v / 4.25) ** 2 <= 1)
    assert not covered(Ellipse(5.0, 5.0, 0.0, 3.0)).any()


def test_a_line_holds_the_centres_within_half_its_width() -> None:
    line = SHAPES["line"]
    assert isinstance(line, Line)
    path = shapely.LineString(line.points)
    x, y = np.meshgrid(np.arange(50) + 0.5, np.arange(40) + 0.5)
    distance = shapely.distance(path, shapely.points(x, y))
    np.testing.assert_array_equal(covered(line), distance < 3.3 / 2)


def test_a_line_of_one_point_is_a_disc_and_repeated_points_change_nothing() -> None:
    disc = covered(Line(ring((10.0, 10.0)), 6.5))
    np.testing.assert_array_equal(disc, covered(Ellipse(10.0, 10.0, 3.25, 3.25)))
    np.testing.assert_array_equal(covered(Line(ring((10, 10), (10, 10), (10, 10)), 6.5)), disc)


def test_a_point_covers_its_pixel_however_small_it_is() -> None:
    dots = Dots(ring((3.01, 4.99), (49.9, 39.9), (-7, 3)), 0.0)
    assert [tuple(at) for at in np.argwhere(covered(dots))] == [(4, 3), (39, 49)]


def test_a_mask_is_laid_out_row_after_row() -> None:
    draw = np.random.default_rng(7).random((6, 9)) < 0.5
    expected = np.zeros((40, 50), dtype=bool)
    expected[11:17, 20:29] = draw
    np.testing.assert_array_equal(covered(Mask(Window(11, 20, 6, 9), rle(draw))), expected)
    assert covered(Mask(Window(0, 0, 40, 50), np.array([0, 2000], dtype=np.int64))).all()


@pytest.mark.parametrize("runs", [[5, 5], [-1, 13], [0], []])
def test_runs_that_do_not_fill_their_rectangle_are_refused(runs: list[int]) -> None:
    with pytest.raises(DataError, match=r"its rectangle is 3 x 4 \(rows x columns\), which is 12"):
        Mask(Window(0, 0, 3, 4), np.array(runs, dtype=np.int64))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e12])
def test_what_is_no_place_in_an_image_is_refused(wrong: float) -> None:
    bad = ring((0, 0), (wrong, 1), (2, 2))
    for make in (
        lambda: Polygon((bad,)),
        lambda: Line(bad, 2.0),
        lambda: Dots(bad, 2.0),
        lambda: Ellipse(wrong, 0.0, 1.0, 1.0),
    ):
        with pytest.raises(DataError, match="no place in an image"):
            make()


def test_sizes_below_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="neither may be negative"):
        Ellipse(0.0, 0.0, -1.0, 2.0)
    with pytest.raises(DataError, match="a line of 2 points and a width of 0 pixels"):
        Line(ring((0, 0), (1, 1)), 0.0)
    with pytest.raises(DataError, match="a line of 0 points"):
        Line(np.empty((0, 2)), 1.0)
    with pytest.raises(DataError, match="a width of -1 pixels"):
        Dots(ring((0, 0)), -1.0)
