"""A sample lies all over the scene, and takes no longer for a large one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster, RasterFile
from terrazzo.scene.spread_sample import (
    FEWEST_PIXELS,
    FEWEST_WINDOWS,
    KEPT_PIXELS,
    ROUNDS,
    SAMPLED_PIXELS,
    spread_sample,
)

BANDS = Bands(items=(Band(name="y", dtype="float32"), Band(name="x", dtype="float32")))


@dataclass
class Places:
    """A scene without a file whose values say where they lie, 0..1 down and across."""

    grid: Grid
    block_shape: tuple[int, int]
    valid_rows: range = range(10**9)
    broken: Callable[[Window], bool] = lambda _window: False
    path: str = "places"
    bands: Bands = BANDS
    sequential: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    seen: list[Window] = field(default_factory=list)

    def never_missing(self, bands: Bands) -> bool:
        return False

    def close(self) -> None:
        pass

    def __enter__(self) -> "Places":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, window: Window, bands: Bands) -> Raster:
        assert window.intersection(self.grid.whole) == window
        self.seen.append(window)
        if self.broken(window):
            raise DataError("broken")
        rows = (window.y + np.arange(window.height)) / self.grid.height
        columns = (window.x + np.arange(window.width)) / self.grid.width
        values = np.stack(np.broadcast_arrays(rows[:, None], columns[None])).astype(np.float32)
        inside = np.zeros(self.grid.height, dtype=bool)
        inside[self.valid_rows.start : self.valid_rows.stop] = True
        valid = np.repeat(inside[window.slices[0]][:, None], window.width, axis=1)
        return Raster(values, valid, self.grid.window(window), bands)


def places(height: int, width: int, block: tuple[int, int], **more: object) -> Places:
    return Places(Grid(None, Affine.identity(), height, width), block, **more)


@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((40_000, 50_000), (512, 512)),
        ((40_000, 50_000), (256, 256)),
        ((40_000, 50_000), (1, 50_000)),
        ((300_000, 700), (1, 700)),
        ((9_000, 200_000), (4096, 4096)),
        ((20_000, 20_000), (20_000, 20_000)),
        ((1, 5_000_000), (1, 5_000_000)),
    ],
)
def test_it_lies_all_over_the_scene_and_is_small(shape: tuple[int, int], block: tuple[int, int]) -> None:
    scene = places(*shape, block)
    down, across = spread_sample(scene, BANDS)
    assert FEWEST_PIXELS / 2 <= len(down) <= 1.5 * KEPT_PIXELS
    read = sum(window.height * window.width for window in scene.seen)
    assert read <= SAMPLED_PIXELS * 1.1
    assert len(scene.seen) <= 512
    assert scene.seen == sorted(scene.seen)
    assert len(set(scene.seen)) == len(scene.seen) >= FEWEST_WINDOWS
    for values, length in zip((down, across), shape, strict=True):
        if length > 1:
            assert np.mean(values) == pytest.approx(0.5, abs=0.12)
            assert np.histogram(values, 3, (0, 1))[0].min() > len(values) / 6


def test_a_small_scene_is_read_whole_once() -> None:
    scene = places(300, 200, (64, 64))
    down, _ = spread_sample(scene, BANDS)
    assert len(down) == 300 * 200
    assert sum(window.height * window.width for window in scene.seen) == 300 * 200


def test_where_little_is_valid_more_is_looked_at() -> None:
    # One block in ninety-seven rows of blocks holds anything.
    scene = places(512 * 97, 512 * 97, (512, 512), valid_rows=range(512 * 20, 512 * 21))
    down, _ = spread_sample(scene, BANDS)
    assert SAMPLED_PIXELS < sum(window.height * window.width for window in scene.seen) <= ROUNDS * SAMPLED_PIXELS
    assert len(set(scene.seen)) == len(scene.seen)
    assert ((down >= 20 / 97 - 1e-6) & (down < 21 / 97)).all()


def test_nothing_valid() -> None:
    assert spread_sample(places(300, 200, (64, 64), valid_rows=range(0)), BANDS).shape == (2, 0)


def test_what_cannot_be_read_is_left_to_whoever_reads_all() -> None:
    scene = places(300, 200, (64, 64), broken=lambda window: window.y == 0)
    down, _ = spread_sample(scene, BANDS)
    assert 0 < len(down) < 300 * 200


def test_a_file_is_read_as_well(make_scene: Callable[..., Path]) -> None:
    with RasterFile(make_scene(shape=(40, 50))) as scene:
        assert np.array_equal(spread_sample(scene, scene.bands), scene.read().values.reshape(3, -1))
