"""What of a cluster each worker has: a GPU, or as many cores as a whole machine offers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terrazzo.errors import ConfigError
from terrazzo.scene.header import Decisions
from terrazzo.scene.workforce.places import Place, readers_of

__all__ = ["Crowd", "crowd_of"]

_GPU_STEPS = 10_000
"""Ray divides a GPU into such steps."""


@dataclass(frozen=True)
class Crowd:
    """How many workers a cluster has room for, and what each of them needs.

    Attributes:
        size: Workers.
        cores: Cores of each.
        gpus: GPUs of each; less than 1 where several share one.
        place: What it makes of them.
    """

    size: int
    cores: int
    gpus: float
    place: Place


def crowd_of(machines: Sequence[Mapping[str, float]], workers: int | None, decisions: Decisions) -> Crowd:
    """Divide a cluster.

    Args:
        machines: `CPU` and `GPU` of each machine, as Ray counts them.
        workers: How many are asked for; one a GPU, or one a machine, if None.
        decisions: Kind of device, and threads of one forward pass.

    Raises:
        ConfigError: The cluster has no such device, or not as many cores as workers are asked for.

    >>> decisions = Decisions(device="cpu", precision="float32", compiled=False, threads=2, batch_size=1, group_size=1,
    ...     strip_pixels=1)
    >>> crowd_of([{"CPU": 16.0}, {"CPU": 8.0}], None, decisions)
    Crowd(size=3, cores=8, gpus=0.0, place=Place(device=None, lanes=4, readers=4))
    """
    if decisions.device == "cuda":
        return _on_gpus(machines, workers, decisions)
    cores = [int(machine.get("CPU", 0)) for machine in machines if machine.get("CPU", 0) >= 1]
    if not cores:
        raise ConfigError("The Ray cluster offers no cores; start it with `ray start --num-cpus=N`.")
    if workers is None:
        share = min(cores)
    elif workers <= sum(cores):
        share = next(size for size in range(max(cores), 0, -1) if _fit(cores, size) >= workers)
    else:
        raise ConfigError(
            f"predict.workers is {workers}, but the Ray cluster offers {sum(cores)} cores; ask for as many at most."
        )
    lanes = max(share // decisions.threads, 1) if decisions.device == "cpu" else 1
    return Crowd(
        size=_fit(cores, share) if workers is None else workers,
        cores=share,
        gpus=0.0,
        place=Place(lanes=lanes, readers=readers_of(share, decisions)),
    )


def _on_gpus(machines: Sequence[Mapping[str, float]], workers: int | None, decisions: Decisions) -> Crowd:
    """Give each worker a GPU, and its share of its machine's cores; several share one where more are asked for."""
    equipped = [machine for machine in machines if machine.get("GPU", 0) >= 1]
    gpus = [int(machine["GPU"]) for machine in equipped]
    if not gpus:
        raise ConfigError("The network was to run on CUDA, but the Ray cluster offers no GPU; see `ray status`.")
    size = sum(gpus) if workers is None else workers
    together = -(-size // sum(gpus))
    cores = min(int(machine.get("CPU", 0) // (machine["GPU"] * together)) for machine in equipped)
    return Crowd(
        size=size,
        cores=cores,
        gpus=1.0 if together == 1 else (_GPU_STEPS // together) / _GPU_STEPS,
        place=Place(readers=readers_of(cores, decisions)),
    )


def _fit(cores: Sequence[int], size: int) -> int:
    """Return how many workers of so many cores find room."""
    return sum(machine // size for machine in cores)
