"""Scenes whose bands lie in files of their own."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.bundle import Bundle
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.raster import RasterFile
from terrazzo.machine import MachineSettings
from terrazzo.scene import PredictSettings, map_scenes
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.inputs.joined import joined
from terrazzo.scene.inputs.stacked import band_entries, safe_entries

_PRODUCTS = Path(__file__).parents[2] / "data" / "sources" / "safe_products.py"
_spec = importlib.util.spec_from_file_location("safe_products", _PRODUCTS)
assert _spec is not None
assert _spec.loader is not None
products = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(products)

Make = Callable[..., Bundle]
Write = Callable[..., Path]
OLD = "S2B_MSIL2A_20190201T102211_N0211_R065_T32TQM_20190201T121150"


def wanted(*names: str, offset: float = -0.1, scale: float = 1e-4) -> Bands:
    return Bands(items=tuple(Band(name=name, dtype="uint16", scale=scale, offset=offset, nodata=0.0) for name in names))


def pixels(entry: SceneEntry, bands: Bands) -> np.ndarray:
    with entry.open() as opened:
        found = opened.read(entry.grid.whole, bands)
    assert not found.valid[0, 0]
    return np.unique(found.values[:, found.valid])


class TestProducts:
    """SAFE folders."""

    def test_only_the_wanted_bands_on_the_finest_of_their_grids(self, tmp_path: Path) -> None:
        product = products.write_product(tmp_path / "Szenen ä")
        (entry,) = safe_entries(str(product), wanted("B04", "B11"), named=True)
        assert entry.bands.names == ("B04", "B11")
        assert (entry.grid.shape, entry.grid.resolution_m) == ((24, 24), 10.0)
        assert entry.name == product.stem
        assert entry.path == str(product)
        assert [Path(file).name[-11:] for file in entry.files] == ["B04_10m.jp2", "B11_20m.jp2", "SCL_20m.jp2"]
        (coarse,) = safe_entries(str(product), wanted("b11"), named=True)
        assert (coarse.bands.names, coarse.grid.resolution_m) == (("B11",), 20.0)
        assert SceneEntry.model_validate_json(entry.model_dump_json()) == entry

    def test_all_bands_where_they_are_taken_by_position(self, tmp_path: Path) -> None:
        product = products.write_product(tmp_path)
        (entry,) = safe_entries(str(product), wanted("B04"), named=False)
        assert len(entry.bands) == 12
        (other,) = safe_entries(str(product), wanted("ndvi"), named=True)
        assert len(other.bands) == 12

    @pytest.mark.parametrize("baseline", ["03.01", "04.00"])
    @pytest.mark.parametrize("offset", [0.0, -0.1])
    def test_values_are_those_of_the_training_whatever_the_baseline(
        self, baseline: str, offset: float, tmp_path: Path
    ) -> None:
        product = products.write_product(tmp_path, baseline=baseline)
        bands = wanted("red", "nir", offset=offset)
        (entry,) = safe_entries(str(product), bands, named=True)
        assert entry.bands.names == ("red", "nir")
        assert {(band.scale, band.offset) for band in entry.bands} == {(1e-4, offset)}
        # A reflectance of a quarter.
        assert pixels(entry, bands).tolist() == [2500 if offset == 0 else 3500]

    def test_plain_numbers_are_left_for_the_contract_to_refuse(self, tmp_path: Path) -> None:
        product = products.write_product(tmp_path)
        (entry,) = safe_entries(str(product), wanted("red", offset=0.0, scale=1.0), named=True)
        assert (entry.bands.items[0].scale, entry.bands.items[0].offset) == (1e-4, -0.1)

    def test_clouds_are_missing(self, tmp_path: Path) -> None:
        classes = np.full((12, 12), 4, dtype=np.uint8)
        classes[6, 3] = 9
        product = products.write_product(tmp_path, classes=classes)
        (entry,) = safe_entries(str(product), wanted("red"), named=True)
        with entry.open() as opened:
            found = opened.read(entry.grid.whole, wanted("red"))
        assert [tuple(map(int, place)) for place in np.argwhere(~found.valid)] == [
            (0, 0),
            (12, 6),
            (12, 7),
            (13, 6),
            (13, 7),
        ]

    def test_products_of_two_baselines_make_one_mosaic(self, tmp_path: Path) -> None:
        bands = wanted("red")
        both = [
            entry
            for product in (
                products.write_product(tmp_path, baseline="04.00"),
                products.write_product(tmp_path, OLD, baseline="02.11"),
            )
            for entry in safe_entries(str(product), bands, named=True)
        ]
        mosaic = joined(both, order="first", name="m")
        assert pixels(mosaic, bands).tolist() == [3500]

    def test_a_product_that_lacks_a_band(self, tmp_path: Path) -> None:
        product = products.write_product(tmp_path)
        for path in product.rglob("*_B04_*.jp2"):
            path.unlink()
        with pytest.raises(DataError, match="lacks B04") as error:
            safe_entries(str(product), wanted("red"), named=True)
        assert "data.source" not in str(error.value)
        (entry,) = safe_entries(str(product), wanted("green"), named=True)
        assert entry.bands.names == ("green",)

    def test_advice_is_for_mapping(self, tmp_path: Path) -> None:
        product = products.write_product(tmp_path)
        with pytest.raises(DataError, match=r"SAFE: level L2A has no band .B10."):
            safe_entries(str(product), wanted("cirrus"), named=True)
        for path in product.rglob("*_SCL_*.jp2"):
            path.unlink()
        with pytest.raises(DataError, match=r"lacks its scene classification .* download it whole") as error:
            safe_entries(str(product), wanted("red"), named=True)
        assert "data.source" not in str(error.value)

    def test_a_map_of_a_product(self, make_bundle: Make, machine: MachineSettings, tmp_path: Path) -> None:
        product = products.write_product(tmp_path / "in")
        plain = make_bundle(bands=("red", "nir"), dtype="uint16", resolution_m=10.0)
        bundle = replace(plain, bands=wanted("red", "nir"))
        settings = PredictSettings(quick_look=0, stac=False, report=False)
        (mapped,) = map_scenes(bundle, [tmp_path / "in"], tmp_path / "out", settings=settings, machine=machine)
        assert mapped.summary.out.name == f"{product.stem}.tif"
        with rasterio.open(mapped.summary.out) as file:
            found = file.read(1)
            assert file.crs.to_epsg() == 32632
        assert (found[0, 0], (found == 255).sum()) == (255, 1)


class TestBandFiles:
    """Files named after their bands."""

    def test_real_scene(self, real_data: Path) -> None:
        pattern = str(real_data / "zion_landsat_nlcd" / "raster" / "landsat_{band}.tif")
        bands = Bands(items=tuple(Band(name=name, dtype="uint16") for name in ("B5", "B3")))
        (entry,) = band_entries(pattern, bands, named=True)
        assert entry.bands.names == ("b5", "b3")
        assert entry.grid.shape == (1428, 1128)
        with entry.open() as opened:
            found = opened.read(entry.grid.whole, entry.bands)
        for plane, name in zip(found.values, ("b5", "b3"), strict=True):
            with RasterFile(pattern.replace("{band}", name)) as file:
                alone = file.read()
            np.testing.assert_array_equal(plane[found.valid], alone.values[0][found.valid])
            assert not (found.valid & ~alone.valid).any()

    def test_resolutions_come_onto_the_finest(self, write_raster: Write) -> None:
        write_raster("s c/LC08_B4.TIF", np.full((1, 10, 10), 30, "uint16"), size=30.0)
        path = write_raster("s c/LC08_B8.TIF", np.full((1, 20, 20), 15, "uint16"), size=15.0)
        (entry,) = band_entries(str(path.parent / "LC08_{band}.TIF"), wanted("B4", "B8"), named=True)
        assert (entry.grid.shape, entry.bands.names, entry.name) == ((20, 20), ("B4", "B8"), "LC08")
        with entry.open() as opened:
            found = opened.read(entry.grid.whole, entry.bands)
        assert [set(np.unique(plane)) for plane in found.values] == [{30}, {15}]

    def test_several_scenes_and_relative_patterns(
        self, write_raster: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for scene in ("a", "b"):
            for band in ("red", "nir", "qa"):
                write_raster(f"in/{scene}_{band}.tif", np.ones((1, 4, 4), "uint16"))
        monkeypatch.chdir(tmp_path)
        entries = band_entries("in/*_{band}.tif", wanted("nir", "red"), named=True)
        assert [(entry.name, entry.bands.names) for entry in entries] == [("a", ("nir", "red")), ("b", ("nir", "red"))]
        assert all(Path(file).is_absolute() for entry in entries for file in entry.files)
        everything = band_entries("in/*_{band}.tif", wanted("x"), named=True)
        assert everything[0].bands.names == ("nir", "qa", "red")

    def test_what_names_nothing(self, tmp_path: Path, write_raster: Write) -> None:
        write_raster("in/x.tif", np.ones((1, 4, 4), "uint8"))
        with pytest.raises(DataError, match=r"no file below .*; 1 raster files lie there, such as x\.tif"):
            band_entries(str(tmp_path / "in" / "LC08_{band}.tif"), wanted("red"), named=True)
        with pytest.raises(DataError, match="there is no folder"):
            band_entries(str(tmp_path / "gone" / "LC08_{band}.tif"), wanted("red"), named=True)

    def test_a_scene_that_lacks_a_band(self, tmp_path: Path, write_raster: Write) -> None:
        for name in ("a_red", "a_nir", "b_red"):
            write_raster(f"in/{name}.tif", np.ones((1, 4, 4), "uint16"))
        with pytest.raises(DataError, match=r"b lacks band nir\. Check the names\.") as error:
            band_entries(str(tmp_path / "in" / "*_{band}.tif"), wanted("red", "nir"), named=True)
        assert "data.source" not in str(error.value)
