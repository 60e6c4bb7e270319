"""A scene as plain data: it opens alike wherever it was sent, on its own grid or on another."""

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from shapely import box

from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.inputs.area import SceneInArea
from terrazzo.scene.inputs.entry import SceneEntry, SceneGrid
from terrazzo.scene.inputs.joined import joined
from terrazzo.scene.inputs.mosaic import OpenMosaic
from terrazzo.scene.inputs.part import OpenPart
from terrazzo.scene.inputs.single import file_entry

Write = Callable[..., Path]
Noise = Callable[..., np.ndarray]
ROTATED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(20) @ Affine.scale(1, -1)


@pytest.mark.parametrize(
    "crs",
    [
        None,
        CRS.from_epsg(2953),
        CRS.from_proj4("+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84 +units=m"),
        CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]'),
    ],
)
def test_grids_come_back(crs: CRS | None) -> None:
    grid = Grid(crs, Affine(0.1, 1e-9, 2_500_000.123456789, 0, -0.1, 7.4e6), 3, 4)
    again = SceneGrid.model_validate_json(SceneGrid.of(grid).model_dump_json()).grid()
    assert (again.transform, again.shape) == (grid.transform, grid.shape)
    assert again.crs == grid.crs


def test_what_is_sent_opens_alike(write_raster: Write, noise: Noise, tmp_path: Path) -> None:
    one = file_entry(str(write_raster("ä 1.tif", noise(3, 20, 20), nodata=5)), whole=True)
    two = file_entry(str(write_raster("2.tif", noise(3, 20, 20, seed=4), x=500_010)), whole=True)
    mosaic = joined([one, two], order="last", name="m")
    vectors = tmp_path / "a.gpkg"
    gpd.GeoDataFrame(geometry=[box(500_003, 4_999_980, 500_025, 4_999_990)], crs="EPSG:32632").to_file(vectors)
    inside = mosaic.model_copy(update={"area": vectors})
    for entry, kind in ((one, OpenPart), (mosaic, OpenMosaic), (inside, SceneInArea)):
        again = SceneEntry.model_validate_json(entry.model_dump_json())
        assert again == entry
        assert again.fingerprint == entry.fingerprint
        with entry.open() as here, again.open() as there:
            assert isinstance(there, kind)
            assert (here.grid, here.bands, here.path) == (there.grid, there.bands, there.path)
            before, after = here.read(entry.grid.whole, entry.bands), there.read(entry.grid.whole, entry.bands)
        np.testing.assert_array_equal(before.values, after.values)
        np.testing.assert_array_equal(before.valid, after.valid)
    assert len({one.fingerprint, mosaic.fingerprint, inside.fingerprint}) == 3
    assert inside.files == (*one.files, *two.files, str(vectors))


@pytest.mark.parametrize("transform", [Affine(1, 0, 500_000, 0, 1, 5_000_000), ROTATED], ids=["south up", "rotated"])
def test_south_up_and_rotated_scenes_keep_their_grid(transform: Affine, write_raster: Write, noise: Noise) -> None:
    path = write_raster("a.tif", noise(3, 12, 9), transform=transform)
    entry = file_entry(str(path), whole=True)
    with entry.open() as opened, RasterFile(path) as file:
        assert opened.grid == file.grid
        np.testing.assert_array_equal(opened.read(Window(2, 3, 5, 6), entry.bands).values, noise(3, 12, 9)[:, 2:7, 3:])


class TestAtResolution:
    """The same place with pixels of another size."""

    def test_coarser_pixels_are_means(self, write_raster: Write) -> None:
        values = np.kron(np.arange(1, 26).reshape(1, 5, 5), np.ones((1, 4, 4))).astype("uint8")
        entry = file_entry(str(write_raster("a.tif", values)), whole=True).at_resolution(4.0)
        assert (entry.grid.shape, entry.grid.resolution_m, entry.own_grid) == ((5, 5), 4.0, False)
        with entry.open() as opened, RasterFile(entry.files[0], onto=entry.grid) as file:
            found, expected = opened.read(entry.grid.whole, entry.bands), file.read()
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.valid.all()
        # A coarse pixel's mean reaches half a pixel into its neighbours.
        assert np.abs(found.values[0].astype(int) - np.arange(1, 26).reshape(5, 5)).max() <= 1

    @pytest.mark.parametrize("metres", [0.37, 1.3, 2.71, 1000.0])
    @pytest.mark.parametrize("transform", [None, ROTATED])
    def test_every_pixel_has_a_value_at_any_size(
        self, metres: float, transform: Affine | None, write_raster: Write, noise: Noise
    ) -> None:
        path = write_raster("a.tif", noise(1, 21, 34), transform=transform)
        entry = file_entry(str(path), whole=True).at_resolution(metres)
        assert entry.parts[0].window == entry.grid.whole
        with entry.open() as opened:
            assert isinstance(opened, OpenPart)
            valid = opened.read(entry.grid.whole, entry.bands).valid
        # The last row and column may lie half a pixel beyond the file.
        assert valid[: max(len(valid) - 1, 0), : max(valid.shape[1] - 1, 0)].all()

    def test_a_mosaic_is_resampled_once(self, write_raster: Write) -> None:
        flat = [np.full((1, 30, 30), value, "uint8") for value in (10, 90)]
        paths = write_raster("1.tif", flat[0]), write_raster("2.tif", flat[1], x=500_030)
        whole = joined([file_entry(str(path), whole=True) for path in paths], order="first", name="m")
        entry = whole.at_resolution(4.0)
        assert entry.grid.shape == (8, 15)
        with entry.open() as opened:
            found = opened.read(Window(0, 0, 7, 15), entry.bands)
        assert found.valid.all()
        assert (found.values[0, :, :7] == 10).all()
        assert (found.values[0, :, 8:] == 90).all()

    def test_the_same_size_changes_nothing(self, write_raster: Write, noise: Noise) -> None:
        entry = file_entry(str(write_raster("a.tif", noise(1, 5, 5))), whole=True)
        assert entry.at_resolution(1.0) is entry

    def test_a_scene_without_place_has_no_size(self, write_raster: Write, noise: Noise) -> None:
        entry = file_entry(str(write_raster("a.tif", noise(1, 5, 5), crs=None)), whole=True)
        with pytest.raises(DataError, match=r"a\.tif does not say how large its pixels are"):
            entry.at_resolution(1.0)


def test_bands_are_asked_for_by_name(write_raster: Write, noise: Noise) -> None:
    entry = file_entry(str(write_raster("a.tif", noise(2, 3, 3), names=("nir", "red"))), whole=True)
    with entry.open() as opened:
        red = opened.read(entry.grid.whole, Bands(items=(Band(name="red"),)))
    np.testing.assert_array_equal(red.values, noise(2, 3, 3)[1:])
