"""From a scene to a map: planned, probed, computed strip by strip by one worker or many, joined once all is there."""

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import rasterio

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError, OutOfMemoryError
from terrazzo.machine import MachineSettings, configure
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.assemble import Seam, finished_rows
from terrazzo.scene.budget import Work, budget_of, require_fitting
from terrazzo.scene.contract import resolution_warning
from terrazzo.scene.drift import check_drift
from terrazzo.scene.exhaustion import halved
from terrazzo.scene.header import Header, Request
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.inputs.georeference import scene_georeference
from terrazzo.scene.inputs.listing import scene_entry
from terrazzo.scene.journal import Journal, journal_folder
from terrazzo.scene.layers import provenance
from terrazzo.scene.outputs import beside_of, goals_of, open_outputs, write_item
from terrazzo.scene.plan import ScenePlan, plan_scene
from terrazzo.scene.plan_report import short_plan
from terrazzo.scene.probe import Decided, decide
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.promise import promise_warnings
from terrazzo.scene.quality import SceneQuality, measure_quality
from terrazzo.scene.quality_meter import QualityMeter
from terrazzo.scene.request import request_of
from terrazzo.scene.rows import SceneRows
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.summary import SceneSummary
from terrazzo.scene.workforce.choice import choose_workforce
from terrazzo.scene.workforce.finishing import finish_strips
from terrazzo.scene.workforce.job import SceneJob, loaded_plugins
from terrazzo.scene.workforce.places import count_workers, places_of
from terrazzo.scene.workforce.resume import check_strips
from terrazzo.scene.writer import require_can_hold
from terrazzo.storage import locked, require_space

__all__ = ["Mapped", "map_scene"]

BUNDLE_FILE = "bundle.safetensors"
"""The model in the journal's folder, for workers that load it themselves."""


@dataclass(frozen=True)
class Mapped:
    """A finished map, with what a report of its quality is made from.

    Attributes:
        summary: What it came to.
        quality: What the map says of itself.
        notes: How it came about, as its files' tags say.
    """

    summary: SceneSummary
    quality: SceneQuality
    notes: Mapping[str, str]


