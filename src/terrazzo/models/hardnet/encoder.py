"""The encoder of FC-HarDNet-70: a stem of stride 4 and five harmonic dense blocks.

Source: PingoLH/FCHarDNet, ptsemseg/models/hardnet.py.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import nn
from torch.nn import functional

from terrazzo.models.hardnet.block import ConvLayer, HarDBlock

__all__ = ["DEPTH", "GROWTH", "LAYERS", "STRIDES", "HardnetEncoder", "draw_weights"]

STEM = (16, 24, 32, 48)
GROWTH = (10, 16, 18, 24, 32)
"""Channels of an odd layer of each block."""
LAYERS = (4, 4, 8, 8, 8)
"""Layers of each block."""
TRANSITIONS = (64, 96, 160, 224, 320)
STRIDES = (4, 8, 16, 32, 64)
"""Pixels of the image along a pixel of each block's answer."""
DEPTH = len(LAYERS)
"""Blocks of the whole encoder."""


def draw_weights(network: nn.Module) -> None:
    """Draw all convolutions of a network from Xavier's normal distribution, as the source does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)


class HardnetEncoder(nn.Module):
    """Answers one map a block, shallow first: the blocks' own answers, the fifth's after its 1x1 convolution.

    Between two blocks stand a 1x1 convolution and average pooling by 2.

    Args:
        bands: Channels of the image.
        depth: Blocks, 0 to 5; without any the stem's answer is the only map.
    """

    def __init__(self, bands: int, *, depth: int = DEPTH) -> None:
        super().__init__()
        widths = (bands, *STEM)
        self.stem = nn.Sequential(
            *(ConvLayer(widths[layer], widths[layer + 1], stride=1 + (layer + 1) % 2) for layer in range(len(STEM)))
        )
        self.blocks = nn.ModuleList()
        self.transitions = nn.ModuleList()
        channels: list[int] = []
        width = STEM[-1]
        for index in range(depth):
            block = HarDBlock(width, growth=GROWTH[index], layers=LAYERS[index])
            self.blocks.append(block)
            channels.append(block.width)
            if index < depth - 1 or depth == DEPTH:
                width = TRANSITIONS[index]
                self.transitions.append(ConvLayer(block.width, width, kernel=1))
        ends = [width] if depth in {0, DEPTH} else []
        self.channels = (*channels[: DEPTH - 1], *ends)
        """Channels of each map."""

    def forward(
        self, image: Float[torch.Tensor, "batch band y x"]
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        """Answer the maps.

        Args:
            image: Height and width are multiples of the deepest map's stride.
        """
        return tuple(self._maps(self.stem(image)))

    def _maps(
        self, image: Float[torch.Tensor, "batch _channel _y _x"]
    ) -> Iterator[Float[torch.Tensor, "batch _channel _y _x"]]:
        for index, block in enumerate(self.blocks):
            image = block(functional.avg_pool2d(image, 2) if index else image)
            if index < DEPTH - 1:
                yield image
            if index < len(self.transitions):
                image = self.transitions[index](image)
        if len(self.blocks) in {0, DEPTH}:
            yield image
