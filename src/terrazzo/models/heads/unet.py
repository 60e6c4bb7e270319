"""The head `unet`: a classic U-Net decoder on feature maps, with the raw image as its finest skip."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import PositiveInt

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.decoder import UNetDecoder
from terrazzo.models.heads.head import Head, HeadNetwork
from terrazzo.models.heads.pyramid import Pyramid
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.output import Output

__all__ = ["UNet", "UNetNetwork"]


class UNet(Head):
    """A U-Net decoder on a pyramid of the feature maps, down to single pixels.

    The maps become a pyramid of strides 4 to 32 (`Pyramid`); five stages lead back to stride 1, where the image itself
    is the skip; stride 2 has none.

    Source: Ronneberger et al., U-Net, arXiv 1505.04597. The head of this name in DINOv3Seg joins taps and the raw image
    alike; its widths are not published.
    Differs: batch norm, which the paper has not; maps are cut to each other's size, not padded. On features of a
    transformer the levels are made from taps of one stride, which DINOv3Seg's are too.
    """

    name: Literal["unet"] = "unet"
    """A U-Net decoder, down to single pixels, with the raw image as its finest skip."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (
        16,
        32,
        64,
        128,
        256,
        512,
    )
    """Channels at strides 1, 2, 4, 8, 16 and 32."""

    def build(self, layout: FeatureLayout, *, bands: int, classes: int) -> "UNetNetwork":
        """Return the head.

        Raises:
            ModelError: A stride of the maps is no power of two.
        """
        return UNetNetwork(layout, self.channels, bands=bands, classes=classes)


class UNetNetwork(HeadNetwork):
    """The built head.

    Args:
        layout: Of the features.
        channels: At strides 1, 2, 4, 8, 16 and 32.
        bands: Of the image.
        classes: Output channels.
    """

    classifiers = ("classifier",)

    def __init__(self, layout: FeatureLayout, channels: Sequence[int], *, bands: int, classes: int) -> None:
        super().__init__()
        self.pyramid = Pyramid(layout, channels[2:])
        self.decoder = UNetDecoder((bands, 0, *channels[2:]), channels[:-1])
        self.classifier = torch.nn.Conv2d(channels[0], classes, 1)
        allow_single_values(self)

    def forward(
        self,
        image: Float[torch.Tensor, "batch band y x"],
        features: Sequence[Float[torch.Tensor, "batch _channel _y _x"]],
    ) -> Output:
        """Answer logits at the size of the image."""
        stages = self.decoder((image, None, *self.pyramid(image, features)))
        return Output(self.classifier(stages[0]))
