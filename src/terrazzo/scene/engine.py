"""From a scene to a map: planned, probed, computed strip by strip by one worker or many, joined once all is there."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rasterio

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError, OutOfMemoryError
from terrazzo.machine import MachineSettings
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.assemble import FinishedRows, Seam
from terrazzo.scene.contract import resolution_warning
from terrazzo.scene.drift import check_drift
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.inputs.georeference import scene_georeference
from terrazzo.scene.inputs.listing import scene_entry
from terrazzo.scene.joining import Joining
from terrazzo.scene.journal import Journal, journal_folder
from terrazzo.scene.layers import provenance
from terrazzo.scene.mapped import Mapped
from terrazzo.scene.mapping import Clock, SceneMapping
from terrazzo.scene.outputs import Goal, beside_of, goals_of, open_outputs, write_item
from terrazzo.scene.plan import ScenePlan, plan_scene
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.promise import promise_warnings
from terrazzo.scene.quality import measure_quality
from terrazzo.scene.quality_meter import QualityMeter
from terrazzo.scene.receipt import Receipt, receipt_path
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.writer import Georeference, require_can_hold
from terrazzo.storage import locked, require_space, sweep

__all__ = ["map_scene"]


def map_scene(
    bundle: Bundle,
    scene: Path | SceneEntry,
    out: Path,
    *,
    settings: PredictSettings | None = None,
    machine: MachineSettings | None = None,
    listener: Listener = silent,
    stop: threading.Event | None = None,
) -> Mapped:
    """Map one scene; the map appears whole or not at all.

    Memory depends on the scene's width, the window and the classes, not on the scene's height. What is finished lies in
    a folder beside the map until that is complete: after a kill, a full disk or Ctrl-C the same call goes on there. A
    map that an earlier call has finished is kept where nothing has changed.

    Args:
        bundle: The network and what it was trained for.
        scene: Any raster that GDAL reads, or a scene of several files.
        out: The map: `.tif`, or `.png` for a picture without georeference.
        settings: How to map.
        machine: What to compute on.
        listener: Hears of the progress.
        stop: Once set, no further strip is begun; signals say so too in the main thread.

    Raises:
        DataError: The scene cannot be read, or not to its end.
        ContractError: The scene does not fit the bundle.
        ConfigError: Settings contradict each other, the bundle or the format of `out`.
        ModelError: The network answered wrong shapes or values that are no numbers.
        StorageError: The map cannot be written, or the disk has too little room.
        LockedError: Another process works on this map.
        StoppedError: Ctrl-C; says how far it came.
        WorkerError: Worker processes ended again and again.
    """
    settings, machine = settings or PredictSettings(), machine or MachineSettings()
    clock = Clock()
    entry = scene if isinstance(scene, SceneEntry) else scene_entry(str(scene), settings, bundle)
    with entry.open() as opened:
        plan = plan_scene(bundle, opened, settings)
        warnings = [*entry.notes, *filter(None, (resolution_warning(bundle, opened),))]
        warnings += promise_warnings(bundle, settings)
        tags = opened.tags
    if str(out.resolve()) in {str(Path(file).resolve()) for file in entry.files}:
        raise ConfigError(f"The map {out} would replace its own scene; choose another place.")
    products = products_of(
        settings, classes=len(bundle.classes), ignore=bundle.classes.ignore, calibration=bundle.calibration
    )
    georeference = scene_georeference(entry)
    for goal, layer in goals_of(bundle, products, settings, {}, out).values():
        require_can_hold(goal, layer, georeference)
    folder = journal_folder(out)
    with (
        Progress(f"map {entry.name}", listener=listener, total=plan.windows, unit="windows") as progress,
        locked(folder),
        _kept(Journal(folder)) as journal,
    ):
        job = SceneMapping(bundle, entry, plan, products, settings, machine, out, stop, journal, progress, clock)
        if not settings.force and (before := job.finished_before()) is not None:
            return before
        # What a killed start has left takes the room that is asked for next.
        sweep(out.parent)
        _require_room(plan, products, out, entry)
        with clock.stage("probe"), entry.open() as opened:
            drift = check_drift(opened, bundle, plan.bands, settings)
        if drift is not None:
            progress.note(drift.describe())
            warnings += filter(None, (drift.warning,))
        for warning in warnings:
            progress.note(warning)
        made = _made(job, georeference)
        goals, notes, meter = made.goals, made.notes, made.meter
        layers = {name: goal for name, (goal, _) in goals.items() if name != "class"} | beside_of(out, settings)
        if settings.stac and (item := write_item(goals, entry, georeference, settings, notes=notes, tags=tags)):
            layers["stac"] = item
        quality = measure_quality(plan, journal.records, made.seams, meter, bundle.classes, drift=drift)
        summary = job.summary(layers, meter, made.resumed, warnings)
        Receipt.of(summary, quality, header=job.header, settings=settings, notes=notes, records=journal.records).write(
            out
        )
    return Mapped(summary, quality, notes)


@dataclass(frozen=True)
class _Made:
    """A map whose files are complete.

    Attributes:
        goals: Its files by product.
        notes: Its provenance.
        meter: What was learned of it on the way.
        seams: How strips agree where they meet.
        resumed: Strips that an earlier start had finished.
    """

    goals: dict[str, Goal]
    notes: dict[str, str]
    meter: QualityMeter
    seams: list[Seam]
    resumed: frozenset[int]


def _made(job: SceneMapping, georeference: Georeference) -> _Made:
    """Compute every strip and join them; once more with a smaller batch where memory was exhausted."""
    resumed = job.begin()
    while True:
        try:
            return _tried(job, georeference, resumed)
        except OutOfMemoryError as error:
            job.begin_smaller(error)
            resumed = frozenset()


def _tried(job: SceneMapping, georeference: Georeference, resumed: frozenset[int]) -> _Made:
    """Compute strips as they were decided, and join each as soon as those above it are there."""
    bundle, plan, settings = job.bundle, job.plan, job.settings
    notes = provenance(bundle, job.entry, settings, job.header.decisions)
    goals = goals_of(bundle, job.products, settings, notes, job.out)
    meter = QualityMeter(plan, classes=len(bundle.classes), ignore=bundle.classes.ignore)
    with contextlib.ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=plan.cache_bytes))
        write = stack.enter_context(open_outputs(goals, plan.grid, georeference, settings, classes=bundle.classes))

        def take(rows: FinishedRows) -> None:
            write(rows)
            meter.add(rows)

        joining = stack.enter_context(Joining(plan, job.journal, job.products, take))
        with job.clock.stage("compute"):
            job.compute(joining.look)
        with job.clock.stage("write"):
            joining.finish()
            # What says that the map is finished goes before the map does.
            receipt_path(job.out).unlink(missing_ok=True)
            # The files become whole and appear.
            stack.close()
    return _Made(goals, notes, meter, joining.seams, resumed)


def _require_room(plan: ScenePlan, products: Products, out: Path, entry: SceneEntry) -> None:
    """Refuse a disk that could not hold the map even if nothing of it can be compressed."""
    pixels = plan.grid.height * plan.grid.width
    require_space(out.parent, pixels * products.pixel_bytes, f"the map of {entry.name}")


@contextlib.contextmanager
def _kept(journal: Journal) -> Iterator[Journal]:
    """Remove the journal's folder once the map is complete, or where nothing in it is worth keeping."""
    try:
        yield journal
    except BaseException:
        if not journal.records:
            shutil.rmtree(journal.folder, ignore_errors=True)
        raise
    shutil.rmtree(journal.folder, ignore_errors=True)
