"""Multiplications counted, whatever calls them: a hook below torch's dispatcher sees functions as well as modules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["CONVENTION", "Operations", "Parameters", "count_operations", "count_parameters"]

CONVENTION = (
    "1 MAC = one multiplication with its addition = 2 FLOPs; counted are convolutions, matrix products and attention, "
    "not norms, activations, pooling, resizing or other work element by element"
)
"""What a count means."""


@dataclass(frozen=True)
class Parameters:
    """Numbers that a network holds.

    Attributes:
        trainable: Changed by training.
        frozen: Parameters that training leaves alone; buffers such as running statistics are no parameters.
        bytes: Of both, as they are stored.
    """

    trainable: int
    frozen: int
    bytes: int


@dataclass(frozen=True)
class Operations:
    """Work of a computation.

    Attributes:
        macs: Multiplications, each with its addition.
        kinds: The same by torch's operation, such as "convolution".
    """

    macs: int
    kinds: Mapping[str, int]


def count_parameters(network: torch.nn.Module) -> Parameters:
    """Count a network's parameters, shared ones once.

    >>> count_parameters(torch.nn.Linear(2, 3))
    Parameters(trainable=9, frozen=0, bytes=36)
    """
    trainable = sum(each.numel() for each in network.parameters() if each.requires_grad)
    frozen = sum(each.numel() for each in network.parameters() if not each.requires_grad)
    return Parameters(trainable, frozen, sum(each.nbytes for each in network.parameters()))


def count_operations(call: Callable[[], object]) -> Operations:
    """Run a computation and count its multiplications.

    torch counts FLOPs, two for a multiplication and its addition, and leaves additions of a bias out.

    >>> image, weight = torch.zeros(1, 4, 8, 8), torch.zeros(6, 2, 3, 3)
    >>> count_operations(lambda: torch.nn.functional.conv2d(image, weight, groups=2))
    Operations(macs=3888, kinds={'convolution': 3888})

    Source: torch.utils.flop_counter; 6 x 6 cells, 6 channels, 2 x 3 x 3 weights each in the example.
    """
    # The fused layers of torch's transformers are one operation that no counter looks into.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    found = counter.get_flop_counts().get("Global", {})
    kinds = {str(operation).removeprefix("aten."): flops // 2 for operation, flops in found.items()}
    return Operations(sum(kinds.values()), kinds)
