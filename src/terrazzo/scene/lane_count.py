"""How many forward passes run side by side: one a core, if memory allows. The map never depends on it."""

from terrazzo.host_cores import usable_cores
from terrazzo.host_memory import free_memory
from terrazzo.scene.header import Decisions
from terrazzo.scene.memory import memory_bytes
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products

__all__ = ["lane_count"]


def lane_count(
    decisions: Decisions,
    plan: ScenePlan,
    products: Products,
    *,
    window_bytes: int,
    room: int | None = None,
    workers: int = 1,
) -> int:
    """Return how many forward passes one worker runs side by side, at least one; on a GPU it is one.

    Args:
        decisions: Device, threads of a pass and batch.
        plan: How the scene is cut.
        products: What is decided.
        window_bytes: Most that a forward pass takes for each window of its batch.
        room: Bytes of the host's memory that all workers may take beside their networks; what is free if None.
        workers: Processes that share this machine.
    """
    if decisions.device != "cpu":
        return 1
    cores = usable_cores()
    share = (free_memory() if room is None else room) // workers
    lanes = max(cores // decisions.threads // workers, 1)
    while lanes > 1 and _needed(decisions, plan, products, lanes=lanes, window_bytes=window_bytes) > share:
        lanes -= 1
    return lanes


def _needed(decisions: Decisions, plan: ScenePlan, products: Products, *, lanes: int, window_bytes: int) -> int:
    return memory_bytes(
        plan,
        products,
        batch_size=decisions.batch_size,
        group_size=decisions.group_size,
        lanes=lanes,
        network_bytes=window_bytes,
        device=decisions.device,
    )
