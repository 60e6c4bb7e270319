"""What a job takes of the machine and how long, known before it begins; and what would fit where it does not."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from terrazzo.errors import OutOfMemoryError, SpaceError
from terrazzo.host_memory import free_memory, resident_memory
from terrazzo.scene.disk_use import disk_bytes
from terrazzo.scene.header import Decisions
from terrazzo.scene.memory import Memory, device_memory_bytes, memory_of
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.probe import Decided
from terrazzo.scene.products import Products
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.strips import strips_of
from terrazzo.scene.windows import Axis
from terrazzo.scene.workforce.places import Place, count_workers, places_of

__all__ = ["Budget", "Work", "budget_of", "require_fitting"]

# Bytes of products that are encoded, compressed, given overviews, copied and read back in a second: 12000 x 12000
# classes and noise as confidence took 5.6 s of processor time of one core of a cloud Xeon (`open_outputs` fed with rows
# from memory).
_WRITTEN_PER_SECOND = 50e6
_DEVICE_SHARE = 0.9


@dataclass(frozen=True)
class Work:
    """What is computed, with what the probe measured.

    Attributes:
        plan: How the scene is cut.
        products: What is decided.
        decisions: Device, precision, batch, threads.
        window_bytes: Most that a forward pass takes for each window of its batch.
        lanes: Forward passes side by side in a single worker.
        rate: Windows a second; None where it was not measured.
    """

    plan: ScenePlan
    products: Products
    decisions: Decisions
    window_bytes: int
    lanes: int
    rate: float | None

    @classmethod
    def of(cls, plan: ScenePlan, products: Products, decided: Decided) -> "Work":
        """Return what is computed, from what the probe decided."""
        report = decided.report
        return cls(plan, products, decided.decisions, report.window_bytes, report.lanes, report.rate)

    def memory(self, place: Place) -> Memory:
        """Return what a worker takes of the host above its process with the network loaded."""
        return memory_of(
            self.plan,
            self.products,
            batch_size=self.decisions.batch_size,
            group_size=self.decisions.group_size,
            lanes=place.lanes,
            network_bytes=self.window_bytes,
            device=self.decisions.device,
            readers=place.readers,
        )

    def device_bytes(self) -> int:
        """Return what a worker takes of its device beside the weights."""
        return device_memory_bytes(
            self.plan,
            self.products,
            batch_size=self.decisions.batch_size,
            group_size=self.decisions.group_size,
            lanes=1,
            network_bytes=self.window_bytes,
        )


@dataclass(frozen=True)
class Budget:
    """What a job takes, and what there is.

    Attributes:
        work: What is computed.
        places: What each worker of this machine has.
        process_bytes: Memory that this process holds with the network loaded; every other worker holds as much.
        memory_limit: Most memory of the host that the job may take, what is held already included.
        limited: Whether that was asked for; else it is what is free.
        device_free: Free memory of the device; None for a processor.
        disk: Bytes of strips, and of scratch files and maps, as they are expected.
        disk_free: Free bytes where the map is written.
        folder: Where that is.
        seconds: Expected time; None where the rate was not measured.
    """

    work: Work
    places: tuple[Place, ...]
    process_bytes: int
    memory_limit: int
    limited: bool
    device_free: int | None
    disk: tuple[int, int]
    disk_free: int
    folder: Path
    seconds: float | None

    @property
    def host_bytes(self) -> int:
        """Memory of the host over all processes at the most, what is held already included."""
        return _host_bytes(self.work, self.places, self.process_bytes)

    @property
    def device_bytes(self) -> int | None:
        """Memory of the device at the most; None for a processor."""
        return None if self.device_free is None else self.work.device_bytes()

    def refusals(self, settings: PredictSettings) -> tuple[str, ...]:
        """Return what does not fit and which setting would, a sentence or two each.

        Args:
            settings: What was asked for.
        """
        found = []
        if self.host_bytes > self.memory_limit:
            found.append(self._memory_refusal(settings))
        if self.device_free is not None and self.work.device_bytes() > _DEVICE_SHARE * self.device_free:
            found.append(
                f"The device needs about {_gib(self.work.device_bytes())} GiB of memory beside the weights, and "
                f"{_gib(self.device_free)} GiB are free. {_listed(self._device_cures())}"
            )
        if sum(self.disk) > self.disk_free:
            found.append(
                f"Strips and maps need about {_gib(sum(self.disk))} GiB of disk, and {self.folder} has "
                f"{_gib(self.disk_free)} GiB free. Free some room, choose another disk, or ask for less: "
                f"{', '.join(_disk_cures(settings)) or 'a smaller predict.area'}."
            )
        return tuple(found)

    def _memory_refusal(self, settings: PredictSettings) -> str:
        have = f"predict.memory_gib allows {_gib(self.memory_limit)} GiB"
        if not self.limited:
            have = f"{_gib(self.memory_limit)} GiB are free; predict.memory_gib larger than that tries all the same"
        smaller = [cure for cure in self._memory_cures(settings) if cure[1] < self.host_bytes]
        cures = [f"{said} takes {_gib(needed)} GiB" for said, needed in sorted(smaller, key=lambda cure: cure[1])]
        enough = ""
        if all(needed > self.memory_limit for _, needed in smaller):
            enough = f" That is not enough: this process with its network holds {_gib(self.process_bytes)} GiB already."
        return f"Mapping needs about {_gib(self.host_bytes)} GiB of memory, and {have}. {_listed(cures)}{enough}"

    def _memory_cures(self, settings: PredictSettings) -> Iterator[tuple[str, int]]:
        """Yield settings that take less memory, and how much they take."""
        work, held = self.work, self.process_bytes
        if len(self.places) > 1:
            yield "predict.workers=1", _host_bytes(work, tuple(places_of(1, work.decisions)), held)
        if work.decisions.batch_size > 1:
            single = work.decisions.model_copy(update={"batch_size": 1, "group_size": 1})
            yield "predict.batch_size=1", _host_bytes(replace(work, decisions=single), self.places, held)
        if settings.layers:
            bare = replace(work.products, items=work.products.items[:1])
            yield "predict.layers=[]", _host_bytes(replace(work, products=bare), self.places, held)
        side = work.plan.rows.size // 2
        if side >= 64:
            smaller = replace(work, plan=_with_window(work.plan, side, settings), window_bytes=work.window_bytes // 4)
            yield f"predict.window={side}", _host_bytes(smaller, self.places, held)

    def _device_cures(self) -> list[str]:
        work = self.work
        if work.decisions.batch_size == 1:
            return [f"predict.window={work.plan.rows.size // 2} takes about a quarter"]
        single = work.decisions.model_copy(update={"batch_size": 1, "group_size": 1})
        return [f"predict.batch_size=1 takes {_gib(replace(work, decisions=single).device_bytes())} GiB"]


def budget_of(work: Work, settings: PredictSettings, out: Path) -> Budget:
    """Return what a job takes, and what this machine has.

    Args:
        work: What is computed, with what the probe measured; its network is loaded.
        settings: What was asked for.
        out: The map.
    """
    # Workers on a cluster's other machines hold nothing here.
    workers = 1 if settings.executor == "ray" else count_workers(settings, work.decisions)
    places = tuple(places_of(workers, work.decisions))
    if workers == 1:
        places = (places[0].model_copy(update={"lanes": work.lanes}),)
    held = resident_memory()
    limit = held + free_memory() if settings.memory_gib is None else int(settings.memory_gib * 2**30)
    existing = next(parent for parent in out.absolute().parents if parent.exists())
    return Budget(
        work=work,
        places=places,
        process_bytes=held,
        memory_limit=limit,
        limited=settings.memory_gib is not None,
        device_free=_device_free(work.decisions),
        disk=disk_bytes(work.plan, work.products, settings, suffix=out.suffix),
        disk_free=shutil.disk_usage(existing).free,
        folder=existing,
        seconds=_expected_seconds(work, places),
    )


def require_fitting(budget: Budget, settings: PredictSettings) -> None:
    """Refuse a job that cannot fit, before anything is computed.

    Raises:
        OutOfMemoryError: The host or the device has too little memory.
        SpaceError: The disk has too little room.
    """
    refusals = budget.refusals(settings)
    if refusals:
        only_disk = len(refusals) == 1 and sum(budget.disk) > budget.disk_free
        raise (SpaceError if only_disk else OutOfMemoryError)(" ".join(refusals))


def _host_bytes(work: Work, places: tuple[Place, ...], held: int) -> int:
    """Return the memory of all processes at the most: several workers compute beside the one that joins."""
    memories = [work.memory(place) for place in places]
    if len(places) == 1:
        return held + memories[0].peak
    joining = held + memories[0].cache + memories[0].joining
    return joining + sum(held + memory.computing for memory in memories)


def _expected_seconds(work: Work, places: tuple[Place, ...]) -> float | None:
    if work.rate is None:
        return None
    written = work.plan.grid.height * work.plan.grid.width * work.products.pixel_bytes
    devices = len({place.device for place in places})
    return work.plan.windows / (work.rate * devices) + written / _WRITTEN_PER_SECOND


def _device_free(decisions: Decisions) -> int | None:
    if decisions.device != "cuda":
        return None
    import torch

    return int(torch.cuda.mem_get_info()[0])


def _with_window(plan: ScenePlan, side: int, settings: PredictSettings) -> ScenePlan:
    """Return the plan with smaller windows."""
    stride = max(round(plan.rows.stride * side / plan.rows.size), 1)
    rows = Axis.of(plan.grid.height, window=side, stride=stride)
    columns = Axis.of(plan.grid.width, window=side, stride=stride)
    return replace(plan, rows=rows, columns=columns, strips=strips_of(rows, pixels=settings.strip_pixels))


def _disk_cures(settings: PredictSettings) -> list[str]:
    cures = ["fewer predict.layers"] if settings.layers else []
    if "probabilities" in settings.layers and settings.probability_type == "float16":
        cures.append("predict.probability_type=uint8")
    if settings.polygons is not None:
        cures.append("no predict.polygons")
    return [*cures, "predict.overviews=false"] if settings.overviews else cures


def _listed(cures: list[str]) -> str:
    return f"{'; '.join(cures)}." if cures else "No setting takes less."


def _gib(count: int) -> str:
    return f"{np.ceil(count / 2**30 * 100) / 100:.2f}" if count < 10 * 2**30 else f"{count / 2**30:.1f}"
