"""The encoder of FC-HarDNet-70, or its first blocks, as a backbone.

Source: PingoLH/FCHarDNet, ptsemseg/models/hardnet.py. Differs: the encoder may end after any block.
"""

from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field

from terrazzo.models.architecture import Pretraining
from terrazzo.models.backbones.backbone import Backbone, BackboneNetwork, FeatureLayout
from terrazzo.models.hardnet.encoder import STRIDES, HardnetEncoder, draw_weights
from terrazzo.models.hardnet.weights import load_encoder, pretrained_input, readable
from terrazzo.models.normalisation_layers import allow_single_values

__all__ = ["HardnetBackbone", "HardnetFeatures"]


class HardnetBackbone(Backbone):
    """The encoder of FC-HarDNet-70: one map a block, of stride 4, 8, 16, 32 and 64."""

    name: Literal["hardnet"] = "hardnet"
    """The encoder of FC-HarDNet-70."""
    blocks: Annotated[int, Field(ge=0, le=5)] = 1
    """Blocks after the stem of stride 4, each of which answers one map; without any the stem answers."""
    pretrain: Annotated[Path, AfterValidator(readable)] | None = None
    """File of the published ImageNet encoder to start from, `hardnet_petite_base.pth`, or a .safetensors file with the
    same tensors; by default random. It expects bands in the order red, green, blue."""

    def build(self, *, bands: int) -> BackboneNetwork:
        """Return the encoder, drawn from Xavier's normal distribution or read.

        Raises:
            ModelError: The file of weights is missing, damaged, or of another network.
        """
        network = HardnetFeatures(bands, self.blocks)
        if self.pretrain is not None:
            load_encoder(network.encoder, self.pretrain)
        return network

    def without_pretraining(self) -> "HardnetBackbone":
        """Return the same backbone that starts from random weights."""
        return self.model_copy(update={"pretrain": None})

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return the mean and deviation of ImageNet, which the weights expect; None from scratch."""
        return None if self.pretrain is None else pretrained_input(bands)


class HardnetFeatures(BackboneNetwork):
    """A built encoder.

    Args:
        bands: Channels of the image.
        blocks: Blocks after the stem.
    """

    def __init__(self, bands: int, blocks: int) -> None:
        super().__init__()
        self.encoder = HardnetEncoder(bands, depth=blocks)
        draw_weights(self)
        strides = STRIDES[: max(blocks, 1)]
        self.layout = FeatureLayout(channels=self.encoder.channels, strides=strides, multiple=strides[-1])
        allow_single_values(self)

    def forward(
        self, image: Float[torch.Tensor, "batch band y x"]
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        """Answer the maps, shallow first.

        Args:
            image: Height and width are multiples of `layout.multiple`.
        """
        maps: tuple[torch.Tensor, ...] = self.encoder(image)
        return maps
