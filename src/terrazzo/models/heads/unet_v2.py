"""The head `unet_v2`: detail from the image beside a true pyramid of the features, projected and decoded as a U-Net."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import PositiveInt

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.decoder import UNetDecoder
from terrazzo.models.heads.head import Head, HeadNetwork
from terrazzo.models.heads.prior import SpatialPrior
from terrazzo.models.heads.projection import FidelityProjection
from terrazzo.models.heads.pyramid import STRIDES, Pyramid
from terrazzo.models.maps import enlarged
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.output import DeepSupervision, Output
from terrazzo.models.padding import covering, crop

__all__ = ["UNetV2", "UNetV2Network"]


class UNetV2(Head):
    """Spatial prior, true pyramid, fidelity-aware projection and U-Net decoder: Dino U-Net without its attention.

    The image gives maps of strides 4 to 32 (`SpatialPrior`), the features a pyramid of the same strides (`Pyramid`);
    their sums pass a batch norm each, `FidelityProjection` makes them narrow and enlarges them, `UNetDecoder` leads to
    stride `finest`, and logits are enlarged from there to exactly the image's size.

    Source: Gao et al., Dino U-Net, arXiv 2508.20909; Chen et al., ViT-Adapter, arXiv 2205.08534 (spatial prior); Li et
    al., ViTDet, arXiv 2203.16527 (pyramid).
    Differs: features join the prior by a sum at each scale, Dino U-Net's adapter lets the prior's tokens read them by
    deformable attention first; sums have `channels` channels, there as many as the transformer; decoding ends at
    stride 2 by default, there at single pixels (`finest: 1`).
    """

    name: Literal["unet_v2"] = "unet_v2"
    """Detail from the image beside a pyramid of the features, projected and decoded as a U-Net."""
    channels: PositiveInt = 256
    """Channels of the pyramid and of the image's own maps."""
    rank: PositiveInt = 256
    """Channels of the bases that the projection shares and keeps for each scale."""
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (32, 64, 128, 256)
    """Channels of the decoder's scales, finest first."""
    finest: Literal[1, 2, 4] = 2
    """Pixels along a cell of the finest scale; logits are enlarged from there."""
    prior: PositiveInt = 64
    """Channels of the first convolutions on the image."""
    deep_supervision: bool = False
    """Answer at the decoder's coarser scales too; the loss must then be one that reads them."""

    def build(self, layout: FeatureLayout, *, bands: int, classes: int) -> "UNetV2Network":
        """Return the head.

        Raises:
            ModelError: A stride of the maps is no power of two.
        """
        return UNetV2Network(self, layout, bands=bands, classes=classes)

    @property
    def answers(self) -> frozenset[type]:
        """Kinds of auxiliary records in its output."""
        return frozenset({DeepSupervision}) if self.deep_supervision else frozenset()


class UNetV2Network(HeadNetwork):
    """The built head.

    Args:
        settings: Its record.
        layout: Of the features.
        bands: Of the image.
        classes: Output channels.
    """

    classifiers = ("classifiers_of_scales",)

    def __init__(self, settings: UNetV2, layout: FeatureLayout, *, bands: int, classes: int) -> None:
        super().__init__()
        channels, widths = settings.channels, settings.widths
        doublings = (STRIDES[0] // settings.finest).bit_length() - 1
        self.strides = tuple(stride * settings.finest // STRIDES[0] for stride in STRIDES)
        self.prior = SpatialPrior(bands, channels, inner=settings.prior)
        self.pyramid = Pyramid(layout, (channels,) * len(STRIDES))
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(channels) for _ in STRIDES)
        self.projection = FidelityProjection(channels, settings.rank, widths, doublings=doublings)
        self.decoder = UNetDecoder(widths, widths[:-1])
        answering = widths[:-1] if settings.deep_supervision else widths[:1]
        self.classifiers_of_scales = torch.nn.ModuleList(torch.nn.Conv2d(width, classes, 1) for width in answering)
        allow_single_values(self)

    def forward(
        self,
        image: Float[torch.Tensor, "batch band y x"],
        features: Sequence[Float[torch.Tensor, "batch _channel _y _x"]],
    ) -> Output:
        """Answer logits at the size of the image and, where asked for, at the decoder's coarser scales."""
        height, width = image.shape[-2:]
        pairs = zip(self.norms, self.prior(image), self.pyramid(image, features), strict=True)
        projected = self.projection([norm(detail + meaning) for norm, detail, meaning in pairs])
        maps = [
            crop(one, height=covering(height, stride), width=covering(width, stride))
            for one, stride in zip(projected, self.strides, strict=True)
        ]
        stages = self.decoder(maps)
        # Without deep supervision only the finest scale has a classifier.
        finest, *coarser = [classify(one) for classify, one in zip(self.classifiers_of_scales, stages, strict=False)]
        logits = enlarged(finest, stride=self.strides[0], height=height, width=width)
        if not coarser:
            return Output(logits)
        return Output(logits, (DeepSupervision(tuple(coarser), self.strides[1 : 1 + len(coarser)]),))
