"""What is learned of a map while it is written, against the whole map in memory."""

from collections.abc import Callable

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from terrazzo.geo.grid import Grid
from terrazzo.scene import quality_meter
from terrazzo.scene.assemble import FinishedRows
from terrazzo.scene.pixel_area import row_areas
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.quality_meter import QualityMeter

Plan = Callable[..., ScenePlan]


def measured(plan: ScenePlan, chunk: int = 9, *, ignore: int = 255, **layers: np.ndarray) -> QualityMeter:
    meter = QualityMeter(plan, classes=3, ignore=ignore)
    for y in range(0, plan.grid.height, chunk):
        meter.add(FinishedRows(y, {name: values[None, y : y + chunk] for name, values in layers.items()}))
    return meter


@pytest.fixture
def layers() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    missing = generator.random((60, 50)) < 0.2
    found = {
        "class": generator.integers(0, 3, (60, 50)),
        "confidence": generator.integers(80, 255, (60, 50)),
        "steps": generator.integers(10, 60, (60, 50)),
    }
    return {name: np.where(missing, 255, values).astype(np.uint8) for name, values in found.items()}


@pytest.mark.parametrize("chunk", [1, 9, 60])
def test_small_maps_are_looked_at_whole(chunk: int, layers: dict[str, np.ndarray], make_plan: Plan) -> None:
    meter = measured(make_plan((60, 50)), chunk, **layers)
    valid = layers["class"] != 255
    for number in range(3):
        inside = layers["class"] == number
        assert meter.class_pixels[number] == meter.looked_at[number] == inside.sum()
        assert meter.confidence_sums[number] == layers["confidence"][inside].sum()
    np.testing.assert_array_equal(meter.confidence_counts, np.bincount(layers["confidence"][valid], minlength=255))
    np.testing.assert_array_equal(meter.steps_counts, np.bincount(layers["steps"][valid], minlength=255))
    assert meter.confidence is not None
    np.testing.assert_allclose(meter.confidence.means(1.0)[valid], layers["confidence"][valid])
    assert np.isnan(meter.confidence.means(1.0)[~valid]).all()
    assert meter.class_square_metres is None


@pytest.mark.parametrize("code", [4326, 32612])
def test_ground_is_the_sum_over_rows(code: int, layers: dict[str, np.ndarray], make_plan: Plan) -> None:
    transform = Affine(0.1, 0, 5, 0, -0.1, 70) if code == 4326 else Affine(10, 0, 500_000, 0, -10, 4_000_000)
    grid = Grid(CRS.from_epsg(code), transform, 60, 50)
    meter = measured(make_plan((60, 50), grid=grid), **layers)
    areas = row_areas(grid)
    assert areas is not None
    assert meter.class_square_metres is not None
    expected = [((layers["class"] == number).sum(axis=1) * areas).sum() for number in range(3)]
    np.testing.assert_allclose(meter.class_square_metres, expected, rtol=1e-6)


def test_large_maps_are_counted_whole_and_looked_at_in_rows(
    layers: dict[str, np.ndarray], make_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_meter, "ROWS_LOOKED_AT", 20)
    monkeypatch.setattr(quality_meter, "COARSE_SIDE", 10)
    found = [measured(make_plan((60, 50)), chunk, **layers) for chunk in (1, 7, 60)]
    for meter in found:
        assert meter.class_pixels.sum() == (layers["class"] != 255).sum()
        assert meter.looked_at.sum() == (layers["class"][::3] != 255).sum()
        np.testing.assert_array_equal(meter.confidence_counts, found[0].confidence_counts)
        assert meter.seams.energy("class") == found[0].seams.energy("class")
        assert meter.confidence is not None
        assert meter.confidence.means(1.0).shape == (10, 9)
    square = layers["confidence"][6:12:3, 6:12]
    np.testing.assert_allclose(found[0].confidence.means(1.0)[1, 1], square[square != 255].mean())


def test_many_classes_are_counted_alike(make_plan: Plan) -> None:
    target = np.random.default_rng(0).integers(0, 60, (60, 50)).astype(np.uint8)
    target[target == 59] = 255
    meter = QualityMeter(make_plan((60, 50)), classes=59, ignore=255)
    meter.add(FinishedRows(0, {"class": target[None]}))
    np.testing.assert_array_equal(meter.class_pixels, [(target == number).sum() for number in range(59)])
    np.testing.assert_array_equal(meter.looked_at, meter.class_pixels)


def test_classes_of_16_bits(make_plan: Plan) -> None:
    target = np.full((20, 20), 65535, dtype=np.uint16)
    target[3, 4:9] = 2
    meter = measured(make_plan((20, 20)), ignore=65535, **{"class": target})
    assert meter.class_pixels.tolist() == [0, 0, 5]
    assert meter.confidence is None
    assert meter.steps is None
