"""Batch normalisation that also works where a channel holds a single value, so that a batch of one image can train.

A mean over one value is that value: torch refuses it. Global pooling in front of a norm (DeepLab, PAN, UPerNet,
squeeze-and-excite) meets it with a batch of one, any network with an input of one deepest pixel.
"""

import torch
from jaxtyping import Float
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["SingleValueNorm", "allow_single_values"]


class SingleValueNorm(_BatchNorm):
    """Mixed in front of a batch norm: one value per channel is normalised with the running statistics.

    Such a call neither reads nor moves the statistics of a batch; every other call is the norm's own.
    """

    def forward(self, input: Float[torch.Tensor, "batch channel *rest"]) -> Float[torch.Tensor, "batch channel *rest"]:  # noqa: A002 - torch's own name
        """Normalise."""
        single = self.training and self.track_running_stats and input.numel() == input.shape[1]
        if not single:
            return super().forward(input)
        self.training = False
        try:
            return super().forward(input)
        finally:
            self.training = True


_MIXED: dict[type[_BatchNorm], type[_BatchNorm]] = {}


def allow_single_values(network: torch.nn.Module) -> None:
    """Let every batch norm inside a network take one value per channel.

    Parameters, buffers and their names stay, so that a state dict fits before and after. Only the class of each norm
    changes, so norms with an activation inside (timm's) keep it.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, SingleValueNorm):
            kind = type(module)
            if kind not in _MIXED:
                _MIXED[kind] = type(f"SingleValue{kind.__name__}", (SingleValueNorm, kind), {})
            module.__class__ = _MIXED[kind]
