"""FC-HarDNet-70, the network for street scenes.

Source: Chao et al., HarDNet: A Low Memory Traffic Network, ICCV 2019 (arXiv 1909.00948); PingoLH/FCHarDNet,
ptsemseg/models/hardnet.py and train.py. With 3 bands and 19 classes it has 4,119,257 parameters and takes 35.2 billion
multiplications in convolutions for 1024 x 2048 pixels, as published.

Differs:
    - Images of other sizes are padded to a multiple of 64, mirrored, and the answer is cut; there, pooling drops rows.
    - Bands stand in the order red, green, blue; published weights, made for blue first, are turned when read.
    - A batch norm that sees one value a channel uses its running statistics, so that one image of 64 x 64 can train.
    - The gradient of the interpolation repeats bit for bit on GPUs.
"""

from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import AfterValidator
from torch import nn

from terrazzo.models.architecture import Architecture, Network, Pretraining
from terrazzo.models.hardnet.block import ConvLayer, HarDBlock
from terrazzo.models.hardnet.encoder import DEPTH, GROWTH, LAYERS, STRIDES, HardnetEncoder, draw_weights
from terrazzo.models.hardnet.weights import load_encoder, pretrained_input, readable
from terrazzo.models.interpolation import between_corners
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.output import Output
from terrazzo.models.padding import crop, pad, padded

__all__ = ["Hardnet70", "Hardnet70Network"]


class Hardnet70(Architecture):
    """FC-HarDNet-70: 4.1 million parameters, made for large images at speed."""

    name: Literal["hardnet70"] = "hardnet70"
    """FC-HarDNet-70."""
    pretrain: Annotated[Path, AfterValidator(readable)] | None = None
    """File of the published ImageNet encoder to start from, `hardnet_petite_base.pth`, or a .safetensors file with the
    same tensors; by default random. It expects bands in the order red, green, blue."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network, drawn from Xavier's normal distribution, its encoder read where weights are named.

        Raises:
            ModelError: The file of weights is missing, damaged, or of another network.
        """
        network = Hardnet70Network(bands, classes)
        if self.pretrain is not None:
            load_encoder(network.encoder, self.pretrain)
        return network

    def without_pretraining(self) -> "Hardnet70":
        """Return the same architecture that starts from random weights."""
        return self.model_copy(update={"pretrain": None})

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return the mean and deviation of ImageNet, which the weights expect; None from scratch."""
        return None if self.pretrain is None else pretrained_input(bands)


class Hardnet70Network(Network):
    """Encoder to stride 64, decoder back to stride 4, one 1x1 convolution, and interpolation to the input's size.

    Args:
        bands: Channels of the image.
        classes: Channels of the answer.
    """

    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        self.encoder = HardnetEncoder(bands)
        self.reductions = nn.ModuleList()
        self.blocks = nn.ModuleList()
        width = self.encoder.channels[-1]
        for index in reversed(range(DEPTH - 1)):
            joined = width + self.encoder.channels[index]
            self.reductions.append(ConvLayer(joined, joined // 2, kernel=1))
            block = HarDBlock(joined // 2, growth=GROWTH[index], layers=LAYERS[index])
            self.blocks.append(block)
            width = block.width
        self.classifier = nn.Conv2d(width, classes, 1)
        draw_weights(self)
        allow_single_values(self)

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits at the size of the input.

        Args:
            image: Normalised values; 0 where a pixel is missing.
        """
        height, width = image.shape[-2:]
        full = pad(image, height=padded(height, multiple=STRIDES[-1]), width=padded(width, multiple=STRIDES[-1]))
        *skips, features = self.encoder(full)
        for skip, reduction, block in zip(reversed(skips), self.reductions, self.blocks, strict=True):
            larger = between_corners(features, height=skip.shape[-2], width=skip.shape[-1])
            features = block(reduction(torch.cat([larger, skip], dim=1)))
        logits = between_corners(self.classifier(features), height=full.shape[-2], width=full.shape[-1])
        return Output(crop(logits, height=height, width=width))

    def plain_parameters(self) -> frozenset[str]:
        """Return the name of the classifier's matrix."""
        return frozenset({"classifier.weight"})

    def checkpoint_gradients(self) -> None:
        """Keep, of each harmonic dense block, only the input for the backward pass."""
        for module in self.modules():
            if isinstance(module, HarDBlock):
                module.recompute = True
