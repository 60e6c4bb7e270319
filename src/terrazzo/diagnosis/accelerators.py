"""Graphics processors: whether driver and torch fit, what is free, and whether they really compute."""

import ctypes
import glob
import os
from collections.abc import Iterator

import torch

from terrazzo.diagnosis.finding import Finding, Level, gibibytes

__all__ = ["check_accelerators"]

_CROWDED = 0.5
_TOO_OLD = (7, 0)  # below this there are no tensor cores


def check_accelerators() -> list[Finding]:
    """Return findings about CUDA and MPS devices, and why there are none where the machine has some."""
    if torch.cuda.is_available():
        return [*_cuda(), *_settings()]
    if torch.backends.mps.is_available():
        return [Finding("gpu", Level.FINE, "MPS (Apple)", facts={"kind": "mps"})]
    return [_why_none()]


def _why_none() -> Finding:
    """Say why torch sees no GPU: there is none, it is hidden, torch has no CUDA, or the driver is too old."""
    nodes = glob.glob("/dev/nvidia[0-9]*")  # noqa: PTH207 - a device node is no file of ours
    driver, built = _driver_cuda(), torch.version.cuda
    facts = {"devices": nodes, "driver_cuda": driver, "torch_cuda": built}
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not nodes and driver is None:
        return Finding("gpu", Level.NOTE, "none; networks run on the processor", facts=facts)
    if hidden is not None and hidden.strip() in {"", "-1"}:
        said = f'hidden from this process by CUDA_VISIBLE_DEVICES="{hidden}"'
        return Finding("gpu", Level.WARNING, said, "Unset it to use the GPU.", facts)
    if built is None:
        said = "there is an NVIDIA GPU, but this torch was built without CUDA"
        return Finding("gpu", Level.WARNING, said, "Install the build of torch for your CUDA version.", facts)
    if driver is None:
        said = "there is an NVIDIA GPU, but its driver's library libcuda cannot be loaded"
        advice = "Install the NVIDIA driver; in a container, start it with --gpus all."
        return Finding("gpu", Level.WARNING, said, advice, facts)
    if _version(driver) < _version(built):
        said = f"the driver knows CUDA up to {driver}, but torch was built for CUDA {built}"
        return Finding("gpu", Level.WARNING, said, "Update the driver, or install a torch for its CUDA version.", facts)
    said = f"there is an NVIDIA GPU and a driver for CUDA {driver}, but torch cannot use it"
    return Finding(
        "gpu", Level.WARNING, said, "Run nvidia-smi; restart the machine after an update of the driver.", facts
    )


def _driver_cuda() -> str | None:
    """Return the newest CUDA version that the driver knows, asked of the driver itself; None where there is none."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    number = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(number)) != 0 or not number.value:
        return None
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _cuda() -> Iterator[Finding]:
    driver = _driver_cuda()
    for index in range(torch.cuda.device_count()):
        subject = f"gpu {index}"
        properties = torch.cuda.get_device_properties(index)
        capability = (properties.major, properties.minor)
        facts = {
            "name": properties.name, "capability": list(capability), "total_bytes": properties.total_memory,
            "driver_cuda": driver, "torch_cuda": torch.version.cuda, "cudnn": _cudnn(),
        }  # fmt: skip
        try:
            free, total = torch.cuda.mem_get_info(index)
            _convolve(index)
        except RuntimeError as error:
            kinds = ", ".join(torch.cuda.get_arch_list())
            said = f"{properties.name} does not compute: {str(error).splitlines()[0]}"
            advice = (
                f"This torch holds code for {kinds}, the GPU is sm_{capability[0]}{capability[1]}; "
                "stop other jobs, or install a torch for it, or set machine.accelerator=cpu."
            )
            yield Finding(subject, Level.WARNING, said, advice, facts)
            continue
        facts["free_bytes"] = free
        said = (
            f"{properties.name}, {gibibytes(free)} of {gibibytes(total)} free, CUDA {torch.version.cuda} "
            f"(driver up to {driver or '?'}), cuDNN {_cudnn()}"
        )
        if free < _CROWDED * total:
            advice = "Other processes hold most of its memory: see nvidia-smi."
            yield Finding(subject, Level.WARNING, said, advice, facts)
        elif capability < _TOO_OLD:
            yield Finding(subject, Level.NOTE, said, "It has no tensor cores: float16 will not be faster.", facts)
        else:
            yield Finding(subject, Level.FINE, said, facts=facts)
    if torch.cuda.device_count() > 1 and not torch.distributed.is_nccl_available():
        said = "several GPUs, but this torch has no NCCL, by which they talk to each other"
        yield Finding("nccl", Level.WARNING, said, "Install torch's build for Linux, or set machine.backend=gloo.")


def _cudnn() -> int | None:
    """Return cuDNN's version number; None where torch has none."""
    known: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return known


def _convolve(index: int) -> None:
    """Run a small convolution, which needs the driver, cuDNN and code for this very GPU.

    Raises:
        RuntimeError: One of them is missing, or the memory is full.
    """
    image = torch.ones(1, 3, 16, 16, device=f"cuda:{index}")
    torch.nn.functional.conv2d(image, torch.ones(4, 3, 3, 3, device=image.device)).sum().item()


def _settings() -> Iterator[Finding]:
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    if workspace is not None and workspace not in {":4096:8", ":16:8"}:
        said = f"CUBLAS_WORKSPACE_CONFIG={workspace} makes cuBLAS refuse machine.deterministic: true"
        yield Finding("repeatability", Level.WARNING, said, "Unset it, or set it to :4096:8.")
