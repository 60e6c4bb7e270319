"""From a scene to a map: a reader thread, the network, a writer thread, and memory that the height does not touch."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Int64, Shaped

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.errors import ConfigError
from terrazzo.geo.raster import RasterFile
from terrazzo.machine import Execution, MachineSettings, configure
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.assemble import FinishedRows, finished_rows
from terrazzo.scene.contract import resolution_warning
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions, Header, Request
from terrazzo.scene.journal import Journal, journal_folder
from terrazzo.scene.layers import class_layer, layer_path, product_layer, provenance
from terrazzo.scene.plan import ScenePlan, plan_scene
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.rows import FileRows
from terrazzo.scene.settings import PredictSettings, Values
from terrazzo.scene.work import work
from terrazzo.scene.writer import (
    Georeference,
    Layer,
    RowWriter,
    open_writer,
    read_georeference,
    require_can_hold,
    storage_errors,
)
from terrazzo.storage import atomic_path, fingerprint, locked, require_space, sweep

__all__ = ["SceneSummary", "map_scene"]


@dataclass(frozen=True)
class SceneSummary:
    """What mapping one scene came to.

    Attributes:
        scene: The scene's file.
        out: The map.
        layers: Further layers by name: confidence, entropy and so on.
        height: Rows.
        width: Columns.
        windows: Windows in all.
        skipped_windows: Windows without a valid pixel, which the network never saw.
        class_pixels: Pixels of each class.
        valid_share: Share of pixels that the scene measured, 0..1.
        seconds: Wall time.
        warnings: What the reader of the map should know.
    """

    scene: Path
    out: Path
    layers: dict[str, Path]
    height: int
    width: int
    windows: int
    skipped_windows: int
    class_pixels: tuple[int, ...]
    valid_share: float
    seconds: float
    warnings: tuple[str, ...]

    @property
    def pixels(self) -> int:
        """Pixels of the scene."""
        return self.height * self.width

    @property
    def pixels_per_second(self) -> float:
        """Pixels mapped in a second of wall time."""
        return self.pixels / max(self.seconds, 1e-9)


def map_scene(
    bundle: Bundle,
    scene: Path,
    out: Path,
    *,
    settings: PredictSettings | None = None,
    machine: MachineSettings | None = None,
    listener: Listener = silent,
) -> SceneSummary:
    """Map one scene; the map appears whole or not at all.

    Memory depends on the scene's width, the window and the classes, not on the scene's height.

    Args:
        bundle: The network and what it was trained for.
        scene: Any raster that GDAL reads.
        out: The map: `.tif`, or `.png` for a picture without georeference.
        settings: How to map.
        machine: What to compute on.
        listener: Hears of the progress.

    Raises:
        DataError: The scene cannot be read, or not to its end.
        ContractError: The scene does not fit the bundle.
        ConfigError: Settings contradict each other, the bundle or the format of `out`.
        ModelError: The network answered wrong shapes or values that are no numbers.
        StorageError: The map cannot be written, or the disk has too little room.
    """
    settings, machine = settings or PredictSettings(), machine or MachineSettings()
    begun = time.monotonic()
    with RasterFile(scene) as opened:
        plan = plan_scene(bundle, opened, settings)
        warning = resolution_warning(bundle, opened)
    if out.resolve() == scene.resolve():
        raise ConfigError(f"The map {out} would replace its own scene; choose another place.")
    execution = configure(machine)
    products = products_of(settings, classes=len(bundle.classes), ignore=bundle.classes.ignore)
    notes = provenance(bundle, scene, settings, precision=execution.precision)
    goals = _layers(bundle, products, settings, notes, out)
    georeference = read_georeference(plan.scene)
    for goal, layer in goals.values():
        require_can_hold(goal, layer, georeference)
    _require_room(plan, goals, out)
    class_pixels = np.zeros(len(bundle.classes), dtype=np.int64)
    folder = journal_folder(out)
    with (
        Progress(f"map {scene.name}", listener=listener, total=plan.windows, unit="windows") as progress,
        locked(folder),
        _cleared(Journal(folder)) as journal,
    ):
        progress.note(plan.describe())
        if warning:
            progress.note(warning)
        header = _header(bundle, plan, settings, execution)
        forward = WindowForward(bundle, settings, header.decisions, products, margin=plan.margin)
        journal.begin(header)
        # Left alone, GDAL keeps a twentieth of the machine's memory in decoded blocks.
        with rasterio.Env(GDAL_CACHEMAX=plan.cache_bytes), RasterFile(scene) as opened, storage_errors(out):
            work(
                plan,
                FileRows(opened, plan.bands),
                plan.strips,
                forward,
                products,
                normalisation=bundle.normalisation,
                group_size=header.decisions.group_size,
                header_key=header.key,
                folder=folder,
                done=journal.append,
                advance=progress.advance,
            )
        skipped = sum(record.figures.skipped for record in journal.records.values())
        with rasterio.Env(GDAL_CACHEMAX=plan.cache_bytes), _writers(plan, goals, georeference, settings) as writers:
            sink = _Sink(writers, out, classes=bundle.classes, values=settings.values, class_pixels=class_pixels)
            for rows in finished_rows(plan.strips, journal.records, folder, products):
                sink(rows)
    return SceneSummary(
        scene=scene,
        out=out,
        layers={product.name: layer_path(out, product.name) for product in products if product.name != "class"},
        height=plan.grid.height,
        width=plan.grid.width,
        windows=plan.windows,
        skipped_windows=skipped,
        class_pixels=tuple(int(count) for count in class_pixels),
        valid_share=int(class_pixels.sum()) / (plan.grid.height * plan.grid.width),
        seconds=time.monotonic() - begun,
        warnings=(warning,) if warning else (),
    )


class _Sink:
    """Takes finished rows: counts, encodes, writes."""

    def __init__(
        self,
        writers: dict[str, RowWriter],
        out: Path,
        *,
        classes: Classes,
        values: Values,
        class_pixels: Int64[np.ndarray, " class"],
    ) -> None:
        self._writers = writers
        self._out = out
        self._classes = classes
        self._values: Values = values
        self._class_pixels = class_pixels

    def __call__(self, rows: FinishedRows) -> None:
        target = rows.products["class"][0]
        counts = np.bincount(target.ravel(), minlength=self._classes.ignore + 1)
        self._class_pixels += counts[: len(self._classes)]
        with storage_errors(self._out):
            for name, writer in self._writers.items():
                writer.write(self._encode(target) if name == "class" else rows.products[name])

    def _encode(self, target: Shaped[np.ndarray, "y x"]) -> Shaped[np.ndarray, "channel y x"]:
        if self._values == "index":
            return target[None]
        encoded = self._classes.encode(target, self._values)
        if self._values == "source":
            return encoded[None]
        measured = target != self._classes.ignore
        return np.concatenate([encoded * measured, (measured * np.uint8(255))[None]])


@contextlib.contextmanager
def _cleared(journal: Journal) -> Iterator[Journal]:
    """Remove the journal's folder once the map is complete, or where nothing in it is worth keeping."""
    try:
        yield journal
    except BaseException:
        if not journal.records:
            shutil.rmtree(journal.folder, ignore_errors=True)
        raise
    shutil.rmtree(journal.folder, ignore_errors=True)


