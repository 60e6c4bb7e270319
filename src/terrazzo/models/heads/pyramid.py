"""A pyramid of strides 4 to 32 from any feature maps: those of a plain transformer all have stride 16."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.padding import covering, crop

__all__ = ["STRIDES", "Pyramid", "chosen_maps"]

STRIDES = (4, 8, 16, 32)
"""Pixels along a cell of each level, finest first."""

Norm = Callable[[int], torch.nn.Module]


def chosen_maps(layout: FeatureLayout, strides: Sequence[int] = STRIDES) -> tuple[int, ...]:
    """Return for each level the index of the map that it is made of.

    A level takes the map of the nearest stride; levels for which several maps are as near share these out, shallow maps
    to fine levels. The last level takes the last map.

    >>> chosen_maps(FeatureLayout((8, 8, 8, 8), (16, 16, 16, 16), 16))
    (0, 1, 2, 3)
    >>> chosen_maps(FeatureLayout((8, 8, 8, 8, 8), (2, 4, 8, 16, 32), 32))
    (1, 2, 3, 4)

    Raises:
        ModelError: A stride is no power of two.
    """
    odd = [stride for stride in layout.strides if stride < 1 or stride & (stride - 1)]
    if odd or not layout.strides:
        raise ModelError(
            f"The head needs feature maps whose strides are powers of two, not {layout.strides}; choose a backbone "
            "such as dinov3_vit with patches of 16 pixels, or the head linear."
        )
    nearest = [_nearest(layout, stride) for stride in strides]
    chosen = []
    for level, candidates in enumerate(nearest):
        sharing = [other for other, theirs in enumerate(nearest) if theirs == candidates]
        place, last = sharing.index(level), len(sharing) - 1
        chosen.append(candidates[round(place * (len(candidates) - 1) / last) if last else -1])
    chosen[-1] = len(layout) - 1
    return tuple(chosen)


def _nearest(layout: FeatureLayout, stride: int) -> tuple[int, ...]:
    """Return the indices of all maps whose stride is nearest."""
    distances = [abs(math.log2(one / stride)) for one in layout.strides]
    return tuple(index for index, distance in enumerate(distances) if distance == min(distances))


class Pyramid(torch.nn.Module):
    """Brings feature maps to strides 4, 8, 16 and 32 and to the channels asked for.

    Each level takes one map (`chosen_maps`) through a 1 x 1 convolution and a norm, then through as many transposed
    convolutions of 2 x 2 or strided ones of 3 x 3 as its stride asks for, with norm and GELU between two. Maps that
    have the stride already are only projected.

    Source: Li et al., ViTDet, arXiv 2203.16527, section 3 ("simple feature pyramid").
    Differs: a map is projected before it is brought to its stride, ViTDet does so after, which for 1024 channels costs
    sixteen times as much; stride 32 comes from a learned convolution, ViTDet takes the maximum; each level takes a map
    of its own where there are several, ViTDet has only the last.
    """

    def __init__(self, layout: FeatureLayout, channels: Sequence[int], *, norm: Norm = torch.nn.BatchNorm2d) -> None:
        super().__init__()
        self.maps = chosen_maps(layout)
        self.levels = torch.nn.ModuleList()
        for index, width, stride in zip(self.maps, channels, STRIDES, strict=True):
            level = torch.nn.Sequential(
                torch.nn.Conv2d(layout.channels[index], width, 1, bias=False),
                norm(width),
                *_resampling(width, layout.strides[index], stride, norm),
            )
            self.levels.append(level)

    def forward(
        self, image: Float[torch.Tensor, "batch band y x"], features: Sequence[Float[torch.Tensor, "batch _c _y _x"]]
    ) -> list[Float[torch.Tensor, "batch _channel _y _x"]]:
        """Return the levels, finest first, of ceil(height / stride) x ceil(width / stride) cells each.

        Args:
            image: Gives the size and the type.
            features: Maps of the layout.
        """
        levels = []
        for level, index, stride in zip(self.levels, self.maps, STRIDES, strict=True):
            found = level(features[index].to(image.dtype))
            height, width = (covering(size, stride) for size in image.shape[-2:])
            levels.append(crop(found, height=height, width=width))
        return levels


def _resampling(channels: int, given: int, wanted: int, norm: Norm) -> list[torch.nn.Module]:
    """Return the layers that lead from one stride to another."""
    layers: list[torch.nn.Module] = []
    while given != wanted:
        if layers:
            layers += [norm(channels), torch.nn.GELU()]
        if given > wanted:
            layers.append(torch.nn.ConvTranspose2d(channels, channels, 2, stride=2))
            given //= 2
        else:
            layers.append(torch.nn.Conv2d(channels, channels, 3, stride=2, padding=1))
            given *= 2
    return layers
