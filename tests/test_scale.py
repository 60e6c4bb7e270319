"""The simulation of many scenes counts right: what it says of an undisturbed, a failing and a killed job."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

CLUSTER = {
    "workers": 5,
    "window_s": 0.01,
    "latency_s": 0.0,
    "append_s": 0.0,
    "assemblers": 4,
    "assemble_rate": 1e12,
    "strip_bytes": 3.0,
    "failure_h": 1e9,
    "restart_s": 10.0,
    "slow_share": 0.0,
    "hiccup_share": 0.0,
    "slowness": 3.0,
    "seed": 0,
}


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType, ModuleType]:
    """scale.py, simulated_cluster.py and scale_constants.py of the benchmarks."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return tuple(importlib.import_module(name) for name in ("scale", "simulated_cluster", "scale_constants"))


def scenes_of(scale: ModuleType, folder: Path, count: int) -> tuple[list, object, list[Path]]:
    bundle, settings = scale.make_bundle(), scale.PredictSettings()
    paths = scale.write_headers(folder, count, seed=3)
    return scale.plan_all(bundle, paths, settings), bundle, paths


def test_the_page_holds_what_the_figures_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    paper = importlib.import_module("scale_paper")
    page = (BENCHMARKS.parent / "docs" / "scale.md").read_text(encoding="utf-8")
    for name, make in paper.TABLES.items():
        assert "\n".join(make()) in page, f"`python benchmarks/scale_paper.py` prints other {name}"


def test_undisturbed_workers_take_the_ideal_time(modules: tuple, tmp_path: Path) -> None:
    scale, simulated, _ = modules
    scenes, _, _ = scenes_of(scale, tmp_path, 60)
    cluster = simulated.Cluster(**CLUSTER)
    outcome = simulated.Simulation(scenes, {}, cluster, simulated.Ledger(None)).run()
    strips = sum(len(scene.plan.strips) for scene in scenes)
    windows = sum(scene.plan.windows for scene in scenes)
    assert outcome.strips == outcome.deals == strips > 100
    assert outcome.failures == outcome.lost == outcome.copies == outcome.given_up == 0
    assert outcome.useful_s == pytest.approx(windows * 0.01)
    assert 1.0 <= outcome.computed_s * 5 / outcome.useful_s < 1.1


def test_workers_that_fail_and_dawdle_cost_what_is_counted(modules: tuple, tmp_path: Path) -> None:
    scale, simulated, _ = modules
    scenes, _, _ = scenes_of(scale, tmp_path, 25)
    cluster = simulated.Cluster(
        **{**CLUSTER, "failure_h": 0.004, "restart_s": 2.0, "slow_share": 0.3, "hiccup_share": 0.05}
    )
    outcome = simulated.Simulation(scenes, {}, cluster, simulated.Ledger(tmp_path / "journals")).run()
    held = outcome.computed_s * 5
    assert outcome.strips == sum(len(scene.plan.strips) for scene in scenes)
    assert outcome.failures > 3
    assert outcome.lost > 0
    assert outcome.slow_s > 0
    assert outcome.deals <= outcome.strips + outcome.lost + outcome.copies + 5
    assert 0.8 * held < outcome.useful_s + outcome.failed_s + outcome.slow_s + outcome.copies_s < 1.1 * held
    # What is left is maps: every journal was found complete, strip by strip, before it was removed.
    assert sorted(path.name for path in (tmp_path / "journals").iterdir()) == [f"{n:06d}.tif" for n in range(25)]


def test_a_journal_that_lacks_a_strip_is_noticed(modules: tuple, tmp_path: Path) -> None:
    scale, simulated, _ = modules
    scenes, _, _ = scenes_of(scale, tmp_path, 1)
    ledger = simulated.Ledger(tmp_path / "journals")
    ledger.open(scenes[0], set())
    for strip in scenes[0].plan.strips[1:]:
        ledger.append(scenes[0], strip.number)
    with pytest.raises(SystemExit, match="does not hold each strip once"):
        ledger.close(scenes[0])


def test_a_killed_coordinator_goes_on_where_its_journals_end(modules: tuple, tmp_path: Path) -> None:
    scale, simulated, constants = modules
    scenes, bundle, paths = scenes_of(scale, tmp_path, 20)
    rates = dict.fromkeys(("hash_rate", "check_rate", "write_rate", "decode_rate", "window_rate", "map_rate"), 1e8)
    measured = constants.Constants(
        append_s=0.0, slowest_append_s=0.0, record_bytes=1, load_s=0.0, strip_bytes=3.0, map_bytes=0.2, **rates
    )
    cluster = simulated.Cluster(**CLUSTER)
    found = scale.restart(
        scenes, bundle, paths, cluster, measured, folder=tmp_path / "journals", killed_s=12.0,
        settings=scale.PredictSettings(),
    )  # fmt: skip
    strips = sum(len(scene.plan.strips) for scene in scenes)
    assert found.whole > 0
    assert found.kept > 0
    assert found.checked_s > 0
    # Under way with five workers, and the one torn line.
    assert 1 <= found.again <= 6
    assert found.outcome.strips < strips
    assert sorted(path.name for path in (tmp_path / "journals").iterdir()) == [f"{n:06d}.tif" for n in range(20)]


def test_constants_are_measured_on_the_engine_itself(modules: tuple, tmp_path: Path) -> None:
    scale, _, constants = modules
    bundle = scale.make_bundle()
    paths = scale.write_headers(tmp_path, 1, seed=0)
    paths[0].write_text(
        scale.HEADER.format(
            width=600, height=5000, zone=32632, x=0, y=0,
            bands="".join(scale.BAND.format(number=n, colour=c) for n, c in enumerate(("Red", "Green", "Blue"), 1)),
        ),
        encoding="utf-8",
    )  # fmt: skip
    plan = scale.plan_all(bundle, paths, scale.PredictSettings())[0].plan
    found = constants.measure_constants(tmp_path, plan, bundle.normalisation, bundle.classes, appends=3)
    assert all(value > 0 for value in vars(found).values())
    # The class of each pixel, and six classes' float32 scores and a mask of the rows that two strips share.
    shared = sum(edge.stop - edge.start for edge in (plan.strips[1].above, plan.strips[1].below))
    rows = plan.strips[1].below.stop - plan.strips[1].above.start
    assert found.strip_bytes == pytest.approx(1 + shared * 25 / rows, rel=0.1)
    assert list(tmp_path.iterdir()) == [paths[0]]
