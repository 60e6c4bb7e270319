"""Ten thousand scenes on workers that fail, dawdle and start again: real plans, journals and dealing, no pixels.

    python benchmarks/scale.py [--scenes 10000] [--workers 64] [--megapixels 4] [--failure-hours 2] [--folder DIR]

Headers of scenes are generated (sizes as of aerial sheets, quarter quadrangles, satellite strips and small pictures, in
five UTM zones) and opened, planned and keyed by the engine. Time is simulated event by event, with what this machine
takes for each step (scale_constants.py); the journals are real files, in memory where the system has a place for such.
The job runs once to its end without a journal, and once with all of them, killed at 60 % and started again.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from scale_constants import Constants, measure_constants
from simulated_cluster import Cluster, Ledger, Outcome, SimulatedScene, Simulation
from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.raster import RasterFile
from terrazzo.models import Architecture, Network, Output
from terrazzo.scene import PredictSettings
from terrazzo.scene.header import Decisions, Header, Request
from terrazzo.scene.plan import ScenePlan, plan_scene
from terrazzo.storage import fingerprint

KILLED_AT = 0.6
LEAST_EFFICIENCY = 0.85
MOST_RECOMPUTED = 0.01
ZONES = (32612, 32632, 32633, 32650, 32756)
HEADER = (
    '<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>EPSG:{zone}</SRS><GeoTransform>{x}, 0.5, 0, {y}, 0, '
    "-0.5</GeoTransform>{bands}</VRTDataset>"
)
BAND = (
    '<VRTRasterBand dataType="Byte" band="{number}" blockXSize="512" blockYSize="512"><ColorInterp>{colour}'
    "</ColorInterp></VRTRasterBand>"
)


class _OneConvolution(Network):
    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(bands, classes, 3, padding=1)

    def forward(self, image: torch.Tensor) -> Output:
        return Output(self.layer(image))


class OneConvolution(Architecture):
    """A network for the bundle's sake: it is never run."""

    name: Literal["one_convolution"] = "one_convolution"
    """Name in the table."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network."""
        return _OneConvolution(bands, classes)


def make_bundle() -> Bundle:
    """Return a bundle of three bands and six classes that was trained on patches of 512 pixels of half a metre."""
    torch.manual_seed(0)
    return Bundle(
        architecture=OneConvolution(),
        bands=Bands(items=tuple(Band(name=name) for name in ("red", "green", "blue"))),
        classes=Classes(items=[f"class {number}" for number in range(6)]),
        normalisation=Normalisation(mean=(120.0,) * 3, std=(60.0,) * 3),
        patch_size=512,
        resolution_m=0.5,
        weights=OneConvolution().build(bands=3, classes=6).state_dict(),
        training={},
        versions={},
        licence="",
    )


def draw_size(chance: random.Random) -> tuple[int, int]:
    """Return height and width of a scene."""
    kind = chance.random()
    if kind < 0.6:  # Sheets of aerial photographs, cut to one size.
        return 10_000, 10_000
    if kind < 0.85:  # Quarter quadrangles, whose size changes with the latitude.
        return round(chance.gauss(12_600, 250)), round(chance.gauss(10_600, 600))
    if kind < 0.95:  # Strips of satellites: a fixed swath, any length.
        return min(round(chance.lognormvariate(9.9, 0.45)), 80_000), chance.randint(12_000, 20_000)
    return chance.randint(300, 6_000), chance.randint(300, 6_000)


