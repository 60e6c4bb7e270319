"""How a machine is shared out among trials that run side by side."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings

__all__ = ["Slot", "share_out", "usable_cores", "visible_gpus"]


@dataclass(frozen=True)
class Slot:
    """What one trial at a time has.

    Attributes:
        gpus: Names of its GPUs, as CUDA_VISIBLE_DEVICES takes them; empty where it computes on the processor.
        cores: Numbers of its cores.
    """

    gpus: tuple[str, ...]
    cores: tuple[int, ...]


def share_out(
    machine: MachineSettings, *, jobs: int | None, gpus: Sequence[str], cores: Sequence[int]
) -> tuple[Slot, ...]:
    """Share a machine out: a GPU for each trial, or cores of the processor.

    Args:
        machine: What trials ask for.
        jobs: Trials at a time; one for each GPU, or one on the processor, if None. More than there are GPUs share them.
        gpus: GPUs that there are.
        cores: Cores that may be used.

    Raises:
        ConfigError: A trial asks for more GPUs than there are.

    >>> share_out(MachineSettings(accelerator="cpu"), jobs=2, gpus=(), cores=range(4))
    (Slot(gpus=(), cores=(0, 1)), Slot(gpus=(), cores=(2, 3)))
    >>> [slot.gpus for slot in share_out(MachineSettings(), jobs=3, gpus=("0", "1"), cores=range(4))]
    [('0',), ('1',), ('0',)]
    """
    if machine.accelerator == "cpu" or not gpus:
        return tuple(Slot((), part) for part in _parts(cores, jobs or 1))
    each = len(gpus) if machine.devices == "auto" else machine.devices
    if each > len(gpus):
        raise ConfigError(f"machine.devices is {each}, but {len(gpus)} GPUs are visible here.")
    groups = [tuple(gpus[first : first + each]) for first in range(0, len(gpus) - each + 1, each)]
    count = jobs or len(groups)
    return tuple(Slot(groups[number % len(groups)], part) for number, part in enumerate(_parts(cores, count)))


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the GPUs that this process may use, without touching them.

    Args:
        environment: Where CUDA_VISIBLE_DEVICES may stand.
    """
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[:count]) if named else tuple(str(number) for number in range(count))


def usable_cores() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


def _parts(cores: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """Return the cores of each of so many trials; where there are fewer cores than trials, several share one."""
    if count > len(cores):
        return [(cores[number % len(cores)],) for number in range(count)]
    size = len(cores) // count
    return [tuple(cores[number * size : (number + 1) * size]) for number in range(count)]
