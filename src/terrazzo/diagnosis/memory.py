"""Memory of the host: free, limited by a container, shared between loader processes; and files that may be open."""

import os
import resource
import shutil
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

from terrazzo.diagnosis.finding import Finding, Level, gibibytes
from terrazzo.host_memory import free_memory, limited_memory

__all__ = ["check_memory"]

_SHARED = Path("/dev/shm")  # noqa: S108 - the place of shared memory, not of a file of ours
_SWAP = Path("/proc/meminfo")
_LITTLE, _HARDLY = 4 * 2**30, 2**30
# Sixteen patches of 512 x 512 pixels and three bands, with labels, are 70 MiB; each loader process keeps two ahead.
_SHARED_LITTLE, _SHARED_HARDLY = 2**30, 128 * 2**20
_FILES_LITTLE, _FILES_HARDLY = 1024, 256


def check_memory() -> list[Finding]:
    """Return findings about memory, shared memory and open files."""
    return [*_host(), *_shared(), *_files()]


def _host() -> Iterator[Finding]:
    free = free_memory()
    total, limit = limited_memory()
    facts = {"free_bytes": free, "total_bytes": total, "limit_bytes": limit, "swap_bytes": _swap()}
    said = f"{gibibytes(free)} free of {gibibytes(total)}"
    if limit is not None:
        said += f"; a container or batch system allows {gibibytes(limit)}"
    if free < _HARDLY:
        advice = "Stop other programs or raise the limit: loading torch and a network takes about 1 GiB."
        yield Finding("memory", Level.WARNING, said, advice, facts)
    elif free < _LITTLE:
        advice = "Enough to map and to try things; for training set machine.workers=1 and a small train.batch_size."
        yield Finding("memory", Level.NOTE, said, advice, facts)
    else:
        yield Finding("memory", Level.FINE, said, facts=facts)


def _swap() -> int | None:
    if not _SWAP.is_file():
        return None
    for line in _SWAP.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("SwapTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _shared() -> Iterator[Finding]:
    """Loader processes hand batches over in shared memory: where it is full, they die with a bus error."""
    advice = "Start the container with --shm-size=2g (docker, podman) or --ipc=host, or set machine.workers=0."
    try:
        block = SharedMemory(create=True, size=2**20)
    except (OSError, ValueError) as error:
        yield Finding("shared memory", Level.WARNING, f"cannot be made: {error}", advice)
        return
    block.close()
    block.unlink()
    if not _SHARED.is_dir():
        yield Finding("shared memory", Level.FINE, "works")
        return
    usage = shutil.disk_usage(_SHARED)
    facts = {"free_bytes": usage.free, "total_bytes": usage.total}
    said = f"{gibibytes(usage.free)} free in {_SHARED}"
    if usage.free < _SHARED_HARDLY:
        yield Finding("shared memory", Level.WARNING, f"{said}: loader processes will fail", advice, facts)
    elif usage.free < _SHARED_LITTLE:
        yield Finding("shared memory", Level.NOTE, f"{said}: few loader processes or small batches fit", advice, facts)
    else:
        yield Finding("shared memory", Level.FINE, said, facts=facts)


def _files() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = "no limit" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    facts = {"soft": soft, "hard": hard, "open": _open_files()}
    more = "ulimit -n 4096 before you start" if hard == resource.RLIM_INFINITY or hard > soft else "ask who runs it"
    if soft != resource.RLIM_INFINITY and soft < _FILES_HARDLY:
        advice = f"Raise it: {more}; mosaics and loader processes keep many files open."
        yield Finding("open files", Level.WARNING, f"{limit} at once", advice, facts)
    elif soft != resource.RLIM_INFINITY and soft < _FILES_LITTLE:
        advice = f"Raise it where many images are read at once: {more}."
        yield Finding("open files", Level.NOTE, f"{limit} at once", advice, facts)
    else:
        yield Finding("open files", Level.FINE, f"{limit} at once", facts=facts)


def _open_files() -> int | None:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.is_dir() else None  # noqa: PTH208 - names suffice
