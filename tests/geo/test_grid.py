"""Grids and windows."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.grid import Grid, Window, starts

sizes = st.integers(1, 60)
corners = st.integers(-20, 40)
windows = st.builds(Window, corners, corners, st.integers(0, 30), st.integers(0, 30))


def grid(height: int = 10, width: int = 20, crs: CRS | None = None, transform: Affine | None = None) -> Grid:
    return Grid(crs, transform or Affine(2, 0, 100, 0, -2, 500), height, width)


def pixels(window: Window) -> set[tuple[int, int]]:
    return {(y, x) for y in range(window.y, window.y + window.height) for x in range(window.x, window.x + window.width)}


class TestStarts:
    """Where windows begin along one axis."""

    @given(sizes, sizes, st.data())
    def test_every_pixel_is_covered_and_the_last_window_ends_at_the_border(
        self, length: int, size: int, data: st.DataObject
    ) -> None:
        stride = data.draw(st.integers(1, size))
        found = starts(length, size, stride)
        covered = np.zeros(length, dtype=int)
        for start in found:
            assert start >= 0
            assert start + min(size, length) <= length
            covered[start : start + size] += 1
        assert covered.min() >= 1
        assert found[0] == 0
        assert found[-1] == max(length - size, 0)
        assert found == sorted(set(found)), "no window twice"
        assert len(found) == 1 + max(0, -(-(length - size) // stride)), "no window too many"

    @given(sizes, sizes)
    def test_steps_are_regular_but_the_last(self, length: int, size: int) -> None:
        steps = np.diff(starts(length, size, size))
        assert (steps[:-1] == size).all()
        assert (steps > 0).all()
        assert (steps <= size).all()

    @pytest.mark.parametrize(
        ("length", "size", "stride", "expected"),
        [(1, 1, 1, [0]), (1, 512, 512, [0]), (512, 512, 1, [0]), (513, 512, 512, [0, 1]), (7, 3, 2, [0, 2, 4])],
    )
    def test_by_hand(self, length: int, size: int, stride: int, expected: list[int]) -> None:
        assert starts(length, size, stride) == expected

    @pytest.mark.parametrize("stride", [0, -1, 5, 100])
    @pytest.mark.parametrize("length", [3, 10])
    def test_a_stride_that_leaves_gaps_is_refused(self, stride: int, length: int) -> None:
        with pytest.raises(ConfigError, match=f"stride of {stride} .* choose 1 to 4"):
            starts(length, 4, stride)


class TestWindow:
    """Rectangles of pixels."""

    @given(windows, windows)
    def test_the_intersection_holds_exactly_the_common_pixels(self, first: Window, second: Window) -> None:
        common = first.intersection(second)
        assert pixels(common) == pixels(first) & pixels(second)
        assert common.height >= 0
        assert common.width >= 0

    @given(windows, windows)
    def test_the_intersection_is_the_same_from_both_sides(self, first: Window, second: Window) -> None:
        assert first.intersection(second) == second.intersection(first)

    @given(windows)
    def test_a_window_meets_itself_whole(self, window: Window) -> None:
        assert window.intersection(window) == window

    def test_slices_are_y_then_x(self) -> None:
        image = np.arange(12).reshape(3, 4)
        assert image[Window(1, 2, 2, 1).slices].tolist() == [[6], [10]]

    @given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3), st.integers(0, 3))
    def test_inside_an_array_of_a_larger_window(self, y: int, x: int, dy: int, dx: int) -> None:
        image = np.arange(20 * 30).reshape(20, 30)
        outer, inner = Window(y, x, 10, 12), Window(y + dy, x + dx, 4, 5)
        assert (image[outer.slices][inner.inside(outer)] == image[inner.slices]).all()


class TestGrid:
    """Frames of rasters."""

    @given(sizes, sizes, st.integers(1, 20), st.data())
    def test_tiles_cover_every_pixel_and_stay_inside(
        self, height: int, width: int, size: int, data: st.DataObject
    ) -> None:
        stride = data.draw(st.none() | st.integers(1, size))
        covered = np.zeros((height, width), dtype=int)
        found = list(grid(height, width).tiles(size, stride=stride))
        for window in found:
            assert window.intersection(Window(0, 0, height, width)) == window
            assert (window.height, window.width) == (min(size, height), min(size, width))
            covered[window.slices] += 1
        assert covered.min() >= 1
        assert found == sorted(found), "raster order"
        assert len(found) == len(set(found))

    def test_tiles_do_not_overlap_where_the_size_divides(self) -> None:
        covered = np.zeros((8, 12), dtype=int)
        for window in grid(8, 12).tiles(4):
            covered[window.slices] += 1
        assert (covered == 1).all()

    def test_a_stride_of_zero_is_not_the_default(self) -> None:
        with pytest.raises(ConfigError, match="stride of 0"):
            list(grid().tiles(4, stride=0))

    def test_a_windows_grid_lies_where_its_pixels_lie(self) -> None:
        part = grid().window(Window(3, 5, 2, 4))
        assert (part.height, part.width) == (2, 4)
        assert part.transform @ (0, 0) == grid().transform @ (5, 3)
        assert part.bounds == (110, 490, 118, 494)

    def test_a_window_may_reach_outside(self) -> None:
        assert grid().window(Window(-1, -1, 4, 4)).bounds == (98, 494, 106, 502)

    def test_windows_of_windows_add_up(self) -> None:
        once = grid().window(Window(1, 2, 8, 8)).window(Window(3, 4, 2, 2))
        assert once == grid().window(Window(4, 6, 2, 2))

    def test_the_whole(self) -> None:
        assert grid().whole == Window(0, 0, 10, 20)
        assert grid().window(grid().whole) == grid()

    @pytest.mark.parametrize(
        "transform",
        [Affine(2, 0, 100, 0, -2, 500), Affine(2, 0, 100, 0, 2, 480), Affine(-2, 0, 140, 0, -2, 500)],
        ids=["north up", "south up", "east left"],
    )
    def test_bounds_are_left_bottom_right_top(self, transform: Affine) -> None:
        assert grid(transform=transform).bounds == (100, 480, 140, 500)

    def test_a_rotated_grids_bounds_hold_its_corners(self) -> None:
        turned = grid(10, 10, transform=Affine.rotation(45))
        half = 10 * np.sqrt(2) / 2
        assert turned.bounds == pytest.approx((-half, 0, half, 2 * half))
        assert turned.resolution == pytest.approx((1, 1))

    def test_resolution_is_y_then_x(self) -> None:
        assert grid(transform=Affine(3, 0, 0, 0, -2, 0)).resolution == (2, 3)

    @pytest.mark.parametrize(
        ("code", "metres"), [(32612, 2.0), (2953, 2.0), (2227, 2 * 0.3048006)], ids=["UTM", "New Brunswick", "US feet"]
    )
    def test_metres_of_a_projected_system(self, code: int, metres: float) -> None:
        assert grid(crs=CRS.from_epsg(code)).resolution_m == pytest.approx(metres, rel=1e-6)

    def test_metres_of_a_system_in_degrees(self) -> None:
        """At 60 degrees north a degree of longitude is half as long as one of latitude (111.19 km)."""
        transform = Affine(0.001, 0, 10, 0, -0.001, 60.005)
        found = grid(10, 10, CRS.from_epsg(4326), transform).resolution_m
        assert found == pytest.approx((111.195 + 111.195 / 2) / 2, rel=1e-3)

    def test_metres_are_unknown_without_a_system(self) -> None:
        assert grid().resolution_m is None

    def test_metres_are_unknown_in_a_local_system(self) -> None:
        local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
        assert grid(crs=local).resolution_m is None


UTM = CRS.from_epsg(32633)


class TestSamePixels:
    """Whether two files hold the same pixels."""

    @pytest.mark.parametrize(
        ("other", "shift"),
        [
            (grid(crs=UTM), 0),
            (grid(crs=UTM, transform=Affine(2, 0, 100.01, 0, -2, 500)), 0.005),
            (grid(crs=UTM, transform=Affine(2.002, 0, 100, 0, -2, 500)), 0.02),
            (grid(crs=UTM, transform=Affine(2, 0, 100, 0, 2, 480)), 10),
            (grid(9, 20, crs=UTM), np.inf),
            (grid(crs=CRS.from_epsg(32634)), np.inf),
            (grid(), np.inf),
        ],
        ids=["same", "rounded", "stretched", "south up", "smaller", "another zone", "no system"],
    )
    def test_the_farthest_corner_counts(self, other: Grid, shift: float) -> None:
        assert grid(crs=UTM).shift(other) == pytest.approx(shift, abs=1e-9)
        assert grid(crs=UTM).same_pixels(other) is (shift <= 0.01)

    def test_bounds_in_words(self) -> None:
        assert grid(crs=UTM).describe_bounds() == "x 100 to 140, y 480 to 500 in EPSG:32633"
        assert grid().describe_bounds() == "x 100 to 140, y 480 to 500"


class TestAtResolution:
    """The same place in pixels of another size."""

    @pytest.mark.parametrize(("metres", "shape"), [(1.0, (20, 40)), (4.0, (5, 10)), (3.0, (7, 13)), (1000.0, (1, 1))])
    def test_size_and_corner(self, metres: float, shape: tuple[int, int]) -> None:
        found = grid(crs=UTM).at_resolution(metres)
        assert found.shape == shape
        assert found.transform @ (0, 0) == (100, 500)
        assert found.resolution == pytest.approx((metres, metres))
        assert found.resolution_m == pytest.approx(metres)

    @pytest.mark.parametrize(
        "transform",
        [Affine(2, 0, 100, 0, 2, 480), Affine(-2, 0, 140, 0, -2, 500), Affine.rotation(30) @ Affine.scale(2, -2)],
        ids=["south up", "east left", "rotated"],
    )
    def test_directions_stay(self, transform: Affine) -> None:
        found = grid(crs=UTM, transform=transform).at_resolution(0.5)
        assert found.shape == (40, 80)
        for corner in ((0, 0), (20, 0), (0, 10), (20, 10)):
            assert found.transform @ (corner[0] * 4, corner[1] * 4) == pytest.approx(transform @ corner)

    def test_oblong_pixels_become_square(self) -> None:
        found = grid(crs=UTM, transform=Affine(2, 0, 100, 0, -4, 500)).at_resolution(2.0)
        assert found.shape == (20, 20)
        assert found.resolution == pytest.approx((2, 2))

    def test_feet(self) -> None:
        """Pixels of 2 US survey feet, 0.6096 m, doubled."""
        found = grid(crs=CRS.from_epsg(2227)).at_resolution(2 * 0.6096012)
        assert found.resolution == pytest.approx((4, 4), rel=1e-6)
        assert found.shape == (5, 10)

    def test_degrees_are_as_long_as_at_the_centre(self) -> None:
        transform = Affine(0.001, 0, 10, 0, -0.001, 60.005)
        found = grid(10, 10, CRS.from_epsg(4326), transform).at_resolution(11.1195)
        assert found.resolution == pytest.approx((0.0001, 0.0002), rel=1e-4)
        assert found.shape == (100, 50)

    def test_its_own_resolution_changes_nothing(self) -> None:
        assert grid(crs=UTM).at_resolution(2.0) == grid(crs=UTM)
        assert grid(crs=UTM).at_resolution(2.0001) == grid(crs=UTM)
        assert grid(crs=UTM).at_resolution(2.01) != grid(crs=UTM)

    @pytest.mark.parametrize("crs", [None, CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST]]')])
    def test_no_size_without_a_unit(self, crs: CRS | None) -> None:
        with pytest.raises(DataError, match="no size in metres without"):
            grid(crs=crs).at_resolution(1.0)
