"""From a file to batches: every window is the right pixels, each row is read once, strips are never mixed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.bundle import Bundle
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile
from terrazzo.scene import PredictSettings
from terrazzo.scene.plan import ScenePlan, plan_scene
from terrazzo.scene.reader import StripEnd, WindowBatch, read_scene

Make = Callable[..., Bundle]
Scene = Callable[..., Path]


def planned(bundle: Bundle, scene: Path, **settings: object) -> ScenePlan:
    with RasterFile(scene) as opened:
        return plan_scene(bundle, opened, PredictSettings(**settings))


@pytest.mark.parametrize("shape", [(37, 53), (16, 16), (5, 70), (1, 1)])
@pytest.mark.parametrize("margin", [0, 3, 20])
def test_windows_are_cut_from_the_mirrored_scene(
    shape: tuple[int, int], margin: int, make_bundle: Make, make_scene: Scene
) -> None:
    bundle, scene = make_bundle(), make_scene(shape=shape)
    plan = planned(bundle, scene, margin=margin)
    with rasterio.open(scene) as file:
        values = bundle.normalisation(file.read(), np.ones(shape, dtype=bool))
    reach = [min(margin, length - 1) for length in shape]
    padded = np.pad(values, ((0, 0), (reach[0],) * 2, (reach[1],) * 2), mode="reflect")
    padded = np.pad(padded, ((0, 0), (margin - reach[0],) * 2, (margin - reach[1],) * 2), mode="edge")
    seen = []
    for item in read_scene(plan, bundle.normalisation):
        if isinstance(item, WindowBatch):
            y = plan.rows.starts[item.strip]
            for image, valid, column in zip(item.image, item.valid, item.columns, strict=True):
                x = plan.columns.starts[column]
                window = padded[:, y : y + plan.window_shape[0], x : x + plan.window_shape[1]]
                np.testing.assert_array_equal(image.numpy(), window)
                assert valid.all()
                seen.append((item.strip, column))
    assert seen == [(row, column) for row in range(len(plan.rows)) for column in range(len(plan.columns))]


def test_batches_never_cross_a_strip(make_bundle: Make, make_scene: Scene) -> None:
    bundle, scene = make_bundle(), make_scene(shape=(60, 90))
    plan = planned(bundle, scene, batch_size=4)
    assert len(plan.columns) == 7
    sizes = [
        len(item.columns) if isinstance(item, WindowBatch) else "end" for item in read_scene(plan, bundle.normalisation)
    ]
    assert sizes == [4, 3, "end"] * len(plan.rows)


def test_every_row_is_read_once(make_bundle: Make, make_scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, scene = make_bundle(), make_scene(shape=(100, 20))
    plan = planned(bundle, scene, margin=5)
    asked: list[Window] = []
    read = RasterFile.read

    def look(self: RasterFile, window: Window, bands: object) -> object:
        asked.append(window)
        return read(self, window, bands)

    monkeypatch.setattr(RasterFile, "read", look)
    list(read_scene(plan, bundle.normalisation))
    rows = [row for window in asked for row in range(window.y, window.y + window.height)]
    assert rows == list(range(100))


def test_windows_without_a_valid_pixel_are_left_out_and_counted(make_bundle: Make, make_scene: Scene) -> None:
    pixels = np.full((3, 20, 48), 9, dtype=np.uint8)
    pixels[:, :, :30] = 0
    scene = make_scene(values=pixels, nodata=0)
    bundle = make_bundle()
    plan = planned(bundle, scene, overlap=0.0)
    items = list(read_scene(plan, bundle.normalisation))
    assert [item.columns for item in items if isinstance(item, WindowBatch)] == [(1, 2), (1, 2)]
    ends = [item for item in items if isinstance(item, StripEnd)]
    assert [end.skipped for end in ends] == [1, 1]
    np.testing.assert_array_equal(ends[0].valid, pixels[0, :16] != 0)
    batch = items[0]
    assert isinstance(batch, WindowBatch)
    # The training mean stands where nothing was measured.
    assert (batch.image[0, :, :, :14] == 0).all()
    assert not batch.valid[0, :, :14].any()
