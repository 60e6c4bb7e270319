"""A map's quality, from a scene that was really computed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from rasterio.crs import CRS

from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.grid import Grid
from terrazzo.scene import PredictSettings
from terrazzo.scene.assemble import FinishedRows, Seam, finished_rows
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import products_of
from terrazzo.scene.quality import SceneQuality, measure_quality
from terrazzo.scene.quality_meter import QualityMeter
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import WindowScores, work

Plan = Callable[..., ScenePlan]
Source = Callable[..., object]

CLASSES = Classes(
    items=(Class(name="wood", colour="#00FF00"), Class(name="water", colour="#0000FF"), Class(name="town"))
)


class Answering:
    """Answers each window with its image plus a number of its own, which shows where windows meet."""

    device = torch.device("cpu")
    lanes = 1

    def __init__(self, quarrel: float) -> None:
        self._quarrel = quarrel

    def __call__(self, group: WindowGroup) -> WindowScores:
        shift = torch.zeros(len(group.windows), 3, 1, 1)
        for number, (row, column) in enumerate(group.windows):
            shift[number, (row + column) % 3] = self._quarrel
        return WindowScores((group.image + shift).softmax(1), steps=0.0, seconds=0.0)


@pytest.fixture
def measure(make_plan: Plan, make_source: Source, tmp_path: Path) -> Callable[..., SceneQuality]:
    def make(
        quarrel: float,
        *,
        layers: tuple[str, ...] = ("confidence",),
        overlap: float = 0.125,
        nodata: int = 0,
        shape: tuple[int, int] = (93, 70),
    ) -> SceneQuality:
        grid = Grid(CRS.from_epsg(32612), Affine(10, 0, 500_000, 0, -10, 4_000_000), *shape)
        plan = make_plan(shape, overlap=overlap, strip_pixels=28, grid=grid)
        y, x = np.mgrid[: shape[0], : shape[1]]
        values = np.stack([np.sin(y / 9), np.cos(x / 7), np.sin((x + y) / 11)]).astype(np.float32) * 2
        valid = np.ones(shape, dtype=bool)
        valid[:nodata] = False
        products = products_of(PredictSettings(layers=layers), classes=3, ignore=255)
        records: dict[int, StripRecord] = {}
        work(
            plan,
            make_source(plan, values, valid),
            plan.strips,
            Answering(quarrel),
            products,
            normalisation=Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3),
            group_size=4,
            header_key="",
            folder=tmp_path,
            done=lambda record: records.__setitem__(record.strip, record),
        )
        seams: list[Seam] = []
        meter = QualityMeter(plan, classes=3, ignore=255)
        for rows in finished_rows(
            plan.strips, records.__getitem__, tmp_path, products, seams=seams, columns=plan.columns
        ):
            meter.add(rows)
        return measure_quality(plan, records, seams, meter, CLASSES)

    return make


def test_windows_that_agree_leave_no_seam(measure: Callable[..., SceneQuality]) -> None:
    found = measure(0.0)
    assert found.disagreement.share == 0
    assert found.seams.classes.ratio == pytest.approx(1, abs=0.25)
    assert found.seams.confidence is not None
    assert found.seams.confidence.ratio == pytest.approx(1, abs=0.25)
    assert sum(one.pixels for one in found.classes) == 93 * 70
    assert sum(one.hectares for one in found.classes) == pytest.approx(93 * 70 / 100, rel=2e-3)
    assert sum(one.share for one in found.classes) == pytest.approx(1)
    assert found.nodata_share == 0
    assert found.fade == 4


def test_windows_that_quarrel_show(measure: Callable[..., SceneQuality]) -> None:
    found = measure(3.0)
    assert found.disagreement.share > 0.5
    assert found.disagreement.compared > 0
    assert found.disagreement.map is not None
    assert found.disagreement.map.values.shape == (7, 5)
    assert not np.isnan(found.disagreement.map.values).any()
    assert found.seams.classes.ratio > 3
    # Windows fit exactly, so that nothing overlaps.
    hard = measure(3.0, overlap=0.0, shape=(96, 64))
    assert hard.seams.classes.ratio > found.seams.classes.ratio
    assert hard.fade == 0
    assert hard.disagreement.share is None


def test_confidence_is_told_where_there_is_a_layer_of_it(measure: Callable[..., SceneQuality]) -> None:
    found = measure(0.0)
    assert found.confidence is not None
    assert sum(found.confidence.histogram) == found.looked_at == 93 * 70
    weighted = sum(one.confidence * one.pixels for one in found.classes) / (93 * 70)
    assert found.confidence.mean == pytest.approx(weighted)
    assert float(np.mean(found.confidence.map.values)) == pytest.approx(weighted, abs=1e-3)
    bare = measure(0.0, layers=())
    assert bare.confidence is None
    assert bare.seams.confidence is None
    assert [one.confidence for one in bare.classes] == [None] * 3
    assert bare.seams.classes == found.seams.classes


def test_nodata_counts_nowhere(measure: Callable[..., SceneQuality]) -> None:
    found = measure(0.0, nodata=40)
    assert found.nodata_share == pytest.approx(40 / 93)
    assert found.looked_at == 53 * 70
    nothing = measure(0.0, nodata=93)
    assert nothing.nodata_share == 1
    assert [one.share for one in nothing.classes] == [None] * 3
    assert nothing.disagreement.share is None


def test_is_json(measure: Callable[..., SceneQuality]) -> None:
    found = measure(1.0)
    text = json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert SceneQuality.model_validate(json.loads(text)) == found


def test_steps(make_plan: Plan) -> None:
    plan = make_plan((20, 20))
    steps = np.full((1, 20, 20), 255, dtype=np.uint8)
    steps[0, :10], steps[0, 10:15] = 20, 35
    target = np.where(steps == 255, 255, 0).astype(np.uint8)
    meter = QualityMeter(plan, classes=3, ignore=255)
    meter.add(FinishedRows(0, {"class": target, "steps": steps}))
    found = measure_quality(plan, {}, [], meter, CLASSES).steps
    assert found is not None
    assert found.histogram == ((2.0, 200), (3.5, 100))
    assert found.mean == pytest.approx(2.5)
    assert np.isnan(found.map.values[19, 0])
    assert found.map.values[0, 0] == 2
