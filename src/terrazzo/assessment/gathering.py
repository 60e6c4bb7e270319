"""Tensors of every process brought together: as bytes of safetensors, so that nothing is rounded or unpickled."""

from collections.abc import Mapping

import numpy as np
import safetensors.torch
import torch

from terrazzo.training.distributed import Processes

__all__ = ["gathered"]


def gathered(processes: Processes, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the named tensors of all processes; each must call this.

    Args:
        processes: Who takes part.
        tensors: This process's, on the processor, under names that no other process has.
    """
    if processes.world_size == 1:
        return dict(tensors)
    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    sizes = processes.each(torch.tensor([len(content)]))[:, 0].tolist()
    own = torch.zeros(max(sizes), dtype=torch.uint8)
    own[: len(content)] = torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())
    found: dict[str, torch.Tensor] = {}
    for row, size in zip(processes.each(own), sizes, strict=True):
        found |= safetensors.torch.load(row[:size].numpy().tobytes())
    return found
