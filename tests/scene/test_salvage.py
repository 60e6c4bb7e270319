"""Reading what can be read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.errors import DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster, RasterFile
from terrazzo.scene.salvage import PatientScene, retried

Scene = Callable[..., Path]


class Waits:
    """Notes how long would have been waited."""

    def __init__(self, *, give_up: bool = False) -> None:
        self.seconds: list[float] = []
        self.give_up = give_up

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return self.give_up


def damage(path: Path, *blocks: tuple[int, int]) -> None:
    """Spoil blocks (y, x) of a tiled and deflated TIFF."""
    with rasterio.open(path) as file:
        places = [(int(file.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=1)), y, x) for y, x in blocks]
    content = bytearray(path.read_bytes())
    for offset, _, _ in places:
        content[offset : offset + 20] = b"\xff" * 20
    path.write_bytes(bytes(content))


@pytest.fixture
def tiled(make_scene: Scene) -> Path:
    """A scene of 6 x 5 blocks of 16 pixels."""
    values = np.random.default_rng(2).integers(1, 256, (3, 90, 70)).astype(np.uint8)
    return make_scene("tiled ä.tif", values=values, tiled=True, blockxsize=16, blockysize=16, compress="deflate")


def patient(path: Path, **settings: object) -> tuple[PatientScene, Bands, np.ndarray]:
    with rasterio.open(path) as file:
        values = file.read()
    with RasterFile(path) as opened:
        bands = opened.bands
    given = {"retries": 0, "most": 10**6, "wait": Waits(), **settings}
    return PatientScene(lambda: RasterFile(path), bands, **given), bands, values


def test_a_whole_scene(tiled: Path) -> None:
    scene, _, values = patient(tiled)
    found = scene.read(Window(3, 5, 80, 60))
    scene.close()
    np.testing.assert_array_equal(found.values, values[:, 3:83, 5:65])
    assert found.valid.all()
    assert found.unreadable == ()


@pytest.mark.parametrize("window", [Window(0, 0, 90, 70), Window(16, 0, 32, 70), Window(5, 3, 80, 60)])
def test_a_failure_is_narrowed_down_to_its_blocks(window: Window, tiled: Path) -> None:
    scene, _, values = patient(tiled)
    damage(tiled, (1, 2), (2, 2), (4, 0))
    waits = Waits()
    scene = PatientScene(lambda: RasterFile(tiled), RasterFile(tiled).bands, retries=2, most=10, wait=waits)
    found = scene.read(window)
    scene.close()
    lost = np.zeros((90, 70), dtype=bool)
    for y, x in ((1, 2), (2, 2), (4, 0)):
        lost[16 * y : 16 * y + 16, 16 * x : 16 * x + 16] = True
    lost = lost[window.slices]
    np.testing.assert_array_equal(found.valid, ~lost)
    np.testing.assert_array_equal(found.values[:, ~lost], values[:, *window.slices][:, ~lost])
    assert not found.values[:, lost].any()
    listed = np.zeros((90, 70), dtype=int)
    for one in found.unreadable:
        listed[one.y : one.y + one.height, one.x : one.x + one.width] += 1
        assert "tiled ä.tif" in one.reason
    np.testing.assert_array_equal(listed[window.slices], lost)
    # Each block is tried again after 1 and 2 seconds, and nothing else is.
    assert waits.seconds == [1.0, 2.0] * len(found.unreadable)


def test_what_recovers_is_whole(tiled: Path) -> None:
    _, bands, values = patient(tiled)
    # The whole, four ever smaller parts down to a block, and that block after 1 and 2 seconds.
    down = {"left": 8}

    class Flaky(RasterFile):
        def read(self, window: Window | None = None, bands: Bands | None = None) -> Raster:
            if down["left"]:
                down["left"] -= 1
                raise DataError("the server does not answer")
            return super().read(window, bands)

    waits = Waits()
    scene = PatientScene(lambda: Flaky(tiled), bands, retries=3, most=0, wait=waits)
    found = scene.read(Window(0, 0, 90, 70))
    scene.close()
    np.testing.assert_array_equal(found.values, values)
    assert found.valid.all()
    assert found.unreadable == ()
    assert waits.seconds == [1.0, 2.0, 4.0]


def test_after_too_many_the_rest_is_left_alone(tiled: Path) -> None:
    _, bands, _ = patient(tiled)
    damage(tiled, *((y, x) for y in range(6) for x in range(5)))
    waits = Waits()
    scene = PatientScene(lambda: RasterFile(tiled), bands, retries=1, most=2, wait=waits)
    assert len(scene.read(Window(0, 0, 90, 70)).unreadable) == 3
    scene.close()
    assert waits.seconds == [1.0] * 3


def test_each_failure_opens_the_scene_anew_and_closes_the_old_one(tiled: Path) -> None:
    _, bands, _ = patient(tiled)
    damage(tiled, (0, 0))
    opened: list[RasterFile] = []
    closed: list[RasterFile] = []

    class Watched(RasterFile):
        def close(self) -> None:
            closed.append(self)
            super().close()

    def opener() -> RasterFile:
        opened.append(Watched(tiled))
        return opened[-1]

    scene = PatientScene(opener, bands, retries=1, most=5, wait=Waits())
    scene.read(Window(0, 0, 16, 16))
    assert len(opened) == 3
    scene.close()
    assert len(closed) == len(opened)


def test_a_scene_that_opens_late_or_never(tiled: Path) -> None:
    _, bands, _ = patient(tiled)
    left = [2]

    def opener() -> RasterFile:
        if left[0]:
            left[0] -= 1
            raise DataError("not yet")
        return RasterFile(tiled)

    waits = Waits()
    scene = PatientScene(opener, bands, retries=2, most=0, wait=waits)
    assert scene.scene().grid.shape == (90, 70)
    scene.close()
    assert waits.seconds == [1.0, 2.0]
    left[0] = 9
    with pytest.raises(DataError, match="not yet"):
        PatientScene(opener, bands, retries=2, most=0, wait=waits).scene()


def test_waiting_can_be_given_up() -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        retried(call, retries=5, wait=Waits(give_up=True))
    assert len(calls) == 1


def test_errors_of_another_kind_are_not_tried_again() -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise KeyError("bug")

    with pytest.raises(KeyError):
        retried(call, retries=5, wait=Waits())
    assert len(calls) == 1
