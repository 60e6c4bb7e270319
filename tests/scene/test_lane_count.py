"""Passes side by side: one for each core, as memory allows, and one on a GPU."""

import os
from collections.abc import Callable

import pytest

from terrazzo.scene.header import Decisions
from terrazzo.scene.lane_count import lane_count
from terrazzo.scene.memory import memory_bytes
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import products_of
from terrazzo.scene.settings import PredictSettings

PRODUCTS = products_of(PredictSettings(), classes=3, ignore=255)
WINDOW_BYTES = 50_000_000


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))


def lanes(plan: ScenePlan, *, workers: int = 1, room: int = 10**12, **changes: object) -> int:
    plain = {"device": "cpu", "precision": "float32", "compiled": False, "threads": 1, "batch_size": 2}
    decisions = Decisions.model_validate({**plain, "group_size": 2, "strip_pixels": 64, **changes})
    return lane_count(decisions, plan, PRODUCTS, window_bytes=WINDOW_BYTES, room=room, workers=workers)


def test_cores_are_shared_among_workers_and_threads(make_plan: Callable[..., ScenePlan]) -> None:
    plan = make_plan((64, 64))
    assert lanes(plan) == 8
    assert lanes(plan, threads=3) == 2
    assert lanes(plan, workers=2) == 4
    assert lanes(plan, workers=20) == 1
    assert lanes(plan, threads=20) == 1


def test_a_gpu_has_one(make_plan: Callable[..., ScenePlan]) -> None:
    assert lanes(make_plan((64, 64)), device="cuda") == 1


def test_memory_bounds_them(make_plan: Callable[..., ScenePlan]) -> None:
    plan = make_plan((64, 64))

    def needed(count: int) -> int:
        return memory_bytes(plan, PRODUCTS, batch_size=2, group_size=2, lanes=count, network_bytes=WINDOW_BYTES)

    assert lanes(plan, room=needed(3)) == 3
    assert lanes(plan, room=needed(3) - 1) == 2
    assert lanes(plan, workers=2, room=2 * needed(2)) == 2
    assert lanes(plan, room=0) == 1
