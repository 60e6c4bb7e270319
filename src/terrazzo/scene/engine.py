"""From a scene to a map: a reader thread, the network, a writer thread, and memory that the height does not touch."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
from terrazzo.scene.blend import Accumulator, FinishedRows
from terrazzo.scene.contract import resolution_warning
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.layers import class_layer, confidence_layer, confidence_path, provenance
from terrazzo.scene.plan import ScenePlan, plan_scene
from terrazzo.scene.reader import WindowBatch, read_scene
from terrazzo.scene.relay import Consumer, Producer
from terrazzo.scene.settings import PredictSettings, Values
from terrazzo.scene.writer import Layer, RowWriter, open_writer, read_georeference, storage_errors
from terrazzo.storage import atomic_path, require_space, sweep

__all__ = ["SceneSummary", "map_scene"]

# Batches that wait for the network, and slabs of finished rows that wait for the disk.
_BATCHES_AHEAD = 2
_SLABS_AHEAD = 8


@dataclass(frozen=True)
class SceneSummary:
    """What mapping one scene came to.

    Attributes:
        scene: The scene's file.
        out: The map.
        confidence: The map of the largest class probability; None where it was not asked for.
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
    confidence: Path | None
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
    notes = provenance(bundle, scene, settings, precision=execution.precision)
    layers = [class_layer(bundle.classes, settings.values, notes)]
    if settings.confidence:
        layers.append(confidence_layer(notes))
    _require_room(plan, layers, out)
    class_pixels = np.zeros(len(bundle.classes), dtype=np.int64)
    with Progress(f"map {scene.name}", listener=listener, total=plan.windows, unit="windows") as progress:
        progress.note(plan.describe())
        if warning:
            progress.note(warning)
        # Left alone, GDAL keeps a twentieth of the machine's memory in decoded blocks.
        with rasterio.Env(GDAL_CACHEMAX=plan.cache_bytes), _writers(plan, layers, out, settings) as writers:
            sink = _Sink(writers, out, classes=bundle.classes, values=settings.values, class_pixels=class_pixels)
            skipped = _stream(bundle, plan, execution, settings, sink, progress)
    return SceneSummary(
        scene=scene,
        out=out,
        confidence=confidence_path(out) if settings.confidence else None,
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
    """Takes finished rows in the writer's thread: counts, encodes, writes."""

    def __init__(
        self,
        writers: list[RowWriter],
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
        counts = np.bincount(rows.target.ravel(), minlength=self._classes.ignore + 1)
        self._class_pixels += counts[: len(self._classes)]
        with storage_errors(self._out):
            self._writers[0].write(self._encode(rows.target))
            if rows.confidence is not None:
                self._writers[1].write(rows.confidence[None])

    def _encode(self, target: Shaped[np.ndarray, "y x"]) -> Shaped[np.ndarray, "channel y x"]:
        if self._values == "index":
            return target[None]
        encoded = self._classes.encode(target, self._values)
        if self._values == "source":
            return encoded[None]
        measured = target != self._classes.ignore
        return np.concatenate([encoded * measured, (measured * np.uint8(255))[None]])


def _stream(
    bundle: Bundle,
    plan: ScenePlan,
    execution: Execution,
    settings: PredictSettings,
    sink: _Sink,
    progress: Progress,
) -> int:
    """Bring every window from the file through the network to the map; return how many held nothing valid."""
    forward = WindowForward(bundle, execution, blend=settings.blend, margin=plan.margin, fuse=settings.fuse)
    accumulator = Accumulator(
        plan.rows,
        plan.columns,
        classes=plan.classes,
        ignore=bundle.classes.ignore,
        blend=settings.blend,
        device=forward.device,
    )
    skipped = 0
    with (
        Consumer(sink, ahead=_SLABS_AHEAD) as writing,
        Producer(lambda: read_scene(plan, bundle.normalisation), ahead=_BATCHES_AHEAD) as reading,
    ):
        for item in reading:
            if isinstance(item, WindowBatch):
                accumulator.add(forward(item), item.columns)
                progress.advance(len(item.columns))
            else:
                for rows in accumulator.finish(item.valid, confidence=settings.confidence):
                    writing.give(rows)
                if item.skipped:
                    skipped += item.skipped
                    progress.advance(item.skipped)
    return skipped


@contextlib.contextmanager
def _writers(plan: ScenePlan, layers: list[Layer], out: Path, settings: PredictSettings) -> Iterator[list[RowWriter]]:
    """Open all layers; they appear together, the map last, once each is complete."""
    goals = [out, confidence_path(out)][: len(layers)]
    georeference = read_georeference(plan.scene)
    with contextlib.ExitStack() as stack:
        with storage_errors(out):
            sweep(out.parent)
            temporaries = [stack.enter_context(atomic_path(goal)) for goal in goals]
        yield [
            stack.enter_context(
                open_writer(temporary, layer, plan.grid, georeference, goal=goal, compression=settings.compression)
            )
            for temporary, goal, layer in zip(temporaries, goals, layers, strict=True)
        ]
    for goal in goals:
        # Overviews and statistics of an earlier map would be shown for this one.
        for suffix in (".ovr", ".aux.xml", ".msk"):
            goal.with_name(goal.name + suffix).unlink(missing_ok=True)


def _require_room(plan: ScenePlan, layers: list[Layer], out: Path) -> None:
    """Refuse a disk that could not hold the map even if nothing of it can be compressed."""
    pixels = plan.grid.height * plan.grid.width
    needed = sum(pixels * layer.channels * layer.dtype.itemsize for layer in layers)
    require_space(out.parent, needed, f"the map of {plan.scene.name}")
