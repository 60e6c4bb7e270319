"""Maps of a frozen backbone that are computed once and taken up later."""

from collections.abc import Sequence

import torch
from jaxtyping import Float

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import BackboneNetwork, FeatureLayout

__all__ = ["frozen_maps", "require_maps_of"]


def frozen_maps(
    backbone: BackboneNetwork, image: Float[torch.Tensor, "batch band y x"]
) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
    """Return a backbone's maps, without gradient.

    Args:
        backbone: Frozen.
        image: Normalised values, of a size that the backbone takes.
    """
    with torch.no_grad():
        maps: tuple[torch.Tensor, ...] = backbone(image)
    return maps


def require_maps_of(
    layout: FeatureLayout, features: Sequence[torch.Tensor], *, batch: int, height: int, width: int
) -> None:
    """Refuse maps that another image or another backbone gave.

    Args:
        layout: Of the backbone's maps.
        features: The maps.
        batch: Images.
        height: Rows of the padded image.
        width: Columns of it.

    Raises:
        ModelError: Their shapes are not those that the backbone answers to such images.
    """
    if torch.compiler.is_exporting():
        # Sizes are no numbers yet; the maps were computed in the same breath.
        return
    pairs = zip(layout.channels, layout.strides, strict=True)
    wanted = [(batch, count, height // stride, width // stride) for count, stride in pairs]
    found = [tuple(one.shape) for one in features]
    if found != wanted:
        raise ModelError(f"Cached maps are {found} where {wanted} were expected; compute them again.")
