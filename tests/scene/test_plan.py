"""What a scene will take is known before anything is computed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from terrazzo.bundle import Bundle
from terrazzo.data.augment.geometry import Resize
from terrazzo.errors import ConfigError
from terrazzo.geo.raster import RasterFile
from terrazzo.scene import PredictSettings
from terrazzo.scene.plan import ScenePlan, plan_scene

Make = Callable[..., Bundle]
Scene = Callable[..., Path]


def planned(bundle: Bundle, scene: Path, **settings: object) -> ScenePlan:
    with RasterFile(scene) as opened:
        return plan_scene(bundle, opened, PredictSettings(**settings))


def test_windows_and_bytes(make_bundle: Make, make_scene: Scene) -> None:
    plan = planned(make_bundle(), make_scene(), strip_pixels=16)
    assert (plan.rows.starts, plan.columns.starts) == ((0, 11, 21), (0, 12, 25, 37))
    assert plan.windows == 12
    assert plan.window_shape == (16, 16)
    assert plan.pixel_bytes == 3
    assert plan.bytes_read == 37 * 53 * 3
    assert plan.classes == 3
    assert "37 x 53 pixels in 12 windows of 16 x 16, 3 strips" in plan.describe()


def test_settings_override_the_bundle(make_bundle: Make, make_scene: Scene) -> None:
    plan = planned(make_bundle(), make_scene(), window=20, stride=15, margin=2, strip_pixels=30)
    assert (plan.rows.size, plan.rows.stride, plan.margin) == (20, 15, 2)
    assert [strip.rows for strip in plan.strips] == [range(2), range(2, 3)]
    assert plan.window_shape == (24, 24)


def test_overlap_and_stride_contradict() -> None:
    with pytest.raises(ValueError, match="not both"):
        PredictSettings(overlap=0.1, stride=5)


@pytest.mark.parametrize(
    "settings", [{"overlap": 0.6}, {"overlap": -0.1}, {"window": 0}, {"margin": -1}, {"bands": [0]}]
)
def test_settings_out_of_range(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        PredictSettings(**settings)


def test_a_trained_resize_needs_its_own_window(make_bundle: Make, make_scene: Scene) -> None:
    bundle = make_bundle(resize=Resize(height=8, width=24))
    assert planned(bundle, make_scene()).window_shape == (16, 16)
    assert planned(bundle, make_scene(), window=16).window_shape == (16, 16)
    for settings in ({"window": 15}, {"margin": 2}):
        with pytest.raises(ConfigError, match="resizes patches of 16 pixels to 8 x 24"):
            planned(bundle, make_scene(), **settings)
