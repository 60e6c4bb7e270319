"""Scenes whose values lie elsewhere than the training's are found, and ordinary ones are not."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.bundle import Bundle
from terrazzo.data.distribution import QUANTILE_SHARES, Distribution, SketchSum, distribution_of, weighted_quantiles
from terrazzo.errors import ContractError
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.contract import fit_bands
from terrazzo.scene.drift import DriftReport, check_drift, scene_drift
from terrazzo.scene.settings import PredictSettings

Make = Callable[..., Bundle]
Scene = Callable[..., Path]

MEANS, SPREADS = np.array([300.0, 500.0, 400.0, 2500.0]), np.array([90.0, 120.0, 150.0, 600.0])
NAMES = ("blue", "green", "red", "nir")


def land(seed: int, *, kind: float = 0.0, size: int = 200) -> np.ndarray:
    """Return four bands of made-up ground: patches of several kinds, `kind` of them shifted from all others."""
    draw = np.random.default_rng(seed)
    coarse = draw.normal(kind, 1, (4, size // 20, size // 20)).repeat(20, axis=1).repeat(20, axis=2)
    values = MEANS[:, None, None] + SPREADS[:, None, None] * (0.8 * coarse + 0.6 * draw.normal(size=(4, size, size)))
    return values.clip(1, 65535).astype(np.uint16)


def trained() -> Distribution:
    sketches, values = [], []
    for seed in range(8):
        image = land(seed)
        found = SketchSum(4, *image.shape[1:])
        found.add(0, image, np.ones(image.shape[1:], dtype=bool))
        sketches.append(found.result())
        values.append(image.reshape(4, -1))
    distribution = distribution_of(sketches, tuple(np.concatenate(values, axis=1).std(axis=1).tolist()))
    assert distribution is not None
    return distribution


@pytest.fixture
def bundle(make_bundle: Make) -> Bundle:
    return make_bundle(bands=NAMES, dtype="uint16", distribution=trained())


@pytest.fixture
def checked(bundle: Bundle, make_scene: Scene) -> Callable[..., DriftReport | None]:
    def check(values: np.ndarray, names: tuple[str, ...] | None = None, **settings: object) -> DriftReport | None:
        path = make_scene(values=values, names=names, photometric="MINISBLACK", alpha="NO")
        asked = PredictSettings(**settings)
        with RasterFile(path) as scene:
            return check_drift(scene, bundle, fit_bands(bundle, scene, positions=asked.bands), asked)

    return check


Checked = Callable[..., DriftReport | None]


def test_an_ordinary_scene_of_the_same_place(checked: Checked, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        report = checked(land(99))
    assert report is not None
    assert report.largest < 0.25
    assert (report.warning, report.note, report.pixels) == (None, None, 200 * 200)
    assert [band.band for band in report.bands] == list(NAMES)
    assert caplog.records == []


def test_a_scene_of_one_kind_of_ground_is_ordinary_too(checked: Checked) -> None:
    values = np.repeat(land(99)[:, :1, :1], 50, axis=1).repeat(50, axis=2)
    values[:] = np.quantile(land(0), 0.7, axis=(1, 2))[:, None, None].astype(np.uint16)
    report = checked(values)
    assert report is not None
    assert report.largest < 0.4


@pytest.mark.parametrize(("order", "positions"), [((3, 1, 2, 0), "4,2,3,1"), ((3, 0, 1, 2), "2,3,4,1")])
def test_swapped_bands_are_found_and_the_right_order_is_named(
    order: tuple[int, ...], positions: str, checked: Checked, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        report = checked(land(99)[list(order)])
    assert report is not None
    assert report.warning is not None
    assert report.largest > 2
    assert f"predict.bands=[{positions}]." in report.warning
    assert 'scène 1.tif: values lie elsewhere than in training, more than predict.largest_drift=0.75: "blue" by' in (
        report.warning
    )
    assert [record.message for record in caplog.records] == [report.warning]
    again = checked(land(99)[list(order)], bands=[int(number) for number in positions.split(",")])
    assert again is not None
    assert again.warning is None


@pytest.mark.parametrize(
    ("factor", "said"), [(0.1, "10 times smaller"), (1 / 257, "255 times smaller"), (10, "10 times")]
)
def test_another_scaling_is_found_and_named(factor: float, said: str, checked: Checked) -> None:
    report = checked((land(99) * factor).clip(0, 65535).astype(np.uint16))
    assert report is not None
    assert report.warning is not None
    assert f"They are about {said}" in report.warning
    assert all(band.drift > 0.5 for band in report.bands)


def test_a_shift_without_a_usual_reason_names_both_medians(checked: Checked) -> None:
    values = land(99)
    values[3] += 1500
    report = checked(values)
    assert report is not None
    middle = QUANTILE_SHARES.index(0.5)
    band = report.bands[3]
    assert report.warning is not None
    assert (
        f'"nir" by {band.drift:.2g} standard deviations (median {band.found[middle]:.5g}, in training' in report.warning
    )
    assert '"red"' not in report.warning
    assert report.warning.endswith("Check units, scaling, atmospheric correction level and band order.")


def test_the_drift_is_the_mean_distance_in_deviations(make_bundle: Make, make_scene: Scene) -> None:
    quantiles = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 255.0)
    distribution = Distribution(quantiles=(quantiles, quantiles), deviation=(20.0, 1.0))
    bundle = make_bundle(bands=("one", "two"), distribution=distribution)
    with RasterFile(make_scene(values=np.full((2, 9, 9), 90, dtype=np.uint8))) as scene:
        band, _ = scene_drift(scene, bundle, scene.bands).bands
    # 60 above 30, 60 above 30, 50 above 40, 50 above 40, 40 above 50.
    assert band.drift == pytest.approx((60 + 60 + 50 + 50 + 40) / 5 / 20)
    assert (band.found, band.trained) == ((90.0,) * 9, quantiles)


def test_refused_where_that_is_asked(checked: Checked) -> None:
    with pytest.raises(ContractError, match=r'"green" by .*predict\.drift=warn'):
        checked(land(99)[[3, 1, 0, 2]] * 3, drift="refuse")
    report = checked(land(99), drift="refuse")
    assert report is not None
    assert report.warning is None


def test_a_larger_limit_lets_it_pass(checked: Checked) -> None:
    values = land(99)
    values[3] += 1500
    report = checked(values, largest_drift=9)
    assert report is not None
    assert report.warning is None


def test_ignored(checked: Checked) -> None:
    assert checked(land(99)[[3, 1, 2, 0]], drift="ignore") is None


def test_a_model_file_without_a_distribution(make_bundle: Make, make_scene: Scene) -> None:
    bundle = make_bundle()
    with RasterFile(make_scene()) as scene:
        report = check_drift(scene, bundle, scene.bands, PredictSettings())
        assert report is not None
        assert report.note == "no drift check: the model file states no distribution of the training's values"
        assert (report.bands, report.largest, report.warning) == ((), 0.0, None)
        with pytest.raises(ContractError, match=r"states no distribution.*predict\.drift is refuse"):
            check_drift(scene, bundle, scene.bands, PredictSettings(drift="refuse"))


def test_a_scene_without_a_valid_pixel(checked: Checked, bundle: Bundle, make_scene: Scene) -> None:
    path = make_scene(values=np.zeros((4, 30, 30), dtype=np.uint16), nodata=0, photometric="MINISBLACK", alpha="NO")
    with RasterFile(path) as scene:
        report = scene_drift(scene, bundle, scene.bands)
    assert report.note == "no drift check: no pixel is valid in the parts of the scene that were looked at"


def test_a_report_is_plain_data(checked: Checked) -> None:
    report = checked(land(99))
    assert report is not None
    assert DriftReport.model_validate_json(report.model_dump_json()) == report


def test_landsat_of_one_place(real_data: Path, make_bundle: Make, tmp_path: Path) -> None:
    """The left half of a real scene stands for training, and the right half is mapped."""
    files = sorted((real_data / "zion_landsat_nlcd").rglob("landsat_b[2-5].tif"))
    assert len(files) == 4
    values = np.concatenate([rasterio.open(path).read() for path in files])
    half = values.shape[2] // 2
    learned = values[:, :, :half]
    kept = (learned != 65535).all(axis=0)
    once = np.ones(int(kept.sum()), dtype=np.int64)
    distribution = Distribution(
        quantiles=tuple(weighted_quantiles(band[kept], once) for band in learned),
        deviation=tuple(float(band[kept].std()) for band in learned),
    )
    bundle = make_bundle(bands=NAMES, dtype="uint16", distribution=distribution)
    path = tmp_path / "right half.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=4, dtype="uint16", height=values.shape[1], width=half, nodata=65535
    ) as file:
        file.write(values[:, :, half : 2 * half])
    with RasterFile(path) as scene:
        ordinary = scene_drift(scene, bundle, scene.bands)
        swapped = check_drift(
            scene, bundle, scene.bands.select([scene.bands.names[i] for i in (3, 1, 2, 0)]), PredictSettings()
        )
    assert ordinary.largest < 0.5
    assert swapped is not None
    assert swapped.warning is not None
    assert "predict.bands=[1,2,3,4]" in swapped.warning
