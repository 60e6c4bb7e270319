"""Windows from all over a scene, as the network will see them."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import DataError
from terrazzo.geo.raster import Raster
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.reader import read_strips
from terrazzo.scene.sampled_windows import noise_windows, sampled_windows
from terrazzo.scene.window_group import WindowGroup

Make = Callable[..., ScenePlan]
SCALES = Normalisation(mean=(1.0, 2.0, 3.0), std=(0.5, 1.0, 2.0))


@dataclass
class Scene:
    """An open scene in memory."""

    plan: ScenePlan
    values: np.ndarray
    valid: np.ndarray
    sequential: bool = False
    broken: bool = False
    asked: list = field(default_factory=list)
    path: str = "memory"
    block_shape: tuple[int, int] = (16, 16)
    tags: dict = field(default_factory=dict)

    @property
    def grid(self):
        return self.plan.grid

    @property
    def bands(self):
        return self.plan.bands

    def never_missing(self, bands):
        return False

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self, window, bands):
        self.asked.append(window)
        if self.broken:
            raise DataError("a block is damaged")
        rows, columns = window.slices
        assert 0 <= rows.start < rows.stop <= self.plan.grid.height
        assert 0 <= columns.start < columns.stop <= self.plan.grid.width
        return Raster(self.values[:, rows, columns], self.valid[rows, columns], self.plan.grid, bands)


def scene_of(plan: ScenePlan, **changes: object) -> Scene:
    shape = plan.grid.height, plan.grid.width
    values = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    return Scene(plan, values, np.ones(shape, dtype=bool), **changes)


def sampled(scene: Scene, count: int) -> WindowGroup | None:
    return sampled_windows(scene.plan, scene, SCALES, count=count)


@pytest.mark.parametrize(("shape", "margin"), [((70, 90), 0), ((70, 90), 5), ((9, 20), 12)])
def test_windows_are_what_mapping_reads(
    make_plan: Make, make_source: Callable, shape: tuple[int, int], margin: int
) -> None:
    plan = make_plan(shape, margin=margin)
    scene = scene_of(plan)
    scene.valid[:, : shape[1] // 2] = False
    found = sampled(scene, 3)
    assert found is not None
    source = make_source(plan, scene.values, scene.valid)
    mapped = {}
    for item in read_strips(plan, source, plan.strips, SCALES, group_size=1):
        if isinstance(item, WindowGroup):
            mapped[item.windows[0]] = item
    assert len(found.windows) == min(3, len(mapped))
    for number, place in enumerate(found.windows):
        assert torch.equal(found.image[number], mapped[place].image[0])
        assert torch.equal(found.valid[number], mapped[place].valid[0])


def test_they_lie_far_from_each_other_and_are_always_the_same(make_plan: Make) -> None:
    plan = make_plan((300, 300))
    places = sampled(scene_of(plan), 4).windows
    assert places == sampled(scene_of(plan), 4).windows
    rows = sorted(row for row, _ in places)
    assert min(later - earlier for earlier, later in itertools.pairwise(rows)) >= 3


def test_of_a_scene_decoded_from_its_top_they_are_the_first(make_plan: Make) -> None:
    assert sampled(scene_of(make_plan((90, 90)), sequential=True), 3).windows == ((0, 0), (0, 1), (0, 2))


def test_an_empty_scene_is_not_searched_for_ever(make_plan: Make) -> None:
    scene = scene_of(make_plan((300, 300)))
    scene.valid[:] = False
    assert sampled(scene, 2) is None
    assert len(scene.asked) == 64


def test_what_cannot_be_read_is_left_out(make_plan: Make) -> None:
    assert sampled(scene_of(make_plan((30, 30)), broken=True), 2) is None


def test_noise_is_measured_everywhere_and_always_the_same(make_plan: Make) -> None:
    plan = make_plan((30, 40), margin=2)
    found = noise_windows(plan, count=3)
    assert found.image.shape == (3, 3, 20, 20)
    assert bool(found.valid.all())
    assert torch.equal(found.image, noise_windows(plan, count=3).image)
    assert len(found.windows) == 3
