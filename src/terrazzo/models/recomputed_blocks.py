"""Gradient checkpointing of networks built of blocks: a block keeps its input alone and is computed again backwards."""

import contextlib
import functools

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from terrazzo.models.recomputing import statistics_kept

__all__ = ["RecomputedBlock", "recompute_blocks"]


class RecomputedBlock(torch.nn.Module):
    """Mixed in front of a block: in training its activations are computed again instead of being kept.

    The second computation draws the same random numbers and leaves running statistics alone: training comes to the same
    bits as without.
    """

    def forward(self, *arguments: object, **named: object) -> object:
        """Answer as the block does."""
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*arguments, **named)
        norms = [module for module in self.modules() if isinstance(module, _BatchNorm)]
        return checkpoint(
            functools.partial(super().forward, **named),
            *arguments,
            use_reentrant=False,
            context_fn=lambda: (contextlib.nullcontext(), statistics_kept(norms)),
        )


_MIXED: dict[type[torch.nn.Module], type[torch.nn.Module]] = {}


def recompute_blocks(network: torch.nn.Module) -> int:
    """Let every block of a network compute its activations again in the backward pass.

    A block is a part of a sequence or list of parts that has parts of its own, such as each residual block of a stage;
    of blocks inside blocks the innermost are taken. Parameters, buffers and their names stay; only classes change.

    Returns:
        How many blocks will do so from now on.
    """
    containers = (one for one in network.modules() if isinstance(one, torch.nn.Sequential | torch.nn.ModuleList))
    found = dict.fromkeys(child for one in containers for child in one.children() if _is_block(child))
    outer = {block for block in found if any(other in found for other in block.modules() if other is not block)}
    fresh = [block for block in found if block not in outer and not isinstance(block, RecomputedBlock)]
    for block in fresh:
        kind = type(block)
        if kind not in _MIXED:
            _MIXED[kind] = type(f"Recomputed{kind.__name__}", (RecomputedBlock, kind), {})
        block.__class__ = _MIXED[kind]
    return len(fresh)


def _is_block(module: torch.nn.Module) -> bool:
    """Whether a part can be called and has parts and parameters of its own; containers of blocks cannot be called."""
    if isinstance(module, torch.nn.ModuleList | torch.nn.ModuleDict):
        return False
    return next(module.children(), None) is not None and next(module.parameters(), None) is not None
