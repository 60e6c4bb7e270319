"""FC-HarDNet-68, -76 and -84, the networks of the HarDNet paper for CamVid.

Source: Chao et al., HarDNet: A Low Memory Traffic Network, ICCV 2019 (arXiv 1909.00948), section 4.1 and table 2; they
put harmonic dense blocks into FC-DenseNet (Jegou et al., The One Hundred Layers Tiramisu, arXiv 1611.09326). No code of
them is published.

Stated there: channels of the first convolution, layers and growth of the six blocks, multiplier 1.7, millions of
parameters, GMAC, and megabytes in and out of convolutions ("CIO") for an image of 352 x 480.

Derived: what joins the blocks. The decoder mirrors the five blocks of the encoder, since the names count 68, 76 and
84 layers: all layers of the blocks, the first and last convolution, five transitions down and five up. The transitions
are FC-DenseNet's: down a 1x1 convolution that keeps the channels, then max pooling by 2; up a transposed 3x3
convolution with bias that keeps the channels. A block of the encoder keeps its input, the deepest one and those of the
decoder do not. Of 360 combinations of transitions and kept inputs, this one alone gives the published CIO of all three
networks to the last digit (published figures in brackets):

    ================  ================  =====================  ==================
    network           parameters, M     CIO, MB (4 bytes)      GMAC
    ================  ================  =====================  ==================
    hardnet68         1.366 (1.4)       472.8 (473)            7.57 (15)
    hardnet76         3.461 (3.5)       932.4 (932)            26.66 (54)
    hardnet84         8.346 (8.4)       1266.7 (1267)          49.98 (100)
    ================  ================  =====================  ==================

The published GMAC count a multiplication and an addition as two: the same table gives FC-DenseNet-103 134, and it takes
67.6. The published parameters are met with a bias in every convolution (8.350 for hardnet84), as FC-DenseNet has them;
the norm behind each takes it away again, so there are none here. Max pooling, Conv-BatchNorm-ReLU for the first
convolution and He's initialisation cannot be seen in figures; they are FC-DenseNet's and HarDNet's.

Differs:
    - Images of other sizes than multiples of 32 are padded, mirrored, and the answer is cut.
    - A batch norm that sees one value a channel uses its running statistics.
"""

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import nn
from torch.nn import functional

from terrazzo.models.architecture import Architecture, Network
from terrazzo.models.hardnet.block import ConvLayer, HarDBlock
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.output import Output
from terrazzo.models.padding import crop, pad, padded

__all__ = ["CamvidHardnet", "CamvidHardnetNetwork", "Hardnet68", "Hardnet76", "Hardnet84"]

POOLINGS = 5


class CamvidHardnet(Architecture):
    """What the three networks have in common."""

    FIRST: ClassVar[int]
    """Channels of the first convolution."""
    LAYERS: ClassVar[tuple[int, ...]]
    """Layers of the encoder's blocks and the deepest one."""
    GROWTH: ClassVar[tuple[int, ...]]
    """Channels of an odd layer of each."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of values that training drops after each layer of the blocks and the transitions down; FC-DenseNet drops
    0.2."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network, its convolutions drawn from He's uniform distribution."""
        return CamvidHardnetNetwork(self, bands, classes)


class Hardnet68(CamvidHardnet):
    """FC-HarDNet-68: 1.4 million parameters, at the image's resolution from the first layer on."""

    FIRST = 8
    LAYERS = (4, 4, 4, 4, 8, 8)
    GROWTH = (4, 6, 8, 8, 10, 10)

    name: Literal["hardnet68"] = "hardnet68"
    """FC-HarDNet-68."""


class Hardnet76(CamvidHardnet):
    """FC-HarDNet-76: 3.5 million parameters, at the image's resolution from the first layer on."""

    FIRST = 24
    LAYERS = (4, 4, 4, 8, 8, 8)
    GROWTH = (8, 10, 12, 12, 12, 14)

    name: Literal["hardnet76"] = "hardnet76"
    """FC-HarDNet-76."""


class Hardnet84(CamvidHardnet):
    """FC-HarDNet-84: 8.4 million parameters, at the image's resolution from the first layer on."""

    FIRST = 32
    LAYERS = (4, 4, 8, 8, 8, 8)
    GROWTH = (10, 12, 14, 16, 20, 22)

    name: Literal["hardnet84"] = "hardnet84"
    """FC-HarDNet-84."""


class CamvidHardnetNetwork(Network):
    """Five blocks down to stride 32, one there, five blocks up to the image's resolution.

    Args:
        plan: Widths, layers and dropout.
        bands: Channels of the image.
        classes: Channels of the answer.
    """

    def __init__(self, plan: CamvidHardnet, bands: int, classes: int) -> None:
        super().__init__()
        shapes = list(zip(plan.GROWTH, plan.LAYERS, strict=True))
        self.first = ConvLayer(bands, plan.FIRST)
        self.down, self.reductions = nn.ModuleList(), nn.ModuleList()
        width, skips = plan.FIRST, []
        for growth, layers in shapes[:POOLINGS]:
            block = HarDBlock(width, growth=growth, layers=layers, keep_input=True, dropout=plan.dropout)
            width = block.width
            skips.append(width)
            self.down.append(block)
            self.reductions.append(ConvLayer(width, width, kernel=1, dropout=plan.dropout))
        growth, layers = shapes[POOLINGS]
        self.deepest = HarDBlock(width, growth=growth, layers=layers, dropout=plan.dropout)
        width = self.deepest.width
        self.enlargements, self.up = nn.ModuleList(), nn.ModuleList()
        for (growth, layers), skip in zip(reversed(shapes[:POOLINGS]), reversed(skips), strict=True):
            self.enlargements.append(nn.ConvTranspose2d(width, width, 3, stride=2))
            block = HarDBlock(width + skip, growth=growth, layers=layers, dropout=plan.dropout)
            width = block.width
            self.up.append(block)
        self.classifier = nn.Conv2d(width, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        allow_single_values(self)

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits at the size of the input.

        Args:
            image: Normalised values; 0 where a pixel is missing.
        """
        height, width = image.shape[-2:]
        multiple = 2**POOLINGS
        full = pad(image, height=padded(height, multiple=multiple), width=padded(width, multiple=multiple))
        features, skips = self.first(full), []
        for block, reduction in zip(self.down, self.reductions, strict=True):
            skips.append(block(features))
            features = functional.max_pool2d(reduction(skips[-1]), 2)
        features = self.deepest(features)
        for enlargement, block, skip in zip(self.enlargements, self.up, reversed(skips), strict=True):
            # One row and column more than twice as many, of which FC-DenseNet too keeps the first.
            larger = crop(enlargement(features), height=skip.shape[-2], width=skip.shape[-1])
            features = block(torch.cat([larger, skip], dim=1))
        return Output(crop(self.classifier(features), height=height, width=width))

    def plain_parameters(self) -> frozenset[str]:
        """Return the name of the classifier's matrix."""
        return frozenset({"classifier.weight"})

    def checkpoint_gradients(self) -> None:
        """Keep, of each harmonic dense block, only the input for the backward pass."""
        for module in self.modules():
            if isinstance(module, HarDBlock):
                module.recompute = True
