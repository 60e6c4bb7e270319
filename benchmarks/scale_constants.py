"""What one step of a scene costs on this machine; the simulation of many scenes is made of these figures.

Used by scale.py. Every figure comes from the engine's own code on data of an ordinary strip (10,000 columns, 2,048
rows, three bands of bytes); nothing is written but in the folder that is given.
"""

import functools
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster, RasterFile
from terrazzo.scene.header import Decisions, Header, Request
from terrazzo.scene.journal import Journal
from terrazzo.scene.layer import NOWHERE
from terrazzo.scene.layers import class_layer
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.reader import Unreadable, hash_strip, read_strips
from terrazzo.scene.strip_file import StripFigures, StripRecord, StripWriter
from terrazzo.scene.strips import Strip
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.writer import open_writer

_PIECE = 512


@dataclass(frozen=True)
class Constants:
    """Costs of single steps, measured.

    Attributes:
        append_s: A line of the journal on the disk, median.
        slowest_append_s: The same, of a hundred the second slowest.
        record_bytes: A line of the journal.
        load_s: Reading a line of the journal when a job is started again.
        hash_rate: Bytes of pixels hashed in a second: what a resume does with finished strips beside reading them.
        check_rate: Bytes of finished strips checked in a second.
        write_rate: Bytes of a strip's file written and flushed in a second.
        decode_rate: Bytes of pixels that one thread decodes from a deflated GeoTIFF in a second.
        window_rate: Pixels of windows made ready for the network by one thread in a second, hashing included.
        map_rate: Pixels of a map of classes that become a cloud-optimised GeoTIFF in a second, on all cores.
        map_bytes: Bytes of that file for each pixel; of classes in areas of a thousand pixels.
        strip_bytes: A strip's file for each of its pixels: the class, and what it shares with its neighbours.
    """

    append_s: float
    slowest_append_s: float
    record_bytes: int
    load_s: float
    hash_rate: float
    check_rate: float
    write_rate: float
    decode_rate: float
    window_rate: float
    map_rate: float
    map_bytes: float
    strip_bytes: float


class NoiseRows:
    """Rows of seeded noise that cost nothing to read."""

    def __init__(self, grid: Grid, bands: Bands) -> None:
        self._grid = grid
        self._bands = bands
        self._values = np.random.default_rng(0).integers(0, 256, (len(bands), _PIECE, grid.width), dtype=np.uint8)
        self._valid = np.ones((_PIECE, grid.width), dtype=bool)

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        """Yield rows top..bottom."""
        for first in range(top, bottom, _PIECE):
            height = min(_PIECE, bottom - first)
            grid = replace(self._grid, height=height)
            yield Raster(self._values[:, :height], self._valid[:height], grid, self._bands)

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        """Return nothing."""
        return ()


def record_of(plan: ScenePlan, strip: Strip, *, key: str = "0" * 64) -> StripRecord:
    """Return a record as a worker makes it: its blocks and its windows' fades, without its file."""
    return StripRecord(strip=strip.number, key=key, file=f"{strip.number:06d}-00000000.strip", size=0, blocks=(),
                       figures=figures_of(plan, strip))  # fmt: skip


def figures_of(plan: ScenePlan, strip: Strip) -> StripFigures:
    """Return figures with one entry for each fade between two windows of a strip."""
    return _figures(strip.rows, len(plan.columns))


@functools.lru_cache(maxsize=4096)
def _figures(rows: range, columns: int) -> StripFigures:
    across = [(row, column, "left", 117, 28_672) for row in rows for column in range(1, columns)]
    down = [(row, column, "above", 90, 28_672) for row in rows[1:] for column in range(columns)]
    return StripFigures(windows=len(rows) * columns, seconds=12.5, agreements=tuple(across + down))


def write_strip(folder: Path, plan: ScenePlan, strip: Strip) -> StripRecord:
    """Write a strip's file with everything that a worker puts there, of one layer."""
    writer = StripWriter(folder, strip.number)
    width = plan.grid.width
    for row in strip.rows:
        used = plan.rows.used(row)
        writer.block("class", used.start, np.zeros((1, used.stop - used.start, width), dtype=np.uint8))
    for name, edge in (("above", strip.above), ("below", strip.below)):
        height = edge.stop - edge.start
        writer.block(name, edge.start, np.zeros((plan.classes, height, width), dtype=np.float32))
        writer.block(f"{name}_valid", edge.start, np.ones((height, width), dtype=bool))
    return writer.finish("0" * 64, figures_of(plan, strip))


