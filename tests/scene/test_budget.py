"""What a job takes, what there is, and what would fit where it does not."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from terrazzo.errors import OutOfMemoryError, SpaceError
from terrazzo.scene import PredictSettings, budget
from terrazzo.scene.budget import Budget, Work, budget_of, require_fitting
from terrazzo.scene.header import Decisions
from terrazzo.scene.memory import memory_bytes
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import products_of
from terrazzo.scene.settings import PolygonSettings

Plan = Callable[..., ScenePlan]
GIB = 2**30

DECISIONS = Decisions(
    device="cpu",
    precision="float32",
    compiled=False,
    threads=1,
    batch_size=8,
    group_size=8,
    strip_pixels=2048,
)


@pytest.fixture
def make_work(make_plan: Plan) -> Callable[..., Work]:
    def make(
        settings: PredictSettings | None = None,
        shape: tuple[int, int] = (3000, 20_000),
        decisions: Decisions = DECISIONS,
        rate: float | None = 10.0,
    ) -> Work:
        products = products_of(settings or PredictSettings(), classes=3, ignore=255)
        plan = make_plan(shape, window=512, dtype="uint8", strip_pixels=2048)
        return Work(plan, products, decisions, window_bytes=40 * 2**20, lanes=2, rate=rate)

    return make


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 8 GiB of free memory and 100 GiB of free disk; this process holds 1 GiB."""
    monkeypatch.setattr(budget, "resident_memory", lambda: GIB)
    monkeypatch.setattr(budget, "free_memory", lambda: 8 * GIB)
    usage = shutil.disk_usage(Path.cwd())
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda _path: usage._replace(free=100 * GIB))


Works = Callable[..., Work]


@pytest.mark.usefixtures("machine")
def test_what_fits_is_not_refused(make_work: Works, tmp_path: Path) -> None:
    settings, work = PredictSettings(), make_work()
    found = budget_of(work, settings, tmp_path / "new" / "map.tif")
    assert found.refusals(settings) == ()
    require_fitting(found, settings)
    assert (found.memory_limit, found.disk_free, found.folder) == (9 * GIB, 100 * GIB, tmp_path)
    (place,) = found.places
    assert place.lanes == 2
    assert found.host_bytes == GIB + memory_bytes(
        work.plan,
        work.products,
        batch_size=8,
        group_size=8,
        lanes=2,
        network_bytes=40 * 2**20,
        readers=place.readers,
    )
    assert found.device_bytes is None


@pytest.mark.usefixtures("machine")
def test_what_memory_cannot_hold_is_refused_with_what_would_fit(make_work: Works, tmp_path: Path) -> None:
    settings = PredictSettings(memory_gib=2.0, layers=("confidence",))
    found = budget_of(make_work(settings), settings, tmp_path / "map.tif")
    (said,) = found.refusals(settings)
    assert said.startswith(f"Mapping needs about {found.host_bytes / GIB:.2f}"[:-1])
    assert "GiB of memory, and predict.memory_gib allows 2.00 GiB. " in said
    assert "predict.batch_size=1 takes" in said
    assert "predict.window=256 takes" in said
    assert "predict.layers=[] takes" in said
    with pytest.raises(OutOfMemoryError, match=r"predict\.batch_size=1 takes"):
        require_fitting(found, settings)


@pytest.mark.usefixtures("machine")
def test_each_named_setting_takes_what_is_said(make_work: Works, tmp_path: Path) -> None:
    settings = PredictSettings(memory_gib=2.0)
    found = budget_of(make_work(settings), settings, tmp_path / "map.tif")
    cures = dict(found._memory_cures(settings))
    single = DECISIONS.model_copy(update={"batch_size": 1, "group_size": 1})
    again = budget_of(make_work(settings, decisions=single), settings, tmp_path / "map.tif")
    assert cures["predict.batch_size=1"] == again.host_bytes < found.host_bytes
    assert "not enough" not in found.refusals(settings)[0]
    bare = PredictSettings(memory_gib=0.5)
    (said,) = budget_of(make_work(bare), bare, tmp_path / "map.tif").refusals(bare)
    assert said.endswith("That is not enough: this process with its network holds 1.00 GiB already.")
    assert again.refusals(settings) == ()


