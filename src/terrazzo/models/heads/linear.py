"""The head `linear`: one 1 x 1 convolution on frozen features, the measure of what they hold by themselves."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch.nn import functional

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.head import Head, HeadNetwork
from terrazzo.models.maps import enlarged
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.output import Output

__all__ = ["Linear", "LinearNetwork"]


class Linear(Head):
    """A linear layer for each cell of the feature maps.

    Source: Siméoni et al., DINOv3, arXiv 2508.10104, and facebookresearch/dinov3, eval/segmentation: dropout of whole
    channels, batch norm, a 1 x 1 convolution that starts from N(0, 0.01), logits enlarged bilinearly.
    Differs: batch norm is torch's own on one process; several processes share its statistics only where the training
    loop makes them.
    """

    name: Literal["linear"] = "linear"
    """A linear layer for each cell of the feature maps."""
    maps: Literal["last", "all"] = "last"
    """The last map alone, or all of them side by side at the stride of the finest."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Probability with which a channel is left out in training."""

    def build(self, layout: FeatureLayout, *, bands: int, classes: int) -> "LinearNetwork":
        """Return the head."""
        first = 0 if self.maps == "all" else len(layout) - 1
        return LinearNetwork(layout.channels[first:], layout.strides[first:], classes, dropout=self.dropout)


class LinearNetwork(HeadNetwork):
    """The built head.

    Args:
        channels: Of the last maps, as many as it reads.
        strides: Of these maps.
        classes: Output channels.
        dropout: Probability with which a channel is left out in training.
    """

    classifiers = ("classifier",)

    def __init__(self, channels: Sequence[int], strides: Sequence[int], classes: int, *, dropout: float) -> None:
        super().__init__()
        self.count, self.stride = len(channels), min(strides)
        self.dropout = torch.nn.Dropout2d(dropout)
        self.norm = torch.nn.BatchNorm2d(sum(channels))
        self.classifier = torch.nn.Conv2d(sum(channels), classes, 1)
        torch.nn.init.normal_(self.classifier.weight, std=0.01)
        if self.classifier.bias is not None:
            torch.nn.init.zeros_(self.classifier.bias)
        allow_single_values(self)

    def forward(
        self,
        image: Float[torch.Tensor, "batch band y x"],
        features: Sequence[Float[torch.Tensor, "batch _channel _y _x"]],
    ) -> Output:
        """Answer logits at the size of the image."""
        height, width = image.shape[-2:]
        read = [one.to(image.dtype) for one in features[-self.count :]]
        finest = max((one.shape[-2:] for one in read), key=lambda size: size[0] * size[1])
        grid = [
            one if one.shape[-2:] == finest else functional.interpolate(one, finest, mode="bilinear") for one in read
        ]
        coarse = self.classifier(self.norm(self.dropout(torch.cat(grid, dim=1))))
        return Output(enlarged(coarse, stride=self.stride, height=height, width=width))