@dataclass
class _Clock:
    """Wall time of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun


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
    a folder beside the map until that is complete: after a kill, a full disk or Ctrl-C the same call goes on there.

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
    clock, begun = _Clock(), time.monotonic()
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
    _require_room(plan, products, out, entry)
    folder = journal_folder(out)
    with (
        Progress(f"map {entry.name}", listener=listener, total=plan.windows, unit="windows") as progress,
        locked(folder),
        _kept(Journal(folder)) as journal,
    ):
        with clock.stage("probe"), entry.open() as opened:
            drift = check_drift(opened, bundle, plan.bands, settings)
        if drift is not None:
            progress.note(drift.describe())
            warnings += filter(None, (drift.warning,))
        for warning in warnings:
            progress.note(warning)
        job = _Job(bundle, entry, plan, products, settings, machine, out, stop, journal, progress, clock)
        resumed = job.run()
        notes = provenance(bundle, entry, settings, job.header.decisions)
        goals = goals_of(bundle, products, settings, notes, out)
        seams: list[Seam] = []
        meter = QualityMeter(plan, classes=len(bundle.classes), ignore=bundle.classes.ignore)
        with (
            clock.stage("write"),
            rasterio.Env(GDAL_CACHEMAX=plan.cache_bytes),
            open_outputs(goals, plan.grid, georeference, settings, classes=bundle.classes) as take,
        ):
            for rows in finished_rows(
                plan.strips, journal.records, folder, products, seams=seams, columns=plan.columns
            ):
                take(rows)
                meter.add(rows)
        layers = {name: goal for name, (goal, _) in goals.items() if name != "class"} | beside_of(out, settings)
        if settings.stac and (item := write_item(goals, entry, georeference, settings, notes=notes, tags=tags)):
            layers["stac"] = item
    quality = measure_quality(plan, journal.records, seams, meter, bundle.classes, drift=drift)
    figures = [record.figures for record in journal.records.values()]
    windows = sum(one.windows for one in figures)
    computing = clock.seconds.get("compute", 0.0)
    fresh = [record.figures.busy_seconds for number, record in journal.records.items() if number not in resumed]
    summary = SceneSummary(
        scene=entry.path,
        out=out,
        layers=layers,
        height=plan.grid.height,
        width=plan.grid.width,
        windows=plan.windows,
        skipped_windows=sum(one.skipped for one in figures),
        strips=len(plan.strips),
        resumed_strips=len(resumed),
        class_pixels=tuple(int(count) for count in meter.class_pixels),
        valid_share=int(meter.class_pixels.sum()) / (plan.grid.height * plan.grid.width),
        mean_steps=sum(one.steps for one in figures) / windows
        if windows and any(one.steps for one in figures)
        else None,
        unreadable=tuple(part for one in figures for part in one.unreadable),
        decisions=job.header.decisions,
        seconds=time.monotonic() - begun,
        stage_seconds={name: round(seconds, 3) for name, seconds in clock.seconds.items()},
        busy_share=min(sum(fresh) / (computing * job.lanes), 1.0) if computing and fresh else None,
        warnings=tuple(warnings),
    )
    return Mapped(summary, quality, notes)


@dataclass
class _Job:
    """A scene on its way from a plan to finished strips."""

    bundle: Bundle
    entry: SceneEntry
    plan: ScenePlan
    products: Products
    settings: PredictSettings
    machine: MachineSettings
    out: Path
    stop: threading.Event | None
    journal: Journal
    progress: Progress
    clock: _Clock
    lanes: int = 1
    _decided: Decided | None = None

    @property
    def header(self) -> Header:
        """What was asked and decided."""
        if self.journal.header is None:
            raise RuntimeError("the journal has not begun")
        return self.journal.header

    def run(self) -> frozenset[int]:
        """Finish every strip; return those that an earlier start had finished."""
        execution = configure(self.machine)
        request = request_of(self.bundle, self.entry, self.plan, self.settings, device=execution.device)
        resumed = self._resumed(request) if self.journal.goes_on(request) else frozenset()
        if not self.journal.goes_on(request):
            self._begin(request)
        while True:
            try:
                with self.clock.stage("compute"):
                    self._compute()
            except OutOfMemoryError as error:
                self._begin_smaller(request, error)
                resumed = frozenset()
            else:
                return resumed

    def _begin(self, request: Request) -> None:
        """Probe, decide and begin a journal."""
        if self.journal.header is not None and self.journal.records:
            self.progress.note("what an earlier start finished was asked otherwise; all strips are computed anew")
        with self.clock.stage("probe"), self.entry.open() as opened:
            decided = decide(self.bundle, self.plan, opened, self.settings, self.machine, self.products)
        budget = budget_of(Work.of(self.plan, self.products, decided), self.settings, self.out)
        self.progress.note(short_plan(self.plan, budget))
        self.progress.note(decided.report.describe(decided.decisions))
        for note in decided.report.notes:
            self.progress.note(note)
        require_fitting(budget, self.settings)
        self.lanes = decided.report.lanes
        self._decided = decided
        self.journal.begin(Header(request=request, decisions=decided.decisions))

    def _begin_smaller(self, request: Request, error: OutOfMemoryError) -> None:
        """Begin again with half the batch: its bits are others, so all strips are computed anew."""
        smaller = halved(self.header.decisions)
        if smaller is None:
            raise error
        self.progress.note(f"{error} The batch is halved to {smaller.batch_size}; all strips are computed anew.")
        self._decided = None
        self.journal.begin(Header(request=request, decisions=smaller))

    def _resumed(self, request: Request) -> frozenset[int]:
        """Check what an earlier start has finished, and keep what holds."""
        if self.journal.damaged:
            self.progress.note(
                f"{self.journal.damaged} lines of the journal are damaged; their strips are computed anew"
            )
        decisions = self.header.decisions
        # Nothing is probed again, so that the share of time in which the device works needs its lanes from here.
        places = places_of(count_workers(self.settings, decisions), decisions)
        self.lanes = sum(place.lanes for place in places)
        with self.clock.stage("check"):
            header = Header(request=request, decisions=self.header.decisions)
            finished = frozenset(check_strips(self.journal, self.plan, self._rows, header))
            self.journal.keep(finished)
        windows = [record.figures for record in self.journal.records.values()]
        self.progress.note(f"{len(finished)} of {len(self.plan.strips)} strips were finished by an earlier start")
        self.progress.advance(sum(one.windows + one.skipped for one in windows))
        return finished

    def _rows(self) -> SceneRows:
        return SceneRows(
            self.entry.open,
            self.plan.bands,
            readers=places_of(1, self.header.decisions)[0].readers,
            retries=self.settings.retries,
            max_errors=self.settings.max_errors,
        )

    def _compute(self) -> None:
        """Have every missing strip computed."""
        job = SceneJob(
            bundle=self.journal.folder / BUNDLE_FILE,
            backbone=self.bundle.backbone_path,
            plugins=loaded_plugins(),
            scene=self.entry,
            settings=self.settings,
            machine=self.machine,
            header=self.header,
            folder=self.journal.folder,
        )
        with choose_workforce(
            job,
            self.bundle,
            plan=self.plan,
            products=self.products,
            forward=None if self._decided is None else self._decided.forward,
            rows=self._rows,
        ) as workforce:
            finish_strips(
                workforce,
                job,
                self.journal,
                self.plan.strips,
                advance=self.progress.advance,
                note=self.progress.note,
                stop=self.stop,
            )


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
