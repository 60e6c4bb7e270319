"""Activations computed again in the backward pass instead of being kept, with batch norms that count a batch once."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

__all__ = ["recomputed", "statistics_kept"]


def recomputed(
    part: torch.nn.Module,
    call: Callable[[torch.Tensor], torch.Tensor],
    image: Float[torch.Tensor, "batch _channel y x"],
) -> Float[torch.Tensor, "batch _other _y _x"]:
    """Return `call(image)`, keeping only `image` for the backward pass.

    The second computation leaves running statistics alone, so that training comes to the same bits as without.

    Args:
        part: Whose batch norms `call` runs.
        call: Computes the answer of the part.
        image: What goes in.
    """
    norms = [module for module in part.modules() if isinstance(module, _BatchNorm)]
    answer: torch.Tensor = checkpoint(
        call, image, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), statistics_kept(norms))
    )
    return answer


@contextlib.contextmanager
def statistics_kept(norms: list[_BatchNorm]) -> Iterator[None]:
    """Let norms move copies of their running statistics while a second computation does all that the first one did."""
    kept = [(norm, name, value) for norm in norms for name, value in norm.named_buffers(recurse=False)]
    for norm, name, value in kept:
        setattr(norm, name, value.clone())
    try:
        yield
    finally:
        for norm, name, value in kept:
            setattr(norm, name, value)
