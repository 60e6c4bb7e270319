"""Too little memory: told as one error, whatever ran out of it, and answered with smaller batches."""

import contextlib
from collections.abc import Iterator

import torch

from terrazzo.errors import OutOfMemoryError
from terrazzo.scene.header import Decisions

__all__ = ["halved", "memory_errors"]

# What torch says where the processor's or Apple's memory ends; only CUDA has an error of its own.
_SIGNS = ("DefaultCPUAllocator", "alloc_cpu", "MPS backend out of memory", "not enough memory")


@contextlib.contextmanager
def memory_errors(what: str) -> Iterator[None]:
    """Tell of memory that ran out as `OutOfMemoryError`.

    Args:
        what: What was computed, such as "smp on 4 windows at once".
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_memory(error):
            raise
        reason = str(error).partition("\n")[0].strip().rstrip(".") or "nothing more is known"
        raise OutOfMemoryError(
            f"There is too little memory for {what}: {reason}. Set a smaller predict.batch_size or predict.window."
        ) from error


def halved(decisions: Decisions) -> Decisions | None:
    """Return the same decisions for half as many windows at once; None where there is only one."""
    if decisions.batch_size == 1:
        return None
    batch = decisions.batch_size // 2
    batches = decisions.group_size // decisions.batch_size
    return decisions.model_copy(update={"batch_size": batch, "group_size": batch * batches})


def _is_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _SIGNS)
