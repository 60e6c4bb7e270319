"""A scene on its way from a plan to finished strips: begun, taken up again, or found finished."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.errors import OutOfMemoryError
from terrazzo.machine import MachineSettings, configure
from terrazzo.progress import Progress
from terrazzo.scene.budget import Work, budget_of, require_fitting
from terrazzo.scene.exhaustion import halved
from terrazzo.scene.header import Decisions, Header, Request
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.journal import Journal
from terrazzo.scene.layers import provenance
from terrazzo.scene.mapped import Mapped
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.plan_report import short_plan
from terrazzo.scene.probe import Decided, decide
from terrazzo.scene.products import Products
from terrazzo.scene.quality_meter import QualityMeter
from terrazzo.scene.receipt import Receipt
from terrazzo.scene.request import request_of
from terrazzo.scene.rows import SceneRows
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.summary import SceneSummary
from terrazzo.scene.workforce.choice import choose_workforce
from terrazzo.scene.workforce.finishing import finish_strips
from terrazzo.scene.workforce.job import SceneJob, loaded_plugins
from terrazzo.scene.workforce.places import count_workers, places_of
from terrazzo.scene.workforce.resume import check_strips

__all__ = ["Clock", "SceneMapping"]

BUNDLE_FILE = "bundle.safetensors"
"""The model in the journal's folder, for workers that load it themselves."""


@dataclass
class Clock:
    """Wall time of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def rounded(self) -> dict[str, float]:
        """To milliseconds."""
        return {name: round(seconds, 3) for name, seconds in self.seconds.items()}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside; a stage that is entered twice adds up."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun


@dataclass
class SceneMapping:
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
    clock: Clock
    lanes: int = 1
    begun: float = field(default_factory=time.monotonic)
    _decided: Decided | None = None

    @property
    def header(self) -> Header:
        """What was asked and decided."""
        if self.journal.header is None:
            raise RuntimeError("the journal has not begun")
        return self.journal.header

    @cached_property
    def request(self) -> Request:
        """What is asked."""
        device = configure(self.machine).device
        return request_of(self.bundle, self.entry, self.plan, self.settings, device=device)

    def finished_before(self) -> Mapped | None:
        """Return the map where an earlier start has finished it, of the pixels that the scene still holds."""
        receipt = Receipt.read(self.out)
        if receipt is None:
            return None
        notes = provenance(self.bundle, self.entry, self.settings, receipt.header.decisions)
        if not receipt.holds(self.out, self.request, self.settings, notes):
            return None
        self.progress.note("an earlier start has finished this map; the scene's pixels are compared with those of then")
        with self.clock.stage("check"):
            decisions = receipt.header.decisions
            if not receipt.same_pixels(self.plan, lambda: self._rows(decisions), checked=lambda _strip: None):
                self.progress.note("the scene's pixels have changed; it is mapped anew")
                return None
        self.progress.note("nothing has changed; the map is kept (predict.force maps it anew)")
        self.progress.advance(self.plan.windows)
        summary = replace(
            receipt.told(),
            kept=True,
            resumed_strips=len(self.plan.strips),
            seconds=time.monotonic() - self.begun,
            stage_seconds=self.clock.rounded,
            busy_share=None,
        )
        return Mapped(summary, receipt.quality, notes)

    def summary(
        self, layers: dict[str, Path], meter: QualityMeter, resumed: frozenset[int], warnings: Sequence[str]
    ) -> SceneSummary:
        """Return what it came to, once every file is there."""
        records = self.journal.records
        figures = [record.figures for record in records.values()]
        windows, steps = sum(one.windows for one in figures), sum(one.steps for one in figures)
        computing = self.clock.seconds.get("compute", 0.0)
        fresh = [record.figures.busy_seconds for number, record in records.items() if number not in resumed]
        height, width = self.plan.grid.height, self.plan.grid.width
        return SceneSummary(
            scene=self.entry.path,
            out=self.out,
            layers=layers,
            height=height,
            width=width,
            windows=self.plan.windows,
            skipped_windows=sum(one.skipped for one in figures),
            strips=len(self.plan.strips),
            resumed_strips=len(resumed),
            class_pixels=tuple(int(count) for count in meter.class_pixels),
            valid_share=int(meter.class_pixels.sum()) / (height * width),
            mean_steps=steps / windows if windows and steps else None,
            unreadable=tuple(part for one in figures for part in one.unreadable),
            decisions=self.header.decisions,
            seconds=time.monotonic() - self.begun,
            stage_seconds=self.clock.rounded,
            busy_share=min(sum(fresh) / (computing * self.lanes), 1.0) if computing and fresh else None,
            warnings=tuple(warnings),
        )

    def begin(self) -> frozenset[int]:
        """Take up what an earlier start has begun, or decide and begin; return the strips that it had finished."""
        if self.journal.goes_on(self.request):
            return self._resumed(self.request)
        self._begin(self.request)
        return frozenset()

    def begin_smaller(self, error: OutOfMemoryError) -> None:
        """Begin again with half the batch: its bits are others, so all strips are computed anew.

        Args:
            error: Raised again where the batch is a single window.
        """
        smaller = halved(self.header.decisions)
        if smaller is None:
            raise error
        self.progress.note(f"{error} The batch is halved to {smaller.batch_size}; all strips are computed anew.")
        self._decided = None
        self.journal.begin(Header(request=self.request, decisions=smaller))

    def compute(self, finished: Callable[[], None]) -> None:
        """Have every missing strip computed.

        Args:
            finished: Called whenever the journal has learned of another strip.
        """
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
            rows=lambda: self._rows(self.header.decisions),
        ) as workforce:
            finish_strips(
                workforce,
                job,
                self.journal,
                self.plan.strips,
                advance=self.progress.advance,
                finished=finished,
                note=self.progress.note,
                stop=self.stop,
            )

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
            finished = frozenset(check_strips(self.journal, self.plan, lambda: self._rows(decisions), header))
            self.journal.keep(finished)
        windows = [record.figures for record in self.journal.records.values()]
        self.progress.note(f"{len(finished)} of {len(self.plan.strips)} strips were finished by an earlier start")
        self.progress.advance(sum(one.windows + one.skipped for one in windows))
        return finished

    def _rows(self, decisions: Decisions) -> SceneRows:
        return SceneRows(
            self.entry.open,
            self.plan.bands,
            readers=places_of(1, decisions)[0].readers,
            retries=self.settings.retries,
            max_errors=self.settings.max_errors,
        )