def write_headers(folder: Path, count: int, *, seed: int) -> list[Path]:
    """Write files that hold nothing but a scene's header."""
    chance = random.Random(seed)
    bands = "".join(BAND.format(number=n, colour=colour) for n, colour in enumerate(("Red", "Green", "Blue"), 1))
    paths = []
    for number in range(count):
        height, width = draw_size(chance)
        x, y = chance.randint(200_000, 800_000), chance.randint(1_000_000, 8_000_000)
        text = HEADER.format(width=width, height=height, zone=chance.choice(ZONES), x=x, y=y, bands=bands)
        paths.append(folder / f"{number:06d}.vrt")
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def plan_all(bundle: Bundle, paths: Sequence[Path], settings: PredictSettings) -> list[SimulatedScene]:
    """Open, plan and key every scene as a job does before it begins."""
    decisions = Decisions(
        device="cuda", precision="bfloat16", compiled=False, threads=1, batch_size=8, group_size=8,
        strip_pixels=settings.strip_pixels,
    )  # fmt: skip
    asked = fingerprint(settings.model_dump(mode="json"))
    scenes = []
    for path in paths:
        with RasterFile(path) as opened:
            plan = plan_scene(bundle, opened, settings)
        grid = fingerprint([path.name, plan.grid.height, plan.grid.width, list(plan.grid.transform)[:6]])
        request = Request(weights=bundle.fingerprint, code="", settings=asked, scene=grid, device="cuda")
        scenes.append(SimulatedScene(path.stem, plan, Header(request=request, decisions=decisions)))
    return scenes


def ordinary_plan(folder: Path, bundle: Bundle) -> ScenePlan:
    """Return the plan of a scene of 10,000 x 10,000 pixels, of which every constant is measured."""
    path = folder / "ordinary.vrt"
    bands = "".join(BAND.format(number=n, colour=colour) for n, colour in enumerate(("Red", "Green", "Blue"), 1))
    path.write_text(HEADER.format(width=10_000, height=10_000, zone=32632, x=0, y=0, bands=bands), encoding="utf-8")
    with RasterFile(path) as opened:
        return plan_scene(bundle, opened, PredictSettings())


@dataclass(frozen=True)
class Restart:
    """What a start after the coordinator's end finds and takes.

    Attributes:
        killed_s: When it was killed, in simulated seconds.
        planned_s: Real seconds of opening and planning all scenes again.
        read_s: Real seconds of reading all journals.
        checked_s: Seconds of reading finished strips and their pixels again, on the coordinator's cores.
        whole: Maps that are complete.
        kept: Strips that are found finished.
        again: Strips that were finished, or under way, and are computed again.
        appends_rate: Lines of journals written in a second, in memory: what the code alone takes.
        outcome: Of the rest of the job.
    """

    killed_s: float
    planned_s: float
    read_s: float
    checked_s: float
    whole: int
    kept: int
    again: int
    appends_rate: float
    outcome: Outcome


def restart(
    scenes: list[SimulatedScene], bundle: Bundle, paths: Sequence[Path], cluster: Cluster, constants: Constants, *,
    folder: Path, killed_s: float, settings: PredictSettings,
) -> Restart:  # fmt: skip
    """Run until the coordinator is killed, tear a line of a journal as such an end may, start again, and finish."""
    ledger = Ledger(folder)
    before = Simulation(scenes, {}, cluster, ledger).run(until=killed_s)
    appends_rate = ledger.appends / ledger.seconds
    torn = max(ledger.journals.values(), key=lambda journal: len(journal.records)).folder / "journal"
    with torn.open("r+b") as file:
        file.truncate(torn.stat().st_size - 7)
    begun = time.perf_counter()
    replanned = plan_all(bundle, paths, settings)
    planned_s, begun = time.perf_counter() - begun, time.perf_counter()
    ledger = Ledger(folder)
    found = {scene.name: ledger.find(scene) for scene in replanned}
    read_s = time.perf_counter() - begun
    left = [scene for scene in replanned if found[scene.name] is not None]
    finished = {name: numbers for name, numbers in found.items() if numbers is not None}
    kept = sum(map(len, finished.values()))
    gone = sum(len(scene.plan.strips) for scene in replanned if found[scene.name] is None)
    pixels = sum(
        (strip.below.stop - strip.above.start) * scene.plan.grid.width
        for scene in left for strip in scene.plan.strips if strip.number in finished[scene.name]
    )  # fmt: skip
    a_pixel = 3 / constants.decode_rate + 3 / constants.hash_rate + constants.strip_bytes / constants.check_rate
    outcome = Simulation(left, finished, cluster, ledger).run()
    total = sum(len(scene.plan.strips) for scene in scenes)
    if gone + kept + outcome.strips != total or before.strips - 1 != gone + kept:
        raise SystemExit("after the restart strips are missing, or one was computed that was finished")
    return Restart(
        killed_s, planned_s, read_s, pixels * a_pixel / cluster.assemblers, len(scenes) - len(left), kept,
        before.deals - before.copies - before.lost - before.strips + 1, appends_rate,
        outcome,
    )  # fmt: skip


