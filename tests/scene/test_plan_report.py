"""A plan tells a reader what is cut how, and what it takes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from terrazzo.scene import PredictSettings
from terrazzo.scene.budget import Budget, Work
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.plan_report import plan_report, short_plan
from terrazzo.scene.probe import Decided, ProbeReport
from terrazzo.scene.products import products_of
from terrazzo.scene.workforce.places import Place

Plan = Callable[..., ScenePlan]
GIB = 2**30

DECISIONS = Decisions(
    device="cpu",
    precision="bfloat16",
    compiled=False,
    threads=1,
    batch_size=2,
    group_size=2,
    strip_pixels=2048,
)
REPORT = ProbeReport(windows=2, measured=True, tried_precision="bfloat16", window_bytes=2**20, lanes=2)


def reckoned(plan: ScenePlan, **changes: object) -> Budget:
    products = products_of(PredictSettings(), classes=3, ignore=255)
    parts = {
        "work": Work(plan, products, DECISIONS, 2**20, 2, 10.0),
        "places": (Place(lanes=2, readers=1),),
        "process_bytes": GIB,
        "memory_limit": 4 * GIB,
        "limited": True,
        "device_free": None,
        "disk": (3 * GIB, GIB),
        "disk_free": 100 * GIB,
        "folder": Path("maps"),
        "seconds": 7322.0,
    }
    return Budget(**{**parts, **changes})


def reported(plan: ScenePlan, **changes: object) -> dict[str, str]:
    # Of what the probe decided the network itself is not looked at.
    decided = Decided(DECISIONS, REPORT, WindowForward.__new__(WindowForward))
    return dict(plan_report(plan, decided, reckoned(plan, **changes)))


def test_every_figure_stands_there(make_plan: Plan) -> None:
    plan = make_plan((3000, 4000), window=512, strip_pixels=1024, margin=8, dtype="uint8")
    found = reported(plan)
    assert list(found) == [
        *("scene", "windows", "strips", "computing", "workers", "to read", "to write", "memory", "disk"),
        "expected time",
    ]
    assert found["scene"] == "3000 x 4000 pixels, bands band 0, band 1, band 2"
    assert found["windows"].startswith(f"{plan.windows} of 528 x 528, overlap at least 0.125 down and 0.125 across")
    assert found["windows"].endswith("margin 8")
    assert found["strips"].startswith(f"{len(plan.strips)} of about ")
    assert "batch 2, 2 side by side" in found["computing"]
    assert found["to read"] == "34.3 MiB, uncompressed"
    assert found["memory"].startswith("1.")
    assert " of 4 GiB: held already 1 GiB, " in found["memory"]
    assert found["disk"] == "4 GiB of 100 GiB free: strips 3 GiB, the rest maps"
    assert found["expected time"] == "2 h 02 min"


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "not measured, the scene is small"), (12.4, "12 s"), (180.0, "3 min")]
)
def test_times(seconds: float | None, said: str, make_plan: Plan) -> None:
    assert reported(make_plan((30, 40)), seconds=seconds)["expected time"] == said


def test_a_device_and_several_workers(make_plan: Plan) -> None:
    plan = make_plan((3000, 4000), window=512)
    found = reported(plan, device_free=8 * GIB, places=(Place(lanes=1, readers=2),) * 3)
    assert found["device memory"].endswith(" of 8 GiB free")
    assert found["workers"] == "3 processes; 1 forward pass and 2 reading threads each"


def test_one_window(make_plan: Plan) -> None:
    assert reported(make_plan((9, 9)))["windows"] == "1 of 9 x 9, no overlap"


def test_one_line(make_plan: Plan) -> None:
    plan = make_plan((3000, 4000), window=512)
    said = short_plan(plan, reckoned(plan))
    assert said.startswith(plan.describe())
    assert said.endswith("of memory, 4 GiB of disk, expected time 2 h 02 min")
