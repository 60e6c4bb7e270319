"""Strips are reckoned to the byte, and maps with their scratch files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from terrazzo.data.normalisation import Normalisation
from terrazzo.scene import PredictSettings
from terrazzo.scene.disk_use import disk_bytes
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import products_of
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import WindowScores, work

Plan = Callable[..., ScenePlan]


class Identity:
    """A network whose scores are what it sees."""

    device = torch.device("cpu")
    lanes = 1

    def __call__(self, group: WindowGroup) -> WindowScores:
        return WindowScores(group.image.clone(), steps=0.0, seconds=0.0)


@pytest.mark.parametrize("layers", [(), ("confidence", "probabilities")])
@pytest.mark.parametrize("shape", [(100, 53), (16, 16), (9, 40)])
def test_strips_take_what_was_reckoned(
    shape: tuple[int, int],
    layers: tuple[str, ...],
    make_plan: Plan,
    make_source: Callable[..., object],
    tmp_path: Path,
) -> None:
    plan = make_plan(shape)
    settings = PredictSettings(layers=layers)
    products = products_of(settings, classes=3, ignore=255)
    values = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    records: list[StripRecord] = []
    work(
        plan,
        make_source(plan, values),
        plan.strips,
        Identity(),
        products,
        normalisation=Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3),
        group_size=2,
        header_key="key",
        folder=tmp_path,
        done=records.append,
    )
    strips, _ = disk_bytes(plan, products, settings, suffix=".tif")
    assert strips == sum(record.size for record in records)
    assert strips == sum(path.stat().st_size for path in tmp_path.glob("*.strip"))


def test_copies_count_and_pictures_need_none(make_plan: Plan) -> None:
    plan = make_plan((100, 100))
    products = products_of(PredictSettings(layers=("confidence",)), classes=3, ignore=255)

    def maps(suffix: str, **settings: object) -> int:
        return disk_bytes(plan, products, PredictSettings(**settings), suffix=suffix)[1]

    assert maps(".tif", overviews=False) == maps(".PNG") == 12_500
    assert maps(".tif") == int(12_500 * 8 / 3)
    assert maps(".PNG", polygons={"format": "gpkg"}) == 12_500 + 20_000
    assert maps(".PNG", polygons={"format": "parquet"}) == 12_500 + 2_500
