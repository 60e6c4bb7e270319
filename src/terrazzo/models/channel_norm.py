"""Normalisation over the channels of each cell alone: the same in any batch, at any size and at any recursion."""

from typing import Literal

import torch
from jaxtyping import Float
from torch.nn import functional

__all__ = ["ChannelNorm", "NormKind"]

NormKind = Literal["rms", "layer"]
"""`rms` divides by the root mean square over channels, `layer` takes their mean off first."""

EPSILON = 1e-5


class ChannelNorm(torch.nn.Module):
    """Normalises each cell of a map over its channels, in float32 whatever the map is in.

    Args:
        channels: Of the map.
        kind: `rms` or `layer`.
        learned: Whether each channel gets a trained gain, and with `layer` an offset.

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, NeurIPS 2019, equation 4; Ba et al., Layer
        Normalization, 2016, equation 4.
    """

    def __init__(self, channels: int, kind: NormKind = "layer", *, learned: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.kind = kind
        self.weight = torch.nn.Parameter(torch.ones(channels)) if learned else None
        self.bias = torch.nn.Parameter(torch.zeros(channels)) if learned and kind == "layer" else None

    def forward(self, image: Float[torch.Tensor, "batch channel y x"]) -> Float[torch.Tensor, "batch channel y x"]:
        """Return the normalised map in the type of the given one."""
        values = image.movedim(1, -1).float()
        if self.kind == "rms":
            values = functional.rms_norm(values, (self.channels,), self.weight, EPSILON)
        else:
            values = functional.layer_norm(values, (self.channels,), self.weight, self.bias, EPSILON)
        return values.movedim(-1, 1).to(image.dtype)
