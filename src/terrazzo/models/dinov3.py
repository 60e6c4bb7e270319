"""Segmentation on DINOv3: a frozen vision transformer or ConvNeXt, and a head that is trained on its maps."""

from typing import Annotated, Literal

from pydantic import field_validator

from terrazzo.models.backbone_head import Composition
from terrazzo.models.backbones.backbone import BACKBONES, Backbone
from terrazzo.models.backbones.dinov3 import DinoV3Backbone
from terrazzo.models.backbones.dinov3_vit import DinoV3Vit
from terrazzo.models.heads.head import HEADS, Head
from terrazzo.models.heads.linear import Linear
from terrazzo.record import family

__all__ = ["DinoV3"]


class DinoV3(Composition):
    """A head on DINOv3's maps.

    Source: O. Simeoni et al., DINOv3, arXiv 2508.10104, section on segmentation with a frozen backbone;
    `dinov3/eval/segmentation`.

    Differs: any head of the family, instead of a linear one or a ViT-Adapter with Mask2Former.
    """

    name: Literal["dinov3"] = "dinov3"
    """A head on a frozen DINOv3."""
    backbone: Annotated[Backbone, family(BACKBONES)] = DinoV3Vit()
    """`dinov3_vit` or `dinov3_convnext`."""
    head: Annotated[Head, family(HEADS)] = Linear()
    """Network that makes classes of the maps and of the image itself."""

    @field_validator("backbone")
    @classmethod
    def _is_dinov3(cls, backbone: Backbone) -> Backbone:
        if not isinstance(backbone, DinoV3Backbone):
            raise ValueError(  # noqa: TRY004 - a wrong setting
                f"{backbone.name} is no DINOv3; choose dinov3_vit or dinov3_convnext, or the model backbone_head for "
                "other backbones."
            )
        return backbone
