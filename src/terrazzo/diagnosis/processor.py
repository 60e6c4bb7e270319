"""The processor: what it multiplies fast, and how much of it this process may use."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from terrazzo.control_groups import processor_quota
from terrazzo.diagnosis.finding import Finding, Level
from terrazzo.host_cores import usable_cores

__all__ = ["check_processor"]

_DESCRIPTION = Path("/proc/cpuinfo")
_TELLING = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def check_processor() -> list[Finding]:
    """Return findings about cores, features, quotas and settings of threads."""
    return [*_features(), *_quota(), *_threads()]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _features() -> Iterator[Finding]:
    import torch

    text = _DESCRIPTION.read_text(encoding="utf-8", errors="replace") if _DESCRIPTION.is_file() else ""
    words = set(text.split())
    features = [name for name in _TELLING if name in words]
    named = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    model = next(named, platform.processor() or platform.machine())
    cores, level = _cores(), torch.backends.cpu.get_cpu_capability()
    facts = {"model": model, "cores": cores, "of": os.cpu_count(), "features": features, "used_by_torch": level}
    said = f"{model}, {cores} of {os.cpu_count()} cores, {', '.join(features) or 'no vector features known'}"
    if text and platform.machine() in {"x86_64", "AMD64"} and "avx2" not in words:
        advice = (
            "Without AVX2 networks run several times slower; in a virtual machine pass the host's processor through."
        )
        yield Finding("processor", Level.WARNING, said, advice, facts)
    else:
        yield Finding("processor", Level.FINE, said, facts=facts)


def _quota() -> Iterator[Finding]:
    quota, cores = processor_quota(), _cores()
    if quota is None or quota >= cores:
        return
    said = f"{quota:g} processors' time, though {cores} cores are seen; `auto` counts {usable_cores()}"
    advice = "Threads and processes that you set yourself should be no more: they would wait for each other."
    yield Finding("processor limit", Level.NOTE, said, advice, {"quota": quota, "cores": cores})


def _threads() -> Iterator[Finding]:
    cores = usable_cores()
    given = {name: os.environ[name] for name in _THREADS if os.environ.get(name)}
    said = ", ".join(f"{name}={value}" for name, value in given.items())
    if not given:
        yield Finding("threads", Level.FINE, f"one a core: {cores} (machine.threads sets another number)")
    elif any(value.isdigit() and int(value) > cores for value in given.values()):
        advice = f"Unset them, or take {cores} at most: threads without a core of their own wait for each other."
        yield Finding("threads", Level.WARNING, f"{said}, but {cores} cores", advice, given)
    else:
        advice = "They bind loaders and libraries; machine.threads alone binds the network's arithmetic."
        yield Finding("threads", Level.NOTE, said, advice, given)
