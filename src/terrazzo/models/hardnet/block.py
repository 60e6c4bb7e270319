"""The harmonic dense block: layers linked by powers of two.

Source: Chao et al., HarDNet: A Low Memory Traffic Network, ICCV 2019 (arXiv 1909.00948), section 3; block order and
rounding as in PingoLH/FCHarDNet, ptsemseg/models/hardnet.py.
"""

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import nn

from terrazzo.models.recomputing import recomputed

__all__ = ["MULTIPLIER", "ConvLayer", "HarDBlock", "layer_width", "linked_layers"]

MULTIPLIER = 1.7
"""By how much a layer grows for each further layer that it is linked to."""


def linked_layers(layer: int) -> tuple[int, ...]:
    """Return the layers whose answers a layer takes, nearest first; layer 0 is the block's input.

    >>> [linked_layers(layer) for layer in (1, 2, 3, 4, 8)]
    [(0,), (1, 0), (2,), (3, 2, 0), (7, 6, 4, 0)]
    """
    # The powers of two that divide a number are not above it, so no link reaches beyond the input.
    return tuple(layer - (1 << power) for power in range(layer.bit_length()) if layer % (1 << power) == 0)


def layer_width(layer: int, growth: int) -> int:
    """Return the channels of a layer: growth times the multiplier for each link but the first, rounded to even.

    >>> [layer_width(layer, 18) for layer in range(1, 9)]
    [18, 30, 18, 52, 18, 30, 18, 88]
    """
    width: float = growth
    for _ in linked_layers(layer)[1:]:
        width *= MULTIPLIER
    return int(int(width + 1) / 2) * 2


class ConvLayer(nn.Sequential):
    """Convolution without bias, batch norm, ReLU, and dropout where asked for.

    Args:
        channels: Channels of the input.
        width: Channels of the answer.
        kernel: Side of the kernel, odd; the input is padded with zeros.
        stride: Pixels of the input along a pixel of the answer.
        dropout: Share of values that training drops.
    """

    def __init__(self, channels: int, width: int, *, kernel: int = 3, stride: int = 1, dropout: float = 0.0) -> None:
        layers: dict[str, nn.Module] = {
            "conv": nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False),
            "norm": nn.BatchNorm2d(width),
            "relu": nn.ReLU(inplace=True),
        }
        if dropout:
            layers["dropout"] = nn.Dropout(dropout)
        super().__init__(OrderedDict(layers))


class HarDBlock(nn.Module):
    """Layers of 3x3 convolutions; layer l takes layers l - 1, l - 2, l - 4, ... as far as the step divides l.

    The answer is the concatenation of all odd layers and the last one, in order.

    Args:
        channels: Channels of the input.
        growth: Channels of an odd layer.
        layers: Number of layers.
        keep_input: Whether the input stands first in the answer.
        dropout: Share of values that training drops after each layer.
    """

    def __init__(
        self, channels: int, *, growth: int, layers: int, keep_input: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        widths = [channels, *(layer_width(layer, growth) for layer in range(1, layers + 1))]
        self.links = [linked_layers(layer) for layer in range(1, layers + 1)]
        self.layers = nn.ModuleList(
            ConvLayer(sum(widths[link] for link in links), widths[layer], dropout=dropout)
            for layer, links in enumerate(self.links, 1)
        )
        self.answered = [
            layer for layer in range(layers + 1) if (layer == 0 and keep_input) or layer == layers or layer % 2 == 1
        ]
        self.width = sum(widths[layer] for layer in self.answered)
        """Channels of the answer."""
        self.recompute = False
        """Whether training computes the layers again in the backward pass instead of keeping their answers."""

    def forward(self, image: Float[torch.Tensor, "batch _channel y x"]) -> Float[torch.Tensor, "batch _width y x"]:
        """Answer at the size of the input."""
        if self.recompute and self.training:
            return recomputed(self, self._run, image)
        return self._run(image)

    def _run(self, image: Float[torch.Tensor, "batch _channel y x"]) -> Float[torch.Tensor, "batch _width y x"]:
        answers = [image]
        for links, layer in zip(self.links, self.layers, strict=True):
            taken = [answers[link] for link in links]
            answers.append(layer(taken[0] if len(taken) == 1 else torch.cat(taken, dim=1)))
        return torch.cat([answers[layer] for layer in self.answered], dim=1)
