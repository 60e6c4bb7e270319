"""A light stem: a few convolutions down to a quarter of the resolution, for what refines or decodes from there."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field

from terrazzo.models.backbones.backbone import Backbone, BackboneNetwork, FeatureLayout
from terrazzo.models.channel_norm import ChannelNorm

__all__ = ["Stem", "StemNetwork"]


class Stem(Backbone):
    """Two strided convolutions and a few residual blocks, from random weights; one map at stride 4.

    Its norms look at one cell each, so a tile's features depend neither on the batch nor on the tile's size.
    """

    name: Literal["stem"] = "stem"
    """A light stem at stride 4."""
    width: Annotated[int, Field(ge=4)] = 64
    """Channels of the map; half as many at stride 2."""
    blocks: Annotated[int, Field(ge=0)] = 2
    """Residual blocks of two 3 x 3 convolutions at stride 4."""

    def build(self, *, bands: int) -> BackboneNetwork:
        """Return a freshly initialised stem."""
        return StemNetwork(bands, self.width, self.blocks)


class StemNetwork(BackboneNetwork):
    """A built stem.

    Args:
        bands: Channels of the image.
        width: Channels of the map.
        blocks: Residual blocks.
    """

    def __init__(self, bands: int, width: int, blocks: int) -> None:
        super().__init__()
        self.layout = FeatureLayout(channels=(width,), strides=(4,), multiple=4)
        half = width // 2
        self.reduce = torch.nn.Sequential(
            torch.nn.Conv2d(bands, half, 3, stride=2, padding=1),
            ChannelNorm(half),
            torch.nn.SiLU(),
            torch.nn.Conv2d(half, width, 3, stride=2, padding=1),
        )
        self.blocks = torch.nn.Sequential(*(Residual(width) for _ in range(blocks)))
        self.norm = ChannelNorm(width)

    def forward(
        self, image: Float[torch.Tensor, "batch band y x"]
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        """Answer one map at stride 4."""
        return (self.norm(self.blocks(self.reduce(image))),)


class Residual(torch.nn.Module):
    """x + two convolutions, each behind a norm and SiLU.

    Source: He et al., Identity Mappings in Deep Residual Networks, ECCV 2016, figure 4e.
    Differs: Norms over the channels of a cell, SiLU.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        parts: list[torch.nn.Module] = []
        for _ in range(2):
            parts += [ChannelNorm(width), torch.nn.SiLU(), torch.nn.Conv2d(width, width, 3, padding=1)]
        self.layers = torch.nn.Sequential(*parts)

    def forward(self, image: Float[torch.Tensor, "batch channel y x"]) -> Float[torch.Tensor, "batch channel y x"]:
        """Return the sum."""
        total: torch.Tensor = image + self.layers(image)
        return total
