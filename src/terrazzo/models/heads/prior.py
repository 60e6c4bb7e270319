"""The spatial prior module: fine detail, taken from the image itself, for features that are too coarse for edges."""

import itertools
import math

import torch
from jaxtyping import Float

__all__ = ["SpatialPrior"]


class SpatialPrior(torch.nn.Module):
    """Four maps of strides 4, 8, 16 and 32 from the image, all of the same channels.

    A stem of three 3 x 3 convolutions (the first strided) and a maximum over 3 x 3 lead to stride 4, three strided
    convolutions to the others, each with batch norm and ReLU; a 1 x 1 convolution with bias ends each level. With 64
    inner channels, 3 bands and D channels these are 1,035,584 + 708 D parameters.

    Source: Chen et al., ViT-Adapter, arXiv 2205.08534, section 3.3; as in the adapter of facebookresearch/dinov3,
    eval/segmentation/models/backbone/dinov3_adapter.py. Convolutions start from N(0, 2 / fan-out) as there.
    Differs: the maps stay maps, without level embeddings, since no attention reads them as tokens; any number of bands.

    Args:
        bands: Of the image.
        channels: Of each map.
        inner: Channels of the stem; the levels have 1, 2, 4 and 4 times as many.
    """

    def __init__(self, bands: int, channels: int, *, inner: int = 64) -> None:
        super().__init__()
        widths = (inner, 2 * inner, 4 * inner, 4 * inner)
        self.stem = torch.nn.Sequential(
            _convolution(bands, inner, stride=2),
            _convolution(inner, inner, stride=1),
            _convolution(inner, inner, stride=1),
            torch.nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.levels = torch.nn.ModuleList(
            _convolution(inputs, outputs, stride=2) for inputs, outputs in itertools.pairwise(widths)
        )
        self.projections = torch.nn.ModuleList(torch.nn.Conv2d(width, channels, 1) for width in widths)
        for module in self.modules():
            if isinstance(module, torch.nn.Conv2d):
                fan_out = module.out_channels * math.prod(module.kernel_size)
                torch.nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                if module.bias is not None:
                    torch.nn.init.zeros_(module.bias)

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> list[Float[torch.Tensor, "batch channel _y _x"]]:
        """Return the maps, finest first, of ceil(height / stride) x ceil(width / stride) cells each."""
        found = [self.stem(image)]
        for level in self.levels:
            found.append(level(found[-1]))
        return [project(one) for project, one in zip(self.projections, found, strict=True)]


def _convolution(inputs: int, outputs: int, *, stride: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        torch.nn.BatchNorm2d(outputs),
        torch.nn.ReLU(inplace=True),
    )
