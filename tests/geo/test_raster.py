"""Rasters on disk, generated and real."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

from terrazzo.errors import ContractError, DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster, RasterFile

TRANSFORM = Affine(0.5, 0, 2_500_000, 0, -0.5, 7_400_000)


def write(path: Path, values: np.ndarray, *, kinds: list[ColorInterp] | None = None, **profile: Any) -> Path:
    """Write an array (band, y, x) as a raster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptions = profile.pop("descriptions", None)
    mask = profile.pop("mask", None)
    colormap = profile.pop("colormap", None)
    settings = {"driver": "GTiff", "crs": CRS.from_epsg(2953), "transform": TRANSFORM, **profile}
    count, height, width = values.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", count=count, height=height, width=width, dtype=values.dtype, **settings
        ) as target:
            target.write(values)
            if kinds:
                target.colorinterp = kinds
            if colormap:
                target.write_colormap(1, colormap)
            if mask is not None:
                target.write_mask(mask)
            for number, description in enumerate(descriptions or (), 1):
                target.set_band_description(number, description)
    return path


def counting(count: int, height: int, width: int, dtype: str = "uint8") -> np.ndarray:
    return np.arange(1, 1 + count * height * width).reshape(count, height, width).astype(dtype)


def read(path: Path, **settings: Any) -> Raster:
    with RasterFile(path) as file:
        return file.read(**settings)