def describe(outcome: Outcome, cluster: Cluster, total_windows: int) -> float:
    """Print what a run came to, and return its share of the ideal time."""
    ideal = total_windows * cluster.window_s / cluster.workers
    held = outcome.computed_s * cluster.workers
    spent = outcome.useful_s + outcome.failed_s + outcome.slow_s + outcome.copies_s
    print(
        f"makespan {outcome.computed_s:,.0f} s, ideal {ideal:,.0f} s: {ideal / outcome.computed_s:.1%}; last map "
        f"{outcome.mapped_s - outcome.computed_s:,.0f} s after the last strip"
    )
    print(
        f"workers' time: useful {outcome.useful_s / held:.1%}, failures {outcome.failed_s / held:.2%}, stragglers "
        f"{outcome.slow_s / held:.2%}, second copies {outcome.copies_s / held:.2%}, waiting {1 - spent / held:.2%}"
    )
    print(
        f"{outcome.failures} workers ended with {outcome.lost} strips; {outcome.copies} strips computed twice; "
        f"recomputed share {(outcome.lost + outcome.copies) / max(outcome.strips, 1):.3%}; given up {outcome.given_up}"
    )
    print(
        f"coordinator busy {outcome.coordinator_s / outcome.computed_s:.2%}, longest wait of a record "
        f"{outcome.largest_wait_s * 1e3:.0f} ms; most strips on the disk {outcome.disk_bytes / 2**30:.1f} GiB; a deal "
        f"takes {outcome.dealing_s / max(outcome.deals, 1) * 1e6:.0f} us (real)"
    )
    return ideal / outcome.computed_s


def print_constants(constants: Constants) -> None:
    print(
        f"journal: {constants.append_s * 1e3:.2f} ms a line (99th of 100: {constants.slowest_append_s * 1e3:.2f} ms), "
        f"{constants.record_bytes} bytes, read in {constants.load_s * 1e3:.2f} ms"
    )
    print(
        f"strips: hashed {constants.hash_rate / 1e6:.0f} MB/s, checked {constants.check_rate / 1e6:.0f} MB/s, written "
        f"{constants.write_rate / 1e6:.0f} MB/s, {constants.strip_bytes:.2f} bytes a pixel"
    )
    print(
        f"one thread: decodes {constants.decode_rate / 1e6:.0f} MB/s of deflated pixels, makes ready "
        f"{constants.window_rate / 1e6:.1f} Mpixel/s of windows"
    )
    print(f"maps: {constants.map_rate / 1e6:.1f} Mpixel/s on all cores, {constants.map_bytes:.3f} bytes a pixel")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=64, help="devices")
    parser.add_argument("--megapixels", type=float, default=4.0, help="million pixels that a device maps in a second")
    parser.add_argument("--failure-hours", type=float, default=2.0, help="mean time until a worker ends")
    parser.add_argument("--restart-seconds", type=float, default=90.0, help="until another has its place")
    parser.add_argument("--slow-workers", type=float, default=0.02, help="share of workers that are four times slower")
    parser.add_argument("--hiccups", type=float, default=0.005, help="share of strips that take 3 to 20 times longer")
    parser.add_argument("--no-copies", action="store_true", help="deal no strip a second time")
    parser.add_argument("--assemblers", type=int, default=16, help="cores of the coordinator that write maps")
    parser.add_argument("--assemble-rate", type=float, default=24.0, help="million pixels of map a core and second")
    parser.add_argument("--latency-ms", type=float, default=5.0, help="from a strip's end to its record")
    parser.add_argument("--append-ms", type=float, help="a line of a journal; as measured if not given")
    parser.add_argument("--appends", type=int, default=200, help="lines written to measure the journal")
    parser.add_argument("--folder", type=Path, help="on the disk whose journal is measured; a temporary folder")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def cluster_of(arguments: argparse.Namespace, constants: Constants, *, window_pixels: float) -> Cluster:
    """Return the machines that are asked for, with what was measured."""
    return Cluster(
        workers=arguments.workers,
        window_s=window_pixels / (arguments.megapixels * 1e6),
        latency_s=arguments.latency_ms / 1e3,
        append_s=constants.append_s if arguments.append_ms is None else arguments.append_ms / 1e3,
        assemblers=arguments.assemblers,
        assemble_rate=arguments.assemble_rate * 1e6,
        strip_bytes=constants.strip_bytes,
        failure_h=arguments.failure_hours,
        restart_s=arguments.restart_seconds,
        slow_share=arguments.slow_workers,
        hiccup_share=arguments.hiccups,
        slowness=None if arguments.no_copies else 3.0,
        seed=arguments.seed,
    )


