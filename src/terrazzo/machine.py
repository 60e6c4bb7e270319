"""What a run computes on: devices, precision, threads and determinism, decided once and said."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from terrazzo.errors import ConfigError
from terrazzo.host_cores import usable_cores
from terrazzo.record import Record

if TYPE_CHECKING:
    import torch

__all__ = ["Execution", "MachineSettings", "configure", "execution_of", "precision_of", "settle_compiler"]

Precision = Literal["auto", "float32", "bfloat16", "float16"]


class MachineSettings(Record):
    """What the run computes on."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Kind of device; auto takes a GPU where there is one."""
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = 1
    """Devices (processes) on this machine; under torchrun or SLURM the launcher decides."""
    precision: Precision = "auto"
    """Arithmetic of the network; auto is bfloat16 where the device has it in hardware, else float32 (CPU) or float16
    with loss scaling (GPU)."""
    threads: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Threads of one process's arithmetic; auto takes all cores. Another number may change the last bits."""
    matmul_precision: Literal["highest", "high", "medium"] = "high"
    """Precision of float32 matrix products on devices with reduced formats."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Loader processes; auto takes half the cores, at most 8. Results never depend on it."""
    backend: Literal["auto", "gloo", "nccl"] = "auto"
    """How processes talk to each other."""
    deterministic: bool = True
    """Same config, data and hardware kind give the same bits."""
    cudnn_benchmark: bool = False
    """Let cuDNN time its algorithms; only with `deterministic: false`."""


@dataclass(frozen=True)
class Execution:
    """What the settings came to on this machine.

    Attributes:
        device: Kind of device: "cpu", "cuda" or "mps".
        precision: "float32", "bfloat16" or "float16".
        threads: Threads of one process.
        workers: Loader processes.
    """

    device: Literal["cpu", "cuda", "mps"]
    precision: Literal["float32", "bfloat16", "float16"]
    threads: int
    workers: int

    @property
    def dtype(self) -> "torch.dtype":
        """The torch type of `precision`."""
        import torch

        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.precision]


def configure(settings: MachineSettings) -> Execution:
    """Set threads, matrix precision and determinism for this process, and say what was decided.

    Raises:
        ConfigError: The asked device or precision does not exist here, or settings contradict each other.
    """
    import torch

    execution = execution_of(settings)
    torch.set_num_threads(execution.threads)
    torch.set_float32_matmul_precision(settings.matmul_precision)
    torch.backends.cudnn.benchmark = settings.cudnn_benchmark
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Filling fresh memory guards code that reads it unwritten; ours does not, and it costs time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # Not `use_deterministic_algorithms`: that loads the compiler, a second of which nothing may be used.
    torch.set_deterministic_debug_mode("error" if settings.deterministic else "default")
    return execution


def execution_of(settings: MachineSettings) -> Execution:
    """Return what the settings come to on this machine; nothing is set.

    Raises:
        ConfigError: The asked device or precision does not exist here, or settings contradict each other.
    """
    if settings.deterministic and settings.cudnn_benchmark:
        raise ConfigError("machine.cudnn_benchmark: true needs machine.deterministic: false.")
    cores = usable_cores()
    threads = cores if settings.threads == "auto" else settings.threads
    workers = min(max(cores // 2, 1), 8) if settings.workers == "auto" else settings.workers
    device = _device(settings)
    return Execution(device, precision_of(settings, device), threads, workers)


def settle_compiler() -> None:
    """Let code that is compiled from now on be as deterministic as this process was told to be."""
    import torch
    from torch._inductor import config

    config.deterministic = torch.are_deterministic_algorithms_enabled()


def _device(settings: MachineSettings) -> Literal["cpu", "cuda", "mps"]:
    import torch

    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if settings.accelerator == "auto":
        return "cuda" if present["cuda"] else "mps" if present["mps"] else "cpu"
    if not present[settings.accelerator]:
        raise ConfigError(f"machine.accelerator is {settings.accelerator}, but this machine has none; use auto or cpu.")
    return settings.accelerator


def precision_of(
    settings: MachineSettings, device: Literal["cpu", "cuda", "mps"]
) -> Literal["float32", "bfloat16", "float16"]:
    """Return the precision that the settings come to on a device.

    Raises:
        ConfigError: The device cannot compute in the asked precision.
    """
    import torch

    if settings.precision != "auto":
        if settings.precision == "float16" and device == "cpu":
            raise ConfigError("machine.precision float16 needs a GPU; on a processor use bfloat16 or float32.")
        return settings.precision
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device == "cpu" and _processor_has_bfloat16():
        return "bfloat16"
    return "float32"


def _processor_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware (AVX-512 BF16, AMX or the Arm extension)."""
    description = Path("/proc/cpuinfo")
    if not description.is_file():
        return False
    words = set(description.read_text(encoding="utf-8", errors="replace").split())
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
