"""Memory that runs out, told as one error, and what follows from it."""

import pytest
import torch

from terrazzo.errors import OutOfMemoryError
from terrazzo.scene.exhaustion import halved, memory_errors
from terrazzo.scene.header import Decisions


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        MemoryError("Unable to allocate 3 GiB"),
        MemoryError(),
    ],
)
def test_whatever_runs_out_of_memory_is_told_alike(error):
    with (
        pytest.raises(
            OutOfMemoryError, match=r"too little memory for a net: .*[^.]\. Set a smaller predict\.batch_size"
        ) as told,
        memory_errors("a net"),
    ):
        raise error
    assert told.value.__cause__ is error


def test_the_processors_own_words_are_known():
    with pytest.raises(OutOfMemoryError), memory_errors("a net"):
        torch.empty(2**50)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), memory_errors("a net"):
        raise RuntimeError("shapes do not fit")
    told = OutOfMemoryError("told before")
    with pytest.raises(OutOfMemoryError) as found, memory_errors("a net"):
        raise told
    assert found.value is told


def test_half_a_batch_keeps_the_batches_of_a_group():
    decisions = Decisions(
        device="cpu", precision="float32", compiled=False, threads=1, batch_size=5, group_size=20, strip_pixels=64
    )
    half = halved(decisions)
    assert half is not None
    assert (half.batch_size, half.group_size) == (2, 8)
    one = halved(half)
    assert one is not None
    assert (one.batch_size, one.group_size) == (1, 4)
    assert halved(one) is None