def main() -> None:
    arguments = parsed()
    memory = Path("/dev/shm")
    bundle, settings = make_bundle(), PredictSettings()
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as disk,
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name,
    ):
        constants = measure_constants(
            Path(disk),
            ordinary_plan(Path(disk), bundle),
            bundle.normalisation,
            bundle.classes,
            appends=arguments.appends,
        )
        print_constants(constants)
        folder = Path(name)
        paths = write_headers(folder, arguments.scenes, seed=arguments.seed)
        begun = time.perf_counter()
        scenes = plan_all(bundle, paths, settings)
        seconds = time.perf_counter() - begun
        pixels, windows = sum(scene.pixels for scene in scenes), sum(scene.plan.windows for scene in scenes)
        strips = sum(len(scene.plan.strips) for scene in scenes)
        print(
            f"{len(scenes)} scenes, {pixels / 1e12:.3f}e12 pixels, {windows} windows, {strips} strips; planned in "
            f"{seconds:.1f} s, {seconds / len(scenes) * 1e3:.2f} ms a scene"
        )
        cluster = cluster_of(arguments, constants, window_pixels=pixels / windows)
        outcome = Simulation(scenes, {}, cluster, Ledger(None)).run()
        print(f"-- {cluster.workers} devices of {arguments.megapixels:g} Mpixel/s")
        efficiency = describe(outcome, cluster, windows)
        killed = restart(
            scenes, bundle, paths, cluster, constants, folder=folder / "killed",
            killed_s=KILLED_AT * outcome.computed_s, settings=settings,
        )  # fmt: skip
    print(
        f"-- killed at {killed.killed_s:,.0f} s: {killed.whole} maps whole, {killed.kept} strips kept, {killed.again} "
        f"({killed.again / strips:.3%}) computed again; found again in {killed.planned_s:.1f} s of planning and "
        f"{killed.read_s:.1f} s of journals (real), {killed.checked_s:.0f} s of pixels"
    )
    print(f"{killed.appends_rate:,.0f} lines a second in memory (real), {1 / constants.append_s:,.0f} on the disk")
    resumed = killed.planned_s + killed.read_s + killed.checked_s
    whole = killed.killed_s + resumed + killed.outcome.computed_s
    print(f"with the restart {whole:,.0f} s, {whole / outcome.computed_s - 1:+.1%}")
    recomputed = (outcome.lost + outcome.copies) / outcome.strips
    if outcome.strips != strips or outcome.given_up or killed.outcome.given_up:
        raise SystemExit("missed: strips are missing")
    if efficiency < LEAST_EFFICIENCY or recomputed > MOST_RECOMPUTED:
        raise SystemExit(f"missed: {LEAST_EFFICIENCY:.0%} of the ideal, {MOST_RECOMPUTED:.0%} recomputed")


if __name__ == "__main__":
    main()