def measure_constants(
    folder: Path, plan: ScenePlan, normalisation: Normalisation, classes: Classes, *, appends: int
) -> Constants:
    """Measure every step.

    Args:
        folder: On the disk whose speed counts.
        plan: Of an ordinary scene of several strips.
        normalisation: Of the network.
        classes: Of the map.
        appends: Lines of the journal that are written.
    """
    strip = plan.strips[1]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        journal = Journal(Path(name))
        journal.begin(_header())
        begun = time.perf_counter()
        record = write_strip(journal.folder, plan, strip)
        write_rate = record.size / (time.perf_counter() - begun)
        begun = time.perf_counter()
        if not journal.is_whole(record):
            raise SystemExit("a strip that was just written is not whole")
        check_rate = record.size / (time.perf_counter() - begun)
        seconds = [_timed_append(journal, record.model_copy(update={"strip": number})) for number in range(appends)]
        lines = (journal.folder / "journal").stat().st_size
        load_s = _load_seconds(journal.folder) / appends
        decode_rate = _decode_rate(Path(name) / "scene.tif", plan)
        map_rate, map_bytes = _map_rate(Path(name) / "map.tif", plan, classes)
    source = NoiseRows(plan.grid, plan.bands)
    rows = plan.rows.starts[strip.rows[-1]] + plan.rows.size - plan.rows.starts[strip.rows[0]]
    begun = time.perf_counter()
    hash_strip(plan, source, strip)
    hash_rate = rows * plan.grid.width * plan.pixel_bytes / (time.perf_counter() - begun)
    begun, windows = time.perf_counter(), 0
    for item in read_strips(plan, source, [strip], normalisation, group_size=4):
        windows += len(item.windows) if isinstance(item, WindowGroup) else 0
    window_rate = windows * plan.rows.size * plan.columns.size / (time.perf_counter() - begun)
    ordered = sorted(seconds)
    return Constants(
        append_s=statistics.median(ordered),
        slowest_append_s=ordered[-max(appends // 100, 1) - 1] if appends > 1 else ordered[-1],
        record_bytes=lines // appends,
        load_s=load_s,
        hash_rate=hash_rate,
        check_rate=check_rate,
        write_rate=write_rate,
        decode_rate=decode_rate,
        window_rate=window_rate,
        map_rate=map_rate,
        map_bytes=map_bytes,
        strip_bytes=record.size / ((strip.below.stop - strip.above.start) * plan.grid.width),
    )


def _timed_append(journal: Journal, record: StripRecord) -> float:
    begun = time.perf_counter()
    journal.append(record)
    return time.perf_counter() - begun


def _load_seconds(folder: Path) -> float:
    """Return how long the lines of a journal take to be read."""
    begun = time.perf_counter()
    if not Journal(folder).records:
        raise SystemExit("the journal that was just written holds nothing")
    return time.perf_counter() - begun


def _header() -> Header:
    request = Request(weights="", code="", settings="", scene="", device="cpu")
    decisions = Decisions(
        device="cpu", precision="float32", compiled=False, threads=1, batch_size=1, group_size=1, strip_pixels=2048
    )
    return Header(request=request, decisions=decisions)


def _decode_rate(path: Path, plan: ScenePlan) -> float:
    """Return how fast one thread reads a deflated GeoTIFF in blocks; half its entropy is noise, as in photographs."""
    width, height = plan.grid.width, 1024
    rng = np.random.default_rng(0)
    smooth = np.linspace(0, 200, width)[None, None] + np.linspace(0, 40, height)[None, :, None]
    values = (smooth + rng.normal(0, 4, (3, height, width))).clip(0, 255).astype(np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=height, width=width, dtype="uint8", tiled=True, blockxsize=512,
        blockysize=512, compress="deflate", predictor=2, zlevel=6, crs="EPSG:32632", photometric="RGB", num_threads=2,
        transform=Affine(0.5, 0, 300_000, 0, -0.5, 4_100_000),
    ) as file:  # fmt: skip
        file.write(values)
    with RasterFile(path) as opened:
        begun = time.perf_counter()
        for top in range(0, height, _PIECE):
            opened.read(Window(top, 0, _PIECE, width), plan.bands)
        return values.size / (time.perf_counter() - begun)


def _map_rate(path: Path, plan: ScenePlan, classes: Classes) -> tuple[float, float]:
    """Return how fast a map is written, overviews, copy and check included, and how large it becomes."""
    height, side = min(plan.grid.height, 4096), 32
    coarse = np.random.default_rng(0).integers(0, len(classes), (height // side + 1, plan.grid.width // side + 1))
    rows = coarse.astype(np.uint8).repeat(side, axis=1)[:, : plan.grid.width]
    grid = replace(plan.grid, height=height)
    begun = time.perf_counter()
    with open_writer(path, class_layer(classes, "index", {}), grid, NOWHERE, goal=path) as writer:
        for top in range(0, height, side):
            writer.write(rows[top // side][None, None].repeat(min(side, height - top), axis=1))
    return height * plan.grid.width / (time.perf_counter() - begun), path.stat().st_size / (height * plan.grid.width)