@pytest.mark.usefixtures("machine")
def test_too_little_free_memory_names_how_to_try_all_the_same(
    make_work: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "free_memory", lambda: GIB // 4)
    settings = PredictSettings()
    (said,) = budget_of(make_work(), settings, tmp_path / "map.tif").refusals(settings)
    assert "1.25 GiB are free; predict.memory_gib larger than that tries all the same" in said
    asked = PredictSettings(memory_gib=64)
    assert budget_of(make_work(), asked, tmp_path / "map.tif").refusals(asked) == ()


@pytest.mark.usefixtures("machine")
def test_workers_hold_a_network_each(make_work: Works, tmp_path: Path) -> None:
    alone, shared = PredictSettings(), PredictSettings(workers=3)
    one = budget_of(make_work(), alone, tmp_path / "map.tif")
    three = budget_of(make_work(), shared, tmp_path / "map.tif")
    assert len(three.places) == 3
    assert three.host_bytes > 4 * GIB > one.host_bytes
    bounded = PredictSettings(workers=3, memory_gib=3.5)
    (said,) = budget_of(make_work(), bounded, tmp_path / "map.tif").refusals(bounded)
    assert "predict.workers=1 takes" in said


@pytest.mark.usefixtures("machine")
def test_a_full_disk_is_refused_with_what_would_fit(
    make_work: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda _path: usage)
    settings = PredictSettings(layers=("probabilities",), probability_type="float16", polygons=PolygonSettings())
    found = budget_of(make_work(settings), settings, tmp_path / "map.tif")
    (said,) = found.refusals(settings)
    assert f"and {tmp_path} has 0.01 GiB free" in said
    for setting in (
        "fewer predict.layers",
        "predict.probability_type=uint8",
        "no predict.polygons",
        "predict.overviews=false",
    ):
        assert setting in said
    with pytest.raises(SpaceError, match=r"fewer predict\.layers"):
        require_fitting(found, settings)


@pytest.mark.usefixtures("machine")
def test_a_device_that_is_too_small_is_refused(make_work: Works, tmp_path: Path) -> None:
    cuda = DECISIONS.model_copy(update={"device": "cuda"})
    settings, work = PredictSettings(), make_work(decisions=cuda)
    found = Budget(
        work=work,
        places=budget_of(make_work(), settings, tmp_path / "map.tif").places,
        process_bytes=GIB,
        memory_limit=9 * GIB,
        limited=False,
        device_free=2**27,
        disk=(1, 1),
        disk_free=GIB,
        folder=tmp_path,
        seconds=None,
    )
    assert found.device_bytes == work.device_bytes() > 2**27
    (said,) = found.refusals(settings)
    assert "0.13 GiB are free. predict.batch_size=1 takes" in said
    assert replace(found, device_free=2**40).refusals(settings) == ()


@pytest.mark.usefixtures("machine")
def test_the_time_is_that_of_the_windows_and_of_writing(make_work: Works, tmp_path: Path) -> None:
    settings = PredictSettings()
    found = budget_of(make_work(), settings, tmp_path / "map.tif")
    assert found.seconds is not None
    windows = found.work.plan.windows
    assert windows / 10.0 < found.seconds < windows / 10.0 + 30
    faster = budget_of(make_work(rate=20.0), settings, tmp_path / "map.tif")
    assert faster.seconds is not None
    assert found.seconds - faster.seconds == pytest.approx(windows / 20.0)
    assert budget_of(make_work(rate=None), settings, tmp_path / "map.tif").seconds is None


def test_it_sees_this_machine(make_work: Works, tmp_path: Path) -> None:
    found = budget_of(make_work(shape=(600, 600)), PredictSettings(), tmp_path / "map.tif")
    assert found.process_bytes > 50 * 2**20
    assert found.memory_limit <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") + found.process_bytes
    assert found.disk_free > 0
