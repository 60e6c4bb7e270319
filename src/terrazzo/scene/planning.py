"""All that is known of scenes before they are mapped: checked, probed, and reckoned up; nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.machine import MachineSettings
from terrazzo.scene.budget import Work, budget_of
from terrazzo.scene.contract import resolution_warning
from terrazzo.scene.drift import check_drift
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.inputs.listing import find_entries
from terrazzo.scene.plan import plan_scene
from terrazzo.scene.plan_report import plan_report
from terrazzo.scene.probe import decide
from terrazzo.scene.products import products_of
from terrazzo.scene.promise import promise_warnings
from terrazzo.scene.scenes import map_paths
from terrazzo.scene.settings import PredictSettings

__all__ = ["PlannedScene", "plan_scenes"]


@dataclass(frozen=True)
class PlannedScene:
    """One scene before it is mapped.

    Attributes:
        scene: What is mapped: a file, a folder, an address.
        out: The map.
        rows: Names and values for a reader.
        warnings: What the reader of the map should know.
        refusals: What does not fit, and which setting would.
        host_bytes: Memory of the host at the most.
        device_bytes: Memory of the device at the most; None for a processor.
        disk_bytes: Expected bytes on the disk until the map is complete.
        expected_seconds: Expected time; None where the scene is too small to measure a rate.
    """

    scene: str
    out: Path
    rows: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]
    host_bytes: int
    device_bytes: int | None
    disk_bytes: int
    expected_seconds: float | None


def plan_scenes(
    bundle: Bundle,
    inputs: Sequence[str | Path],
    out: Path,
    *,
    settings: PredictSettings | None = None,
    machine: MachineSettings | None = None,
) -> list[PlannedScene]:
    """Plan scenes as `map_scenes` would map them.

    Args:
        bundle: The network and what it was trained for.
        inputs: Files, SAFE folders, addresses, patterns with `{band}`; folders and patterns of these.
        out: Folder; or a `.tif` or `.png` file where there is one scene.
        settings: How to map.
        machine: What to compute on.

    Raises:
        DataError: An input names nothing, or a scene cannot be read.
        ContractError: A scene does not fit the bundle.
        ConfigError: Settings contradict each other, the bundle, or the format of `out`.
        ModelError: The network cannot be built, or answers wrong shapes.
    """
    settings, machine = settings or PredictSettings(), machine or MachineSettings()
    entries = find_entries(inputs, settings, bundle)
    goals = map_paths(entries, out, settings=settings, bundle=bundle)
    return [_planned(bundle, entry, goal, settings, machine) for entry, goal in zip(entries, goals, strict=True)]


def _planned(
    bundle: Bundle, entry: SceneEntry, goal: Path, settings: PredictSettings, machine: MachineSettings
) -> PlannedScene:
    products = products_of(
        settings, classes=len(bundle.classes), ignore=bundle.classes.ignore, calibration=bundle.calibration
    )
    with entry.open() as opened:
        plan = plan_scene(bundle, opened, settings)
        drift = check_drift(opened, bundle, plan.bands, settings)
        said = (resolution_warning(bundle, opened), drift.warning if drift else None)
        decided = decide(bundle, plan, opened, settings, machine, products)
    budget, notes = budget_of(Work.of(plan, products, decided), settings, goal), decided.report.notes
    return PlannedScene(
        scene=entry.path,
        out=goal,
        rows=(*plan_report(plan, decided, budget), *([("drift", drift.describe())] if drift else ())),
        warnings=tuple(warning for warning in (*said, *promise_warnings(bundle, settings), *notes) if warning),
        refusals=budget.refusals(settings),
        host_bytes=budget.host_bytes,
        device_bytes=budget.device_bytes,
        disk_bytes=sum(budget.disk),
        expected_seconds=budget.seconds,
    )