def _header(bundle: Bundle, plan: ScenePlan, settings: PredictSettings, execution: Execution) -> Header:
    """Return what was asked, and what is decided for the whole scene."""
    batch = 4 if settings.batch_size == "auto" else settings.batch_size
    decisions = Decisions(
        device=execution.device,
        precision=execution.precision,
        compiled=False,
        threads=execution.threads,
        batch_size=batch,
        group_size=batch,
        strip_pixels=settings.strip_pixels,
    )
    request = Request(
        weights=bundle.fingerprint,
        code=version("terrazzo"),
        settings=fingerprint(settings.model_dump(mode="json")),
        scene=fingerprint([plan.grid.height, plan.grid.width]),
        device=execution.device,
    )
    return Header(request=request, decisions=decisions)


def _layers(
    bundle: Bundle, products: Products, settings: PredictSettings, notes: dict[str, str], out: Path
) -> dict[str, tuple[Path, Layer]]:
    """Return each product's file and layer; the map itself comes last, so that it appears last."""
    further = {
        product.name: (layer_path(out, product.name), product_layer(product, bundle.classes, notes))
        for product in products
        if product.name != "class"
    }
    return {**further, "class": (out, class_layer(bundle.classes, settings.values, notes))}


@contextlib.contextmanager
def _writers(
    plan: ScenePlan, goals: dict[str, tuple[Path, Layer]], georeference: Georeference, settings: PredictSettings
) -> Iterator[dict[str, RowWriter]]:
    """Open all layers; they appear together, the map last, once each is complete."""
    with contextlib.ExitStack() as stack:
        temporaries = {}
        for name, (goal, _) in reversed(goals.items()):
            with storage_errors(goal):
                sweep(goal.parent)
                temporaries[name] = stack.enter_context(atomic_path(goal))
        yield {
            name: stack.enter_context(
                open_writer(
                    temporaries[name], layer, plan.grid, georeference, goal=goal, compression=settings.compression
                )
            )
            for name, (goal, layer) in goals.items()
        }
    for goal, _ in goals.values():
        # Overviews and statistics of an earlier map would be shown for this one.
        for suffix in (".ovr", ".aux.xml", ".msk"):
            goal.with_name(goal.name + suffix).unlink(missing_ok=True)


def _require_room(plan: ScenePlan, goals: dict[str, tuple[Path, Layer]], out: Path) -> None:
    """Refuse a disk that could not hold the map even if nothing of it can be compressed."""
    pixels = plan.grid.height * plan.grid.width
    needed = sum(pixels * layer.channels * layer.dtype.itemsize for _, layer in goals.values())
    require_space(out.parent, needed, f"the map of {plan.scene.name}")
