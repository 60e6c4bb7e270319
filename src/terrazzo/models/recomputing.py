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
    # A norm that sees one value a channel needs its statistics, and there is nothing to save.
    if not torch.is_grad_enabled() or image.numel() == image.shape[1]:
        return call(image)
    answer: torch.Tensor = checkpoint(
        call, image, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), statistics_kept(norms))
    )
    return answer


@contextlib.contextmanager
def statistics_kept(norms: list[_BatchNorm]) -> Iterator[None]:
    """Let norms in training normalise by their batch and leave their running statistics as they are."""
    tracking = [norm for norm in norms if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
