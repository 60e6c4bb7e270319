"""Feature maps of any strides brought to a quarter of the image's resolution and one width."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch.nn import functional

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.channel_norm import ChannelNorm, NormKind
from terrazzo.models.refiner.recursion import initialise

__all__ = ["STRIDE", "Projection"]

STRIDE = 4
"""Of the features, the states and the logits of each step, in pixels of the image."""


class Projection(torch.nn.Module):
    """Feature maps of any strides summed into one at stride 4, normalised as the states are.

    Args:
        layout: Of the maps.
        width: Channels of the result.
        norm: Over the channels of each cell.
    """

    def __init__(self, layout: FeatureLayout, width: int, norm: NormKind) -> None:
        super().__init__()
        # One bias is enough for a sum.
        self.projections = torch.nn.ModuleList(
            torch.nn.Conv2d(channels, width, 1, bias=place == 0) for place, channels in enumerate(layout.channels)
        )
        initialise(self.projections)
        self.strides = layout.strides
        self.norm = ChannelNorm(width, norm, learned=False)

    def forward(
        self, maps: Sequence[Float[torch.Tensor, "batch _ _y _x"]], rows: int, columns: int
    ) -> Float[torch.Tensor, "batch channel {rows} {columns}"]:
        """Return the features at rows x columns cells.

        Args:
            maps: In the order of the layout.
            rows: Rows of the padded image / 4.
            columns: Columns of the padded image / 4.
        """
        total: torch.Tensor | None = None
        for one, stride, project in zip(maps, self.strides, self.projections, strict=True):
            # A projection and a mean over cells commute, so each works on the smaller map.
            if STRIDE % stride == 0:
                resized = project(functional.avg_pool2d(one, STRIDE // stride) if stride < STRIDE else one)
            else:
                resized = functional.interpolate(project(one), size=(rows, columns), mode="bilinear")
            total = resized if total is None else total + resized
        features: torch.Tensor = self.norm(total)
        return features