class TestPixels:
    """Values and where they lie."""

    @pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
    def test_values_come_as_they_are(self, dtype: str, tmp_path: Path) -> None:
        values = counting(2, 3, 5, dtype)
        found = read(write(tmp_path / "a.tif", values))
        assert found.values.dtype == np.dtype(dtype)
        assert (found.values == values).all()
        assert found.valid.all()
        assert found.valid.shape == (3, 5)
        assert {band.dtype for band in found.bands} == {dtype}

    def test_sixteen_bits_are_not_cut(self, tmp_path: Path) -> None:
        values = np.array([[[0, 255, 256, 65535]]], dtype="uint16")
        assert read(write(tmp_path / "a.tif", values)).values.tolist() == [[[0, 255, 256, 65535]]]

    @pytest.mark.parametrize("name", ["Fläche 1.tif", "地図/衛星 画像.tif", "a'b (copy) #2.tif", "tile 1:2.tif"])
    def test_any_name_will_do(self, name: str, tmp_path: Path) -> None:
        path = write(tmp_path / name, counting(1, 2, 2))
        assert read(path).values.shape == (1, 2, 2)
        with RasterFile(str(path)) as file:
            assert file.path == str(path)

    def test_a_raster_of_one_pixel(self, tmp_path: Path) -> None:
        found = read(write(tmp_path / "a.tif", np.full((3, 1, 1), 7, "uint8")))
        assert found.values.tolist() == [[[7]], [[7]], [[7]]]
        assert found.grid.bounds == (2_500_000, 7_399_999.5, 2_500_000.5, 7_400_000)

    def test_a_window_brings_its_pixels_and_its_grid(self, tmp_path: Path) -> None:
        values = counting(2, 6, 8)
        found = read(write(tmp_path / "a.tif", values), window=Window(1, 3, 4, 2))
        assert (found.values == values[:, 1:5, 3:5]).all()
        assert found.grid == Grid(CRS.from_epsg(2953), TRANSFORM @ Affine.translation(3, 1), height=4, width=2)

    def test_windows_of_tiles_build_the_whole(self, tmp_path: Path) -> None:
        values = counting(1, 37, 50, "uint16")
        path = write(tmp_path / "a.tif", values, tiled=True, blockxsize=16, blockysize=16)
        built = np.zeros((37, 50), "uint16")
        with RasterFile(path) as file:
            assert file.block_shape == (16, 16)
            for window in file.grid.tiles(13):
                built[window.slices] = file.read(window).values[0]
        assert (built == values[0]).all()

    @pytest.mark.parametrize(
        "window", [Window(-1, 0, 2, 2), Window(0, 0, 7, 1), Window(5, 7, 1, 2), Window(9, 9, 1, 1)]
    )
    def test_a_window_that_leaves_the_raster_is_refused(self, window: Window, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", counting(1, 6, 8))
        with pytest.raises(ContractError, match=r"a\.tif: .* leaves the raster of 6 x 8"):
            read(path, window=window)

    def test_no_coordinate_system_is_no_warning(self, tmp_path: Path) -> None:
        path = write(tmp_path / "photo.png", counting(3, 4, 4), driver="PNG", crs=None, transform=Affine.identity())
        with RasterFile(path) as file:
            assert file.grid.crs is None
            assert file.grid.transform == Affine.identity()
            assert file.grid.resolution_m is None
            assert file.read().bands.names == ("red", "green", "blue")

    def test_tags_can_be_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", counting(1, 2, 2))
        with rasterio.open(path, "r+") as target:
            target.update_tags(SENSOR="OLI")
        with RasterFile(path) as file:
            assert file.tags["SENSOR"] == "OLI"


class TestBands:
    """What the bands are called, and choosing among them."""

    @pytest.mark.parametrize(
        ("descriptions", "names"),
        [
            (["Red", " NIR ", "swir 1"], ("red", "nir", "swir 1")),
            (["red", "red", "nir"], ("band_1", "band_2", "nir")),
            (["B", "b", "c"], ("band_1", "band_2", "c")),
            (["band_2", None, "band_1"], ("band_1", "band_2", "band_3")),
            ([None, "höhe", ""], ("band_1", "höhe", "band_3")),
        ],
    )
    def test_descriptions_name_bands_once(
        self, descriptions: list[str], names: tuple[str, ...], tmp_path: Path
    ) -> None:
        kinds = [ColorInterp.undefined] * 3
        path = write(tmp_path / "a.tif", counting(3, 2, 2), descriptions=descriptions, kinds=kinds)
        assert read(path).bands.names == names

    def test_colours_name_bands_without_description(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", counting(3, 2, 2), photometric="RGB", descriptions=[None, None, "haze"])
        assert read(path).bands.names == ("red", "green", "haze")

    def test_a_gray_image_has_one_band(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.png", counting(1, 3, 3), driver="PNG", crs=None, transform=Affine.identity())
        assert read(path).bands.names == ("gray",)

    def test_chosen_bands_come_in_the_order_asked_for(self, tmp_path: Path) -> None:
        values = counting(4, 2, 3, "uint16")
        path = write(tmp_path / "a.tif", values, descriptions=["blue", "green", "red", "nir"])
        with RasterFile(path) as file:
            found = file.read(bands=file.bands.select(["nir", "blue"]))
        assert (found.values == values[[3, 0]]).all()
        assert found.bands.names == ("nir", "blue")

    def test_a_band_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", counting(2, 2, 2), descriptions=["red", "nir"])
        with pytest.raises(ContractError, match=r'called "nri"; the bands are red, nir. Did you mean "nir"'):
            read(path, bands=Bands(items=(Band(name="nri"),)))

    def test_selecting_from_a_raster_keeps_its_validity(self, tmp_path: Path) -> None:
        values = counting(2, 2, 2)
        whole = read(write(tmp_path / "a.tif", values, descriptions=["red", "nir"], nodata=1))
        part = whole.select(["nir"])
        assert (part.values == values[[1]]).all()
        assert part.bands.names == ("nir",)
        assert part.valid.tolist() == [[False, True], [True, True]]

    def test_unit_scale_and_offset_are_kept(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", counting(1, 2, 2, "uint16"), nodata=65535)
        with rasterio.open(path, "r+") as target:
            target.scales, target.offsets, target.units = (0.0001,), (-0.1,), ("reflectance",)
        band = read(path).bands.items[0]
        assert (band.scale, band.offset, band.unit) == (0.0001, -0.1, "reflectance")
        assert (band.nodata, band.dtype) == (65535, "uint16")


class TestValidity:
    """Where every band was measured."""

    def test_nodata_in_any_band_makes_the_pixel_invalid(self, tmp_path: Path) -> None:
        values = np.full((2, 2, 2), 5, "uint16")
        values[0, 0, 0] = values[1, 1, 1] = 65535
        found = read(write(tmp_path / "a.tif", values, nodata=65535))
        assert found.valid.tolist() == [[False, True], [True, False]]

    def test_only_the_chosen_bands_count(self, tmp_path: Path) -> None:
        values = np.full((2, 1, 2), 5, "uint16")
        values[1, 0, 0] = 0
        path = write(tmp_path / "a.tif", values, nodata=0, descriptions=["red", "nir"])
        with RasterFile(path) as file:
            assert file.read(bands=file.bands.select(["red"])).valid.tolist() == [[True, True]]
            assert file.read(bands=file.bands.select(["nir"])).valid.tolist() == [[False, True]]

    @pytest.mark.parametrize("nodata", [None, float("nan"), -9999.0])
    def test_what_is_not_finite_is_invalid_whatever_nodata_is(self, nodata: float | None, tmp_path: Path) -> None:
        values = np.array([[[1.0, np.nan, np.inf, -np.inf, -9999.0]]], "float32")
        found = read(write(tmp_path / "a.tif", values, nodata=nodata))
        assert found.valid.tolist() == [[True, False, False, False, nodata != -9999.0]]
        assert found.bands.items[0].nodata == (None if nodata is None or np.isnan(nodata) else nodata)

    def test_nodata_that_the_band_names_counts_beside_the_files(self, tmp_path: Path) -> None:
        values = np.array([[[0, 7, 255]]], "uint8")
        path = write(tmp_path / "a.tif", values, nodata=255, descriptions=["red"])
        bands = Bands(items=(Band(name="red", nodata=0),))
        assert read(path, bands=bands).valid.tolist() == [[False, True, False]]

    def test_nodata_outside_the_type_matches_nothing(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", counting(1, 2, 2), descriptions=["red"])
        assert read(path, bands=Bands(items=(Band(name="red", nodata=-9999),))).valid.all()

    def test_the_least_float32_as_nodata(self, tmp_path: Path) -> None:
        least = float(np.finfo("float32").min)
        values = np.array([[[least, 1.0]]], "float32")
        assert read(write(tmp_path / "a.tif", values, nodata=least)).valid.tolist() == [[False, True]]

    def test_a_mask_band_counts(self, tmp_path: Path) -> None:
        mask = np.array([[255, 0], [255, 255]], "uint8")
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            path = write(tmp_path / "a.tif", counting(3, 2, 2), mask=mask)
        assert read(path).valid.tolist() == [[True, False], [True, True]]

    @pytest.mark.parametrize("position", [0, 3])
    def test_transparency_is_known_by_its_meaning_not_its_place(self, position: int, tmp_path: Path) -> None:
        kinds = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
        kinds.insert(position, ColorInterp.alpha)
        values = counting(4, 2, 2)
        values[position] = [[0, 255], [255, 1]]
        path = write(tmp_path / "a.tif", values, kinds=kinds)
        with RasterFile(path) as file:
            assert file.alpha == position + 1
            found = file.read()
        assert found.bands.names == ("red", "green", "blue")
        assert found.valid.tolist() == [[False, True], [True, True]]
        assert (found.values == np.delete(values, position, axis=0)).all()

    def test_a_fourth_band_without_that_meaning_is_a_measurement(self, tmp_path: Path) -> None:
        values = counting(4, 2, 2)
        values[3] = 0
        kinds = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined]
        path = write(tmp_path / "a.tif", values, photometric="RGB", alpha="no", kinds=kinds)
        with RasterFile(path) as file:
            assert file.alpha is None
            assert file.read().valid.all()
            assert file.bands.names == ("red", "green", "blue", "band_4")

    def test_a_described_band_is_none_although_gdal_calls_it_alpha(self, tmp_path: Path) -> None:
        values = counting(4, 2, 2)
        values[3] = [[0, 7], [0, 9]]
        names = ["red", "green", "blue", "nir"]
        path = write(tmp_path / "a.tif", values, descriptions=names)
        with rasterio.open(path) as source:
            assert source.colorinterp[3] == ColorInterp.alpha  # what GDAL writes where nobody says otherwise
        with RasterFile(path) as file:
            assert file.alpha is None
            assert file.bands.names == ("red", "green", "blue", "nir")
            raster = file.read()
        assert raster.valid.all()
        assert (raster.values == values).all()

    def test_nothing_but_transparency_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tif", counting(1, 2, 2), kinds=[ColorInterp.alpha])
        with pytest.raises(DataError, match="no band but transparency"):
            read(path)


class TestPalette:
    """Images whose values stand for colours."""

    @pytest.mark.parametrize("driver", ["GTiff", "PNG"])
    def test_values_stay_indices_beside_their_colours(self, driver: str, tmp_path: Path) -> None:
        frame = {} if driver == "GTiff" else {"crs": None, "transform": Affine.identity()}
        colours = {0: (60, 16, 152, 255), 1: (110, 193, 228, 255)}
        path = write(tmp_path / "a", np.array([[[0, 1, 1]]], "uint8"), driver=driver, colormap=colours, **frame)
        with RasterFile(path) as file:
            assert file.colormap is not None
            assert file.colormap[0] == colours[0]
            assert file.colormap[1] == colours[1]
            assert file.read().values.tolist() == [[[0, 1, 1]]]

    def test_other_images_have_none(self, tmp_path: Path) -> None:
        with RasterFile(write(tmp_path / "a.tif", counting(3, 2, 2))) as file:
            assert file.colormap is None


class TestDamage:
    """Files that cannot be read."""

    @pytest.mark.parametrize("content", [None, b"", b"not a raster", b"II*\x00\x08\x00\x00\x00"])
    def test_what_is_no_raster_is_named(self, content: bytes | None, tmp_path: Path) -> None:
        path = tmp_path / "Bild 1.tif"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match=r"Bild 1\.tif cannot be read as a raster"):
            RasterFile(path)

    def test_a_folder_is_no_raster(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="cannot be read"):
            RasterFile(tmp_path)

    @pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
    def test_a_truncated_file_is_an_error_not_a_hole(self, suffix: str, tmp_path: Path) -> None:
        values = np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype("uint8")
        if suffix == ".tif":
            path = write(tmp_path / "a.tif", values, compress="deflate")
        else:
            driver = {".png": "PNG", ".jpg": "JPEG"}[suffix]
            path = write(tmp_path / f"a{suffix}", values, driver=driver, crs=None, transform=Affine.identity())
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=rf"a\{suffix}"):
            read(path)

    def test_a_changed_byte_in_a_png_is_an_error_not_other_pixels(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype("uint8")
        path = write(tmp_path / "a.png", values, driver="PNG", crs=None, transform=Affine.identity())
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataError, match="checksum of chunk IDAT"):
            read(path)

    def test_a_closed_file_reads_no_more(self, tmp_path: Path) -> None:
        file = RasterFile(write(tmp_path / "a.tif", counting(1, 2, 2)))
        assert len(file.bands) == 1
        file.close()
        with pytest.raises(DataError, match="cannot be decoded"):
            file.read()


class TestRealImagery:
    """Other people's files."""

    def test_landsat_nodata_is_65535(self, real_data: Path, tmp_path: Path) -> None:
        with RasterFile(real_data / "zion_landsat_nlcd" / "raster" / "landsat_b4.tif") as file:
            assert (file.grid.height, file.grid.width) in {(1128, 1428), (1428, 1128)}
            assert file.grid.crs == CRS.from_epsg(32612)
            assert file.grid.resolution_m == pytest.approx(30, rel=0.01)
            found = file.read()
        assert found.bands.items[0].nodata == 65535
        assert found.bands.items[0].dtype == "uint16"
        assert found.valid.all()
        holed = found.values.copy()
        holed[0, 100:200, 50:60] = 65535
        again = read(write(tmp_path / "holed.tif", holed, nodata=65535, crs=found.grid.crs))
        assert (~again.valid).sum() == 1000
        assert not again.valid[100:200, 50:60].any()

    @pytest.mark.parametrize(("tile", "is_palette"), [("Tile 2", True), ("Tile 4", True), ("Tile 1", False)])
    def test_dubai_masks_are_palettes_or_colours(self, tile: str, is_palette: bool, real_data: Path) -> None:
        with RasterFile(real_data / "dubai" / tile / "masks" / "image_part_001.png") as file:
            found = file.read()
            assert (file.colormap is not None) is is_palette
            assert len(found.bands) == (1 if is_palette else 3)
            if file.colormap is not None:
                present = {file.colormap[index][:3] for index in np.unique(found.values)}
                building_or_land = {(0x3C, 0x10, 0x98), (0x84, 0x29, 0xF6)}
                assert present & building_or_land

    def test_the_cloud_chip_has_no_coordinate_system(self, real_data: Path) -> None:
        path = next((real_data / "cloud38_sample").glob("nir*.TIF"))
        found = read(path)
        assert found.grid.crs is None
        assert found.values.dtype == np.uint16
        assert found.values.shape == (1, 384, 384)
