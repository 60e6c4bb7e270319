"""Whether a scene fits: bands by name, by order, by position, and what is refused."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from terrazzo.bundle import Bundle
from terrazzo.errors import ContractError
from terrazzo.geo.bands import Collar
from terrazzo.geo.grid import Grid
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.contract import fit_bands, resolution_warning, target_resolution
from terrazzo.scene.settings import PredictSettings

Make = Callable[..., Bundle]
Scene = Callable[..., Path]


def fitted(bundle: Bundle, scene: Path, positions: tuple[int, ...] | None = None) -> tuple[str, ...]:
    with RasterFile(scene) as opened:
        return fit_bands(bundle, opened, positions=positions).names


def test_by_name_in_the_bundles_order(make_bundle: Make, make_scene: Scene) -> None:
    scene = make_scene(bands=4, names=("Blue", "green", "red", "nir"), photometric="MINISBLACK", alpha="NO")
    assert fitted(make_bundle(bands=("NIR", "red")), scene) == ("nir", "red")


def test_by_order_where_the_scene_has_no_names(make_bundle: Make, make_scene: Scene) -> None:
    scene = make_scene(bands=2)
    assert fitted(make_bundle(bands=("vv", "vh")), scene) == ("gray", "band_2")


def test_by_order_where_the_bundle_has_no_names(make_bundle: Make, make_scene: Scene) -> None:
    scene = make_scene(bands=2, names=("vv", "vh"))
    assert fitted(make_bundle(bands=("band_1", "band_2")), scene) == ("vv", "vh")


def test_by_order_where_some_names_agree_and_none_contradicts(make_bundle: Make, make_scene: Scene) -> None:
    scene = make_scene(bands=3, names=("red", "green", "blue"))
    assert fitted(make_bundle(bands=("red", "band_2", "blue")), scene) == ("red", "green", "blue")


def test_names_that_contradict_are_refused_even_if_the_count_agrees(make_bundle: Make, make_scene: Scene) -> None:
    scene = make_scene(names=("nir", "red", "green"))
    with pytest.raises(
        ContractError, match=r"scène 1\.tif does not fit.*nir, red, green.*missing: blue.*predict\.bands"
    ):
        fitted(make_bundle(), scene)


def test_counts_that_differ_are_refused(make_bundle: Make, make_scene: Scene) -> None:
    with pytest.raises(ContractError, match=r"it has 2 bands .*needs 3"):
        fitted(make_bundle(), make_scene(bands=2))


def test_positions_override_names(make_bundle: Make, make_scene: Scene) -> None:
    scene = make_scene(names=("nir", "red", "green"))
    assert fitted(make_bundle(), scene, (2, 3, 1)) == ("red", "green", "nir")


@pytest.mark.parametrize("positions", [(1, 2), (1, 2, 4), (1, 2, 3, 3)])
def test_positions_that_do_not_exist(positions: tuple[int, ...], make_bundle: Make, make_scene: Scene) -> None:
    with pytest.raises(ContractError, match=r"predict\.bands is .*has 3 bands"):
        fitted(make_bundle(), make_scene(), positions)


def test_another_type_is_refused(make_bundle: Make, make_scene: Scene) -> None:
    with pytest.raises(ContractError, match='band "red" holds uint8, but the model was trained on uint16'):
        fitted(make_bundle(dtype="uint16"), make_scene())


def test_another_stated_scale_is_refused(make_bundle: Make, make_scene: Scene) -> None:
    import rasterio

    scene = make_scene()
    with rasterio.open(scene, "r+") as file:
        file.scales = (1.0, 0.5, 1.0)
    with pytest.raises(ContractError, match=r'band "green" states scale 0\.5 and offset 0'):
        fitted(make_bundle(), scene)


def test_nodata_of_the_bundle_beside_the_files_own(make_bundle: Make, make_scene: Scene) -> None:
    bundle = make_bundle()
    items = tuple(band.model_copy(update={"nodata": 7.0}) for band in bundle.bands)
    bundle = Bundle(**{**vars(bundle), "bands": bundle.bands.model_copy(update={"items": items})})
    values = np.full((3, 2, 3), 50, dtype=np.uint8)
    values[0, 0, 0], values[1, 1, 1] = 7, 3
    with RasterFile(make_scene(values=values, nodata=3)) as scene:
        bands = fit_bands(bundle, scene)
        valid = scene.read(bands=bands).valid
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 1]]


def test_the_bundles_collar_is_missing_in_the_scene_too(make_bundle: Make, make_scene: Scene) -> None:
    bundle = make_bundle()
    collar = Collar(value=0, nodata_tolerance=6)
    bundle = Bundle(**{**vars(bundle), "bands": bundle.bands.model_copy(update={"collar": collar})})
    values = np.full((3, 2, 3), 50, dtype=np.uint8)
    values[:, 0, 0], values[:, 0, 1], values[:, 1, 1] = (0, 6, 3), (0, 7, 0), 0
    with RasterFile(make_scene(values=values)) as scene:
        valid = scene.read(bands=fit_bands(bundle, scene)).valid
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(("trained", "said"), [(0.5, False), (0.6, False), (0.65, False), (0.7, True), (0.39, True)])
def test_resolution_is_compared(
    trained: float, said: bool, make_bundle: Make, make_scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), RasterFile(make_scene()) as scene:
        message = resolution_warning(make_bundle(resolution_m=trained), scene)
    assert (message is not None) is said
    assert [record.message for record in caplog.records] == ([message] if said else [])


def test_unknown_resolutions_are_not_compared(make_bundle: Make, make_scene: Scene) -> None:
    with RasterFile(make_scene()) as scene:
        assert resolution_warning(make_bundle(resolution_m=None), scene) is None


def grid(metres: float) -> Grid:
    return Grid(CRS.from_epsg(32612), Affine(metres, 0, 300_000, 0, -metres, 4_100_000), 10, 20)


@pytest.mark.parametrize(("metres", "target"), [(0.5, None), (0.6, None), (0.4, None), (0.63, 0.5), (10.0, 0.5)])
def test_a_scene_of_other_pixels_is_resampled_where_that_is_asked(
    metres: float, target: float | None, make_bundle: Make
) -> None:
    bundle = make_bundle(resolution_m=0.5)
    asked = PredictSettings(resolution="resample")
    assert target_resolution(bundle, grid(metres), asked, name="a") == target
    assert target_resolution(bundle, grid(metres), PredictSettings(), name="a") is None


def test_a_scene_of_other_pixels_is_refused_where_that_is_asked(make_bundle: Make) -> None:
    bundle, asked = make_bundle(resolution_m=0.5), PredictSettings(resolution="refuse")
    assert target_resolution(bundle, grid(0.6), asked, name="a") is None
    with pytest.raises(ContractError, match=r"a\.tif has pixels of 0\.63 m.*on 0\.5 m.*predict\.resolution=resample"):
        target_resolution(bundle, grid(0.63), asked, name="a.tif")


@pytest.mark.parametrize("setting", ["resample", "refuse"])
def test_a_scene_that_does_not_say_how_large_its_pixels_are(setting: str, make_bundle: Make) -> None:
    nowhere = Grid(None, Affine.identity(), 10, 20)
    asked = PredictSettings(resolution=setting)
    with pytest.raises(ContractError, match=r"a\.png does not say how large its pixels are.*predict\.resolution=warn"):
        target_resolution(make_bundle(resolution_m=0.5), nowhere, asked, name="a.png")
    assert target_resolution(make_bundle(resolution_m=None), nowhere, asked, name="a.png") is None
    assert target_resolution(make_bundle(resolution_m=0.5), nowhere, PredictSettings(), name="a.png") is None
