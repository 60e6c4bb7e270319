"""What of the machine each worker has: a GPU, or a share of the processor's cores."""

from terrazzo.host_cores import usable_cores
from terrazzo.record import Record
from terrazzo.scene.header import Decisions
from terrazzo.scene.settings import PredictSettings

__all__ = ["Place", "count_workers", "places_of", "readers_of"]

# A processor's network takes no more than a few threads decode; a GPU takes what sixteen cores can give.
_MOST_READERS, _MOST_READERS_OF_GPU = 4, 12


class Place(Record):
    """What of the machine a worker has."""

    device: int | None = None
    """Position of its GPU among those that the job may use; None on a processor."""
    lanes: int = 1
    """Forward passes side by side."""
    readers: int = 1
    """Threads that decode the scene."""


def count_workers(settings: PredictSettings, decisions: Decisions) -> int:
    """Return how many processes of this machine share a scene: as many as asked for, else one a device."""
    return _devices(decisions) if settings.workers == "auto" else settings.workers


def places_of(workers: int, decisions: Decisions) -> list[Place]:
    """Divide the machine: a GPU each, in turn, or an equal share of the forward passes that the cores allow.

    Args:
        workers: Processes.
        decisions: Kind of device, and threads of one forward pass.
    """
    cores = usable_cores()
    readers = readers_of(cores // workers, decisions)
    if decisions.device == "cpu":
        passes = cores // decisions.threads
        shares = [passes // workers + (number < passes % workers) for number in range(workers)]
        return [Place(lanes=max(share, 1), readers=readers) for share in shares]
    # A single worker sees the GPU that the whole job sees.
    devices = _devices(decisions) if workers > 1 else 0
    return [Place(device=number % devices if devices > 1 else None, readers=readers) for number in range(workers)]


def readers_of(cores: int, decisions: Decisions) -> int:
    """Return how many threads decode the scene for one worker.

    Args:
        cores: The worker's share.
        decisions: Kind of device.
    """
    return min(max(cores, 1), _MOST_READERS_OF_GPU if decisions.device == "cuda" else _MOST_READERS)


def _devices(decisions: Decisions) -> int:
    """Return how many devices of the decided kind this machine has."""
    if decisions.device != "cuda":
        return 1
    import torch

    return max(torch.cuda.device_count(), 1)
