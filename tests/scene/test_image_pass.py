"""What is measured on whole images holds for maps: the same scores, to the last bit."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.bundle import Bundle
from terrazzo.geo.raster import Raster
from terrazzo.machine import MachineSettings
from terrazzo.scene import PredictSettings, map_scene
from terrazzo.scene.image_pass import ImagePass, PassImage
from terrazzo.scene.inputs.listing import scene_entry
from terrazzo.scene.reader import Unreadable
from terrazzo.scene.rows import FileRows, SceneRows

Make = Callable[..., Bundle]
Scene = Callable[..., Path]


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (37, 53), (64, 16)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_rows_are_those_of_the_map(
    shape: tuple[int, int],
    overlap: float,
    make_bundle: Make,
    make_scene: Scene,
    machine: MachineSettings,
    tmp_path: Path,
) -> None:
    values = np.random.default_rng(2).integers(0, 256, (3, *shape)).astype(np.uint8)
    values[:, shape[0] // 2 : shape[0] // 2 + 20, : shape[1] // 3] = 0
    scene, bundle = make_scene(values=values, nodata=0), make_bundle("probe_convolution")
    settings = PredictSettings(overlap=overlap, layers=("probabilities",), probability_type="float16", strip_pixels=20)
    mapped = map_scene(bundle, scene, tmp_path / "map.tif", settings=settings, machine=machine).summary
    passing = ImagePass(bundle, settings, machine)
    entry = scene_entry(str(scene), settings, bundle)
    with entry.open() as opened:
        grid, bands = opened.grid, opened.bands
    probabilities = np.zeros((3, *shape), dtype=np.float16)
    valid = np.zeros(shape, dtype=bool)
    seen = 0
    with SceneRows(entry.open, bands) as source:
        for rows in passing.rows(PassImage("scene", grid, bands, source)):
            assert rows.y == seen
            seen += rows.valid.shape[0]
            found = passing.products.probabilities(rows.scores).numpy()
            probabilities[:, rows.y : seen] = found.astype(np.float16)
            valid[rows.y : seen] = rows.valid
    assert seen == shape[0]
    with rasterio.open(mapped.layers["probabilities"]) as file:
        of_map = file.read()
    with rasterio.open(mapped.out) as file:
        classes = file.read(1)
    np.testing.assert_array_equal(valid, classes != 255)
    np.testing.assert_array_equal(probabilities[:, valid], of_map[:, valid])


class Watched:
    """Rows of a scene that note which thread asked for them."""

    def __init__(self, inner: FileRows) -> None:
        self.threads: set[str] = set()
        self._inner = inner

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        self.threads.add(threading.current_thread().name)
        yield from self._inner.rows(top, bottom)

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        return self._inner.take_unreadable()


@pytest.mark.parametrize(("side", "alone"), [(9, True), (90, False)])
def test_a_single_window_is_answered_in_the_callers_own_thread(
    side: int, alone: bool, make_bundle: Make, make_scene: Scene, machine: MachineSettings
) -> None:
    """A server answers many small images at once: threads of each would only wait for each other."""
    bundle = make_bundle("probe_constant")
    settings = PredictSettings(batch_size=1)
    entry = scene_entry(str(make_scene(shape=(side, side))), settings, bundle)
    passing = ImagePass(bundle, settings, machine)
    with entry.open() as opened:
        source = Watched(FileRows(opened, opened.bands))
        image = PassImage("scene", opened.grid, opened.bands, source)
        # What is decided first reads windows too.
        passing.forward(passing.plan(image), image)
        source.threads.clear()
        list(passing.rows(image))
    assert (source.threads == {threading.current_thread().name}) is alone


def test_windows_where_nothing_counts_are_not_computed(
    make_bundle: Make, make_scene: Scene, machine: MachineSettings
) -> None:
    scene, bundle = make_scene(shape=(40, 60)), make_bundle("probe_constant")
    settings = PredictSettings(overlap=0.0)
    entry = scene_entry(str(scene), settings, bundle)
    with entry.open() as opened:
        grid, bands = opened.grid, opened.bands
    with SceneRows(entry.open, bands) as source:
        image = PassImage("scene", grid, bands, source, wanted=lambda rows, columns: columns.start < 10)
        rows = list(ImagePass(bundle, settings, machine).rows(image))
    scores = np.concatenate([one.scores.numpy() for one in rows], axis=1)
    assert scores.shape == (3, 40, 60)
    assert (scores[:, :, :10].sum(axis=0) > 0.99).all()
    assert not scores[:, :, 20:].any()
