"""Pixels on another grid, against positions and planes that are computed here."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

from terrazzo.errors import DataError
from terrazzo.geo import warped
from terrazzo.geo.bands import Bands, Collar
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster, RasterFile

UTM = CRS.from_epsg(32633)
HERE = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def write(
    path: Path, values: np.ndarray, transform: Affine = HERE, *, crs: CRS | None = UTM, **profile: object
) -> Path:
    count, height, width = values.shape
    frame = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(path, "w", crs=crs, transform=transform, **frame, **profile) as file:
        file.write(values)
    return path


def plane(transform: Affine, height: int, width: int, dtype: str = "float32") -> np.ndarray:
    """A tilted plane over the ground: resampling between pixel centres must give it back."""
    ys, xs = np.mgrid[:height, :width] + 0.5
    across, down = transform @ (xs, ys)
    return (3 * (across - 500_000) - 2 * (down - 5_000_000))[None].astype(dtype)


def read(path: Path, grid: Grid, resampling: str = "bilinear", **how: object) -> Raster:
    with RasterFile(path, onto=grid, resampling=resampling) as file:
        return file.read(**how)


def inner(array: np.ndarray, border: int) -> np.ndarray:
    return array[..., border:-border, border:-border]


class TestNearest:
    """Classes: each pixel of the grid takes what the file holds at its centre."""

    @pytest.mark.parametrize("code", [26912, 32611, 4326, 5070])
    def test_real_land_cover_in_any_system(self, code: int, real_data: Path) -> None:
        """Pixel centres are brought into the file's system one by one and looked up there."""
        path = real_data / "zion_landsat_nlcd" / "raster" / "nlcd.tif"
        with rasterio.open(path) as file:
            raw, back, crs = file.read(1), ~file.transform, file.crs
        left, top = (value[0] for value in transform_points(crs, CRS.from_epsg(code), [305_000], [4_150_000]))
        size = 0.0004 if code == 4326 else 37.0
        grid = Grid(CRS.from_epsg(code), Affine(size, 0, left, 0, -size, top), 700, 600)
        found = read(path, grid, "nearest")
        draw = np.random.default_rng(0)
        ys, xs = draw.integers(0, 700, 5000), draw.integers(0, 600, 5000)
        across, down = grid.transform @ (xs + 0.5, ys + 0.5)
        columns, rows = back @ tuple(np.array(part) for part in transform_points(grid.crs, crs, across, down))
        inside = (columns >= 0) & (rows >= 0) & (columns < raw.shape[1]) & (rows < raw.shape[0])
        # Where a centre falls on the edge of two pixels, rounding may choose either.
        clear = (np.abs(columns % 1 - 0.5) < 0.499) & (np.abs(rows % 1 - 0.5) < 0.499)
        expected = raw[np.where(inside, rows, 0).astype(int), np.where(inside, columns, 0).astype(int)]
        assert clear.mean() > 0.99
        assert inside.mean() > 0.5
        assert (found.values[0, ys, xs] == expected)[inside & clear].all()
        assert (found.valid[ys, xs] == (inside & (expected != 255)))[clear].all()

    @pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float64"])
    def test_values_of_any_type_stay_exact(self, dtype: str, tmp_path: Path) -> None:
        limits = np.finfo(dtype) if dtype.startswith("f") else np.iinfo(dtype)
        values = np.array([[[limits.min, limits.max, 3]]], dtype)
        grid = Grid(UTM, HERE @ Affine.scale(0.5), 2, 6)
        found = read(write(tmp_path / "a.tif", values), grid, "nearest")
        assert found.values.dtype == dtype
        assert (found.values == values.repeat(2, axis=1).repeat(2, axis=2)).all()
        assert found.valid.all()

    def test_a_missing_pixel_stays_what_it_was_and_invalid(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", np.array([[[-9999, 4]]], "int16"), nodata=-9999)
        found = read(path, Grid(UTM, HERE @ Affine.scale(0.5), 2, 4), "nearest")
        assert found.values[0, 0].tolist() == [-9999, -9999, 4, 4]
        assert found.valid[1].tolist() == [False, False, True, True]

    def test_outside_is_neither_covered_nor_valid(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", np.array([[[0, 4]]], "uint8"), nodata=0)
        grid = Grid(UTM, HERE @ Affine.translation(-1, -1), 3, 4)
        with RasterFile(path, onto=grid, resampling="nearest") as file:
            raster, covered = file.read_covered()
        assert covered.tolist() == [[False] * 4, [False, True, True, False], [False] * 4]
        assert raster.valid.tolist() == [[False] * 4, [False, False, True, False], [False] * 4]


class TestBilinear:
    """Measurements: a mean weighted by distance."""

    @pytest.mark.parametrize(
        ("transform", "size", "border"),
        [
            (HERE @ Affine.translation(0.3, 0.7), (60, 60), 2),
            (HERE @ Affine.scale(0.37), (160, 160), 4),
            (HERE @ Affine.scale(3), (20, 20), 2),
            (HERE @ Affine.translation(10, 30) @ Affine.rotation(-20), (30, 30), 2),
            (Affine(10, 0, 500_000, 0, 10, 4_999_400), (60, 60), 2),
            (Affine(-10, 0, 500_600, 0, -10, 5_000_000), (60, 60), 2),
        ],
        ids=["shifted", "finer", "coarser", "rotated", "south up", "east left"],
    )
    def test_a_plane_stays_a_plane(self, transform: Affine, size: tuple[int, int], border: int, tmp_path: Path) -> None:
        found = read(write(tmp_path / "a.tif", plane(HERE, 60, 60)), Grid(UTM, transform, *size))
        expected = plane(transform, *size, "float64")
        assert np.abs(inner(found.values - expected, border)).max() < 0.5
        assert inner(found.valid, border).all()

    @pytest.mark.parametrize("transform", [HERE @ Affine.rotation(30), Affine(10, 0, 500_000, 0, 10, 5_000_000)])
    def test_from_rotated_and_south_up_files(self, transform: Affine, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", plane(transform, 80, 80), transform)
        centre = Grid(UTM, transform, 80, 80).bounds
        x, y = (centre[0] + centre[2]) / 2, (centre[1] + centre[3]) / 2
        grid = Grid(UTM, Affine(7, 0, x - 70, 0, -7, y + 70), 20, 20)
        found = read(path, grid)
        assert np.abs(found.values - plane(grid.transform, 20, 20, "float64")).max() < 0.5
        assert found.valid.all()

    def test_a_coarser_pixel_is_a_mean_over_all_that_it_covers(self, tmp_path: Path) -> None:
        """Alternating 0 and 200, pixel by pixel: one pixel of eight times the side sees about as many of each."""
        values = (np.indices((80, 80)).sum(axis=0) % 2 * 200).astype("uint8")[None]
        found = read(write(tmp_path / "a.tif", values), Grid(UTM, HERE @ Affine.scale(8), 10, 10))
        assert np.abs(inner(found.values.astype(int), 1) - 100).max() <= 2

    @pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
    def test_missing_pixels_enter_no_mean(self, scale: float, tmp_path: Path) -> None:
        values = np.full((1, 40, 40), 100, "uint16")
        values[0, :, 20:] = 65535
        values[0, 5, 5] = 65535
        path = write(tmp_path / "a.tif", values, nodata=65535)
        size = round(40 / scale)
        found = read(path, Grid(UTM, HERE @ Affine.translation(0.3, 0.2) @ Affine.scale(scale), size, size))
        assert (found.values[0][found.valid] == 100).all()
        assert (found.values[0][~found.valid] == 0).all()
        columns = (np.arange(size) + 0.5) * scale + 0.3
        assert not found.valid[:, columns >= 20].any()
        assert found.valid[size // 2 :, columns < 20][: size // 3].all()

    def test_a_collar_enters_no_mean(self, tmp_path: Path) -> None:
        values = np.full((3, 40, 40), 90, "uint8")
        values[:, :10] = np.random.default_rng(0).integers(0, 7, (3, 10, 40))
        values[0, 30:] = 3
        path = write(tmp_path / "a.tif", values, photometric="RGB")
        grid = Grid(UTM, HERE @ Affine.scale(0.5), 80, 80)
        with RasterFile(path, onto=grid) as file:
            bands = Bands(items=file.bands.items, collar=Collar(value=0, nodata_tolerance=6))
            found = file.read(bands=bands)
        assert not found.valid[:20].any()
        assert found.valid[20:].all()
        assert (found.values[:, 20:58] == 90).all()

    def test_what_is_not_finite_enters_no_mean(self, tmp_path: Path) -> None:
        values = np.full((1, 9, 9), 5.0, "float32")
        values[0, 4, 4] = np.nan
        found = read(write(tmp_path / "a.tif", values), Grid(UTM, HERE @ Affine.scale(0.5), 18, 18))
        assert (~found.valid).sum() == 4
        assert (found.values[0][found.valid] == 5).all()

    def test_integers_are_rounded_and_never_wrap(self, tmp_path: Path) -> None:
        values = np.array([[[0, 255, 255, 0]]], "uint8").repeat(4, axis=1)
        found = read(write(tmp_path / "a.tif", values), Grid(UTM, HERE @ Affine.translation(0.5, 0), 4, 3))
        assert found.values[0, 1].tolist() == [128, 255, 128]

    def test_transparency_and_masks_count(self, tmp_path: Path) -> None:
        values = np.full((4, 8, 8), 70, "uint8")
        values[3] = 255
        values[:3, :, :4], values[3, :, :4] = 0, 0
        path = write(tmp_path / "a.tif", values, photometric="RGB", alpha="yes")
        found = read(path, Grid(UTM, HERE @ Affine.scale(0.5), 16, 16))
        assert found.bands.names == ("red", "green", "blue")
        assert not found.valid[:, :8].any()
        assert (found.values[:, :, 8:] == 70).all()


class TestWindows:
    """What is read never depends on how it is asked for."""

    @pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
    @pytest.mark.parametrize("scale", [0.7, 2.3])
    def test_any_window_holds_the_same_values(
        self, resampling: str, scale: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(warped, "BLOCK", 32)
        values = np.random.default_rng(0).integers(0, 65000, (2, 150, 130), dtype="uint16")
        values[0, 40:60, 50:60] = 7
        path = write(tmp_path / "a.tif", values, nodata=7)
        left, top = (value[0] for value in transform_points(UTM, CRS.from_epsg(3035), [500_000], [5_000_000]))
        grid = Grid(CRS.from_epsg(3035), Affine(10 * scale, 0, left, 0, -10 * scale, top), 101, 89)
        with RasterFile(path, onto=grid, resampling=resampling) as file:
            whole, covered = file.read_covered()
            assert 0.2 < whole.valid.mean() < covered.mean() < 1
            for window in (Window(0, 0, 1, 1), Window(31, 31, 3, 40), Window(17, 5, 64, 70), Window(100, 0, 1, 89)):
                part, there = file.read_covered(window)
                assert (part.values == whole.values[:, *window.slices]).all()
                assert (part.valid == whole.valid[window.slices]).all()
                assert (there == covered[window.slices]).all()
                assert part.grid == grid.window(window)

    def test_a_block_that_covers_much_of_the_file_is_divided(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        values = np.random.default_rng(0).integers(0, 255, (1, 300, 300), dtype="uint8")
        path = write(tmp_path / "a.tif", values)
        grid = Grid(UTM, HERE @ Affine.translation(0.1, 0.2) @ Affine.scale(4.1), 70, 70)
        expected = read(path, grid, "nearest")
        largest = 0
        stored = RasterFile._stored

        def watched(self: RasterFile, window: Window, *given: object) -> object:
            nonlocal largest
            largest = max(largest, window.height * window.width)
            return stored(self, window, *given)

        monkeypatch.setattr(warped, "SOURCE_PIXELS", 2000)
        monkeypatch.setattr(RasterFile, "_stored", watched)
        found = read(path, grid, "nearest")
        assert (found.values == expected.values).all()
        assert (found.valid == expected.valid).all()
        assert 500 < largest <= 2000


class TestFit:
    """Which files are resampled, and which cannot be."""

    @pytest.mark.parametrize("shift", [0.0, 0.009])
    def test_rounding_resamples_nothing(self, shift: float, tmp_path: Path) -> None:
        values = np.random.default_rng(0).integers(0, 255, (1, 5, 7), dtype="uint8")
        path = write(tmp_path / "a.tif", values, HERE @ Affine.translation(shift, 0))
        grid = Grid(UTM, HERE, 5, 7)
        with RasterFile(path, onto=grid) as file:
            assert not file.warped
            assert file.grid == grid
            assert (file.read().values == values).all()

    @pytest.mark.parametrize(
        "grid",
        [
            Grid(UTM, HERE @ Affine.translation(0.02, 0), 5, 7),
            Grid(UTM, HERE, 5, 8),
            Grid(CRS.from_epsg(32634), HERE, 5, 7),
        ],
        ids=["shifted", "larger", "another system"],
    )
    def test_anything_else_is_resampled(self, grid: Grid, tmp_path: Path) -> None:
        with RasterFile(write(tmp_path / "a.tif", np.zeros((1, 5, 7), "uint8")), onto=grid) as file:
            assert file.warped
            assert file.grid == grid
            assert file.block_shape == (256, grid.width)

    @pytest.mark.parametrize(("ours", "theirs"), [(None, UTM), (UTM, None), (None, None)])
    def test_without_coordinates_sizes_must_agree(self, ours: CRS | None, theirs: CRS | None, tmp_path: Path) -> None:
        path = write(tmp_path / "ä b.tif", np.ones((1, 5, 7), "uint8"), HERE, crs=ours)
        with RasterFile(path, onto=Grid(theirs, HERE @ Affine.translation(3, 3), 5, 7)) as file:
            assert not file.warped
            assert file.read().valid.all()
        having = "neither has" if ours is theirs is None else "only one of them has"
        with pytest.raises(DataError, match=rf"ä b\.tif has 5 x 7 pixels .* 6 x 7, and {having} a coordinate"):
            RasterFile(path, onto=Grid(theirs, HERE, 6, 7))

    @pytest.mark.parametrize(
        ("crs", "transform", "overlaps"),
        [
            (UTM, HERE @ Affine.translation(4, 6), True),
            (UTM, HERE @ Affine.translation(5, 7), False),
            (UTM, HERE @ Affine.translation(-1000, -1000) @ Affine.scale(2000), True),
            (CRS.from_epsg(32634), HERE, False),
            (CRS.from_epsg(4326), Affine(1e-5, 0, 120, 0, -1e-5, -45), False),
            (CRS.from_epsg(4326), Affine(1, 0, 14, 0, -1, 46), True),
        ],
        ids=["corner", "beyond", "far coarser", "another zone", "the other side of the world", "degrees"],
    )
    def test_whether_a_file_lies_on_a_grid(self, crs: CRS, transform: Affine, overlaps: bool, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", np.ones((1, 7, 7), "uint8"), HERE)
        with RasterFile(path, onto=Grid(crs, transform, 3, 4), resampling="nearest") as file:
            assert file.overlaps is overlaps
            assert overlaps or not file.read().valid.any()

    def test_a_small_file_on_a_grid_of_the_whole_world(self, tmp_path: Path) -> None:
        """Far from their zone, most positions have no coordinates in UTM; the file's own are found all the same."""
        path = write(tmp_path / "a.tif", np.full((1, 50, 50), 9, "uint8"), HERE @ Affine.scale(1000))
        grid = Grid(CRS.from_epsg(4326), Affine(0.5, 0, -180, 0, -0.5, 90), 360, 720)
        with RasterFile(path, onto=grid) as file:
            assert file.overlaps
            found = file.read()
        lines = np.indices((360, 720)) + 0.5
        near = np.abs(lines[1] / 2 - 195 - 3) < 5
        near &= np.abs(90 - lines[0] / 2 - 43) < 5
        x, y = transform_points(grid.crs, UTM, lines[1][near] / 2 - 180, 90 - lines[0][near] / 2)
        columns, rows = ~(HERE @ Affine.scale(1000)) @ (np.array(x), np.array(y))
        expected = np.zeros((360, 720), dtype=bool)
        expected[near] = (columns >= 0) & (columns < 50) & (rows >= 0) & (rows < 50)
        assert expected.sum() > 100
        assert (found.valid == expected).all()
        assert (found.values[0][found.valid] == 9).all()

    def test_one_pixel_on_one_pixel(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", np.full((1, 1, 1), 9, "uint8"))
        for resampling in ("nearest", "bilinear"):
            found = read(path, Grid(UTM, HERE @ Affine.translation(0.4, 0.4), 1, 1), resampling)
            assert found.values.tolist() == [[[9]]]
            assert found.valid.tolist() == [[True]]

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).integers(0, 255, (1, 64, 64), dtype="uint8")
        path = write(tmp_path / "a.tif", values, compress="deflate")
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(DataError, match=r"a\.tif"):
            read(path, Grid(UTM, HERE @ Affine.scale(0.5), 128, 128))

    def test_control_points_are_known(self, tmp_path: Path) -> None:
        points = [
            rasterio.control.GroundControlPoint(y, x, 15 + x / 100, 45 - y / 100) for y, x in ((0, 0), (0, 7), (7, 7))
        ]
        path = tmp_path / "a.tif"
        frame = {"driver": "GTiff", "count": 1, "height": 7, "width": 7, "dtype": "uint8"}
        with rasterio.open(path, "w", gcps=points, crs="EPSG:4326", **frame) as file:
            file.write(np.zeros((1, 7, 7), "uint8"))
        with RasterFile(path) as file:
            assert file.control == "ground control points"
            assert file.grid.crs is None
        for transform in (HERE, Affine.identity()):
            with RasterFile(write(tmp_path / "b.tif", np.zeros((1, 2, 2), "uint8"), transform)) as file:
                assert file.control is None
