"""A scene and all that was decided for it, as plain data: what a worker needs, on this machine or another."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import rasterio
from pydantic import AfterValidator

from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import TerrazzoError
from terrazzo.machine import MachineSettings, configure
from terrazzo.record import Record, load_plugin
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Header
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.plan import ScenePlan, plan_scene
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.reader import RowSource
from terrazzo.scene.rows import SceneRows
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.strips import Strip
from terrazzo.scene.work import Forward, work
from terrazzo.scene.workforce.headway import Headway
from terrazzo.scene.workforce.kept import KeptNetwork

__all__ = ["OpenJob", "SceneJob", "loaded_plugins", "open_job"]


# Workers may stand in another folder than whoever describes the job.
_AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]


class SceneJob(Record):
    """All that computing strips of a scene takes; goes to workers as JSON."""

    bundle: _AbsolutePath
    """The bundle's file."""
    backbone: _AbsolutePath | None = None
    """Weights of the frozen backbone, where the bundle leans on one."""
    plugins: tuple[_AbsolutePath, ...] = ()
    """Python files that register what the bundle names."""
    scene: SceneEntry
    """The scene: what it is read from."""
    settings: PredictSettings
    """How it becomes a map."""
    machine: MachineSettings = MachineSettings()
    """What it is computed on; device, precision and threads are the header's."""
    header: Header
    """What was asked and decided."""
    folder: _AbsolutePath
    """The journal's folder, where strips are written."""


@dataclass(frozen=True)
class OpenJob:
    """A job whose scene is open and whose network is ready.

    Attributes:
        plan: How the scene is cut.
        source: Its pixels.
        forward: The network.
        products: What is decided from its scores.
        normalisation: From raw values to what the network sees.
        header: What was asked and decided.
        folder: Where strips are written.
        retries: How often a strip is tried again whose file cannot be written.
    """

    plan: ScenePlan
    source: RowSource
    forward: Forward
    products: Products
    normalisation: Normalisation
    header: Header
    folder: Path
    retries: int = 0

    def compute(
        self,
        strips: Iterable[Strip],
        *,
        done: Callable[[StripRecord], None],
        advance: Callable[[int], None],
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """Compute strips; where a file cannot be written those under way are tried again after 1, 2, 4 ... seconds.

        Args:
            strips: Taken one by one, shortly before they are read.
            done: Takes each record, in a thread, in the order of the strips.
            advance: Hears how many more windows are done or skipped; those that are computed again once.
            wait: Called with seconds.

        Raises:
            TerrazzoError: As from `work`, or from `done`.
            OSError: A file cannot be written, though it was tried again.
        """
        taken = _Taken(strips)
        headway = Headway(advance)
        failures = 0

        def finished(record: StripRecord) -> None:
            nonlocal failures
            done(record)
            headway.settle("", record.figures.windows + record.figures.skipped)
            taken.finish(record.strip)
            failures = 0

        while True:
            try:
                self._work(taken, finished, headway)
            except OSError as error:
                failures += 1
                if isinstance(error, TerrazzoError) or failures > self.retries:
                    raise
            else:
                return
            headway.lose("")
            taken.again()
            wait(2.0 ** (failures - 1))

    def _work(self, strips: Iterable[Strip], done: Callable[[StripRecord], None], headway: Headway) -> None:
        work(
            self.plan,
            self.source,
            strips,
            self.forward,
            self.products,
            normalisation=self.normalisation,
            group_size=self.header.decisions.group_size,
            header_key=self.header.key,
            folder=self.folder,
            done=done,
            advance=lambda windows: headway.advance("", windows),
        )


class _Taken:
    """Strips on their way: those taken and not finished come again, before the rest, once that is asked for.

    Args:
        strips: All of them.
    """

    def __init__(self, strips: Iterable[Strip]) -> None:
        self._rest = iter(strips)
        self._again: list[Strip] = []
        self._under_way: dict[int, Strip] = {}

    def __iter__(self) -> Iterator[Strip]:
        while True:
            strip = self._again.pop(0) if self._again else next(self._rest, None)
            if strip is None:
                return
            self._under_way[strip.number] = strip
            yield strip

    def finish(self, number: int) -> None:
        """Note that a strip is finished."""
        del self._under_way[number]

    def again(self) -> None:
        """Hand out again what is not finished."""
        self._again = [*self._under_way.values(), *self._again]
        self._under_way = {}


@contextlib.contextmanager
def open_job(job: SceneJob, *, lanes: int = 1, readers: int = 1, kept: KeptNetwork | None = None) -> Iterator[OpenJob]:
    """Load the network, open the scene, and hand both out ready to compute.

    Threads and determinism of this process become the job's.

    Args:
        job: What to compute.
        lanes: Forward passes side by side.
        readers: Threads that decode the scene.
        kept: The network of the scene before, which may serve this one too.

    Raises:
        BundleError: The bundle cannot be loaded, or is not the one that the job was decided for.
        ContractError: The scene does not fit the bundle.
        DataError: The scene cannot be read.
    """
    for plugin in job.plugins:
        load_plugin(plugin)
    kept = kept or KeptNetwork()
    bundle = kept.bundle(job.bundle, weights=job.header.request.weights, backbone=job.backbone)
    decisions = job.header.decisions
    settings = job.settings.model_copy(update={"strip_pixels": decisions.strip_pixels})
    decided = {"accelerator": decisions.device, "precision": decisions.precision, "threads": decisions.threads}
    configure(job.machine.model_copy(update=decided))
    with job.scene.open() as scene:
        plan = plan_scene(bundle, scene, settings)
    products = products_of(
        settings, classes=len(bundle.classes), ignore=bundle.classes.ignore, calibration=bundle.calibration
    )
    # Left alone, GDAL keeps a twentieth of the machine's memory in decoded blocks.
    with (
        rasterio.Env(GDAL_CACHEMAX=plan.cache_bytes),
        SceneRows(
            job.scene.open, plan.bands, readers=readers, retries=settings.retries, max_errors=settings.max_errors
        ) as source,
    ):
        yield OpenJob(
            plan=plan,
            source=source,
            forward=kept.forward(
                bundle,
                settings,
                decisions,
                lanes=lanes,
                make=lambda: WindowForward(bundle, settings, decisions, products, margin=plan.margin, lanes=lanes),
            ),
            products=products,
            normalisation=bundle.normalisation,
            header=job.header,
            folder=job.folder,
            retries=settings.retries,
        )


def loaded_plugins() -> tuple[Path, ...]:
    """Return the plug-ins that this process has loaded by their path, for workers to load too."""
    modules = [module for name, module in sys.modules.items() if name.startswith("terrazzo_plugin_")]
    return tuple(Path(module.__file__) for module in modules if module.__file__)
