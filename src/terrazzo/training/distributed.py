"""Processes that work on one run: started by Lightning Fabric, under torchrun or SLURM as well as alone."""

import atexit
import logging
import os
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Shaped

from terrazzo.machine import Execution, MachineSettings, configure
from terrazzo.training.fabric import (
    DDPStrategy,
    Fabric,
    MixedPrecision,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

__all__ = ["Processes", "start", "started_together"]

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float16": "16-mixed",
}


@dataclass(frozen=True)
class Processes:
    """This process among those of the run.

    Attributes:
        fabric: Lightning Fabric, launched.
        execution: Device, precision, threads and loader workers of each.
    """

    fabric: Fabric
    execution: Execution

    @property
    def rank(self) -> int:
        """Number of this process, 0..world_size - 1."""
        return int(self.fabric.global_rank)

    @property
    def world_size(self) -> int:
        """How many processes there are."""
        return int(self.fabric.world_size)

    @property
    def first(self) -> bool:
        """Whether this process writes files and tells the listener."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return torch.device(self.fabric.device)

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """The loss scaler of float16; None in other precisions."""
        plugin = self.fabric.strategy.precision
        return plugin.scaler if isinstance(plugin, MixedPrecision) else None

    def total(self, values: Shaped[torch.Tensor, "*shape"]) -> Shaped[torch.Tensor, "*shape"]:
        """Return the sum over the processes; exact for integers, and where one process alone holds each value."""
        if self.world_size == 1:
            return values
        summed = self.fabric.all_reduce(values.clone().to(self.device), reduce_op="sum")
        return summed.to(values.device) if isinstance(summed, torch.Tensor) else values

    def each(self, values: Shaped[torch.Tensor, " n"]) -> Shaped[torch.Tensor, "rank n"]:
        """Return every process's values, one row a process."""
        rows = torch.zeros((self.world_size, *values.shape), dtype=values.dtype, device=values.device)
        rows[self.rank] = values
        return self.total(rows)

    def share_buffers(self, network: torch.nn.Module) -> None:
        """Give every process the first one's buffers, such as running statistics of norms."""
        if self.world_size > 1:
            for buffer in network.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Go on when all processes are here."""
        self.fabric.barrier()


def start(settings: MachineSettings) -> Processes:
    """Configure this machine and start, or join, the processes of the run.

    Under torchrun or SLURM the launcher says how many there are; else `settings.devices` does.

    Raises:
        ConfigError: The asked device or precision does not exist here.
    """
    execution = configure(settings)
    # What Lightning would say about precision and ranks, our own notes and metadata say.
    for library in ("lightning_fabric", "lightning", "lightning.fabric", "lightning.pytorch"):
        logging.getLogger(library).setLevel(logging.WARNING)
    devices, nodes = _layout(settings)
    backend = None if settings.backend == "auto" else settings.backend
    several = nodes > 1 or not isinstance(devices, int) or devices > 1
    fabric = Fabric(
        accelerator=execution.device,
        devices=devices,
        num_nodes=nodes,
        strategy=DDPStrategy(process_group_backend=backend) if several else "auto",
        precision=PRECISIONS[execution.precision],
    )
    fabric.launch()
    atexit.register(_leave)
    return Processes(fabric, execution)


def started_together() -> bool:
    """Return whether torchrun or SLURM started this process as one of several."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["WORLD_SIZE"]) > 1
    return bool(SLURMEnvironment.detect()) and int(os.environ["SLURM_NTASKS"]) > 1


def _leave() -> None:
    """End the process group: gloo's threads abort a process that exits with them."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _layout(settings: MachineSettings) -> tuple[int | Literal["auto"], int]:
    """Return devices a machine and machines."""
    if TorchElasticEnvironment.detect():
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return local, int(os.environ["WORLD_SIZE"]) // local
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return max(int(os.environ["SLURM_NTASKS"]) // nodes, 1), nodes
    if settings.devices == "auto" and settings.accelerator == "cpu":
        return 1, 1
    return settings.devices, 1
