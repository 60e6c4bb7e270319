"""The head `maskformer`: queries read the deepest map and answer masks over embeddings of fine pixels."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.attention import Attention
from terrazzo.models.heads.head import HeadNetwork
from terrazzo.models.heads.masks import MaskAnswer, MaskHead, semantic_logits
from terrazzo.models.heads.positions import sine_positions
from terrazzo.models.heads.pyramid import STRIDES, Pyramid
from terrazzo.models.output import Output, Queries
from terrazzo.models.padding import crop

__all__ = ["MaskFormer", "MaskFormerNetwork"]


class MaskFormer(MaskHead):
    """A pixel decoder, a transformer decoder with learned queries, and an answer of classes and masks at each layer.

    Source: Cheng et al., MaskFormer, arXiv 2107.06278; transformers, models/maskformer: pixel decoder of the feature
    pyramid kind with group norm, DETR's decoder (post-norm, ReLU), sine positions, three-layer mask embedding.
    Differs: the pixel decoder stands on `Pyramid`, so that maps of one stride become a pyramid too, each projected by a
    1 x 1 convolution before the 3 x 3 ones; memory is the last map at its own stride, 16 for a plain transformer, 32 in
    the source; scores are normalised (`semantic_logits`). In training the answer after every layer is given, in
    evaluation the last alone, unless `every_layer` is set.
    """

    name: Literal["maskformer"] = "maskformer"
    """Learned queries that read the deepest map and answer masks."""
    channels: PositiveInt = 256
    """Channels of queries, memory and pixel embeddings; a multiple of 4 times `heads`."""
    layers: PositiveInt = 6
    """Layers of the transformer decoder."""
    heads: PositiveInt = 8
    """Attention heads."""
    hidden: PositiveInt = 2048
    """Channels inside a layer's feed-forward part."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Probability with which a layer's values are left out in training."""

    def build(self, layout: FeatureLayout, *, bands: int, classes: int) -> "MaskFormerNetwork":
        """Return the head.

        Raises:
            ModelError: Channels cannot be shared out to the attention heads; a stride of the maps is no power of two.
        """
        return MaskFormerNetwork(self, layout, classes=classes)


class MaskFormerNetwork(HeadNetwork):
    """The built head.

    Args:
        settings: Its record.
        layout: Of the features.
        classes: Output channels.
    """

    classifiers = ("answer.classifier",)

    def __init__(self, settings: MaskFormer, layout: FeatureLayout, *, classes: int) -> None:
        super().__init__()
        channels, self.classes = settings.channels, classes
        if channels % (4 * settings.heads):
            raise ModelError(
                f"maskformer: {channels} channels are no multiple of 4 times {settings.heads} heads; set channels or "
                "heads otherwise."
            )
        self.pixels = PixelDecoder(layout, channels)
        self.memory = torch.nn.Conv2d(layout.channels[-1], channels, 1)
        self.queries = torch.nn.Embedding(settings.query_count(classes), channels)
        self.layers = torch.nn.ModuleList(DecoderLayer(settings) for _ in range(settings.layers))
        self.norm = torch.nn.LayerNorm(channels)
        columns = classes + (settings.assignment == "matched")
        self.answer = MaskAnswer(channels, columns, pixel_channels=channels, activation=torch.nn.ReLU)
        self.every_layer, self.again = settings.every_layer, False
        for module in self.layers.modules():
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.xavier_uniform_(module.weight)

    def checkpoint_gradients(self) -> None:
        """Compute the transformer decoder's activations again in the backward pass."""
        self.again = True

    def forward(
        self,
        image: Float[torch.Tensor, "batch band y x"],
        features: Sequence[Float[torch.Tensor, "batch _channel _y _x"]],
    ) -> Output:
        """Answer logits at the size of the image, and what the queries say, last layer first."""
        height, width = image.shape[-2:]
        pixels = self.pixels(image, features)
        memory = self.memory(features[-1].to(image.dtype))
        rows, columns = memory.shape[-2:]
        places = sine_positions(rows, columns, memory.shape[1], device=memory.device).to(memory.dtype)
        memory = memory.flatten(2).transpose(1, 2)
        seats = self.queries.weight.expand(image.shape[0], -1, -1).to(memory.dtype)
        tokens, answers = torch.zeros_like(seats), []
        for index, layer in enumerate(self.layers):
            if self.again and torch.is_grad_enabled():
                tokens = checkpoint(layer, tokens, seats, memory, places, use_reentrant=False)
            else:
                tokens = layer(tokens, seats, memory, places)
            if self.training or self.every_layer or index == len(self.layers) - 1:
                answers.append(self.answer(self.norm(tokens), pixels))
        classes, masks = zip(*reversed(answers), strict=True)
        logits = semantic_logits(
            classes[0], masks[0], count=self.classes, stride=STRIDES[0], height=height, width=width
        )
        return Output(logits, (Queries(classes, masks, STRIDES[0]),))


class DecoderLayer(torch.nn.Module):
    """Queries read each other, then the memory, then think: each followed by a sum and a norm.

    Source: Carion et al., DETR, arXiv 2005.12872, figure 10.
    """

    def __init__(self, settings: MaskFormer) -> None:
        super().__init__()
        channels = settings.channels
        self.among = Attention(channels, settings.heads)
        self.across = Attention(channels, settings.heads)
        self.feed = torch.nn.Sequential(
            torch.nn.Linear(channels, settings.hidden), torch.nn.ReLU(), torch.nn.Linear(settings.hidden, channels)
        )
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(channels) for _ in range(3))
        self.dropout = torch.nn.Dropout(settings.dropout)

    def forward(
        self,
        tokens: Float[torch.Tensor, "batch query channel"],
        seats: Float[torch.Tensor, "batch query channel"],
        memory: Float[torch.Tensor, "batch cell channel"],
        places: Float[torch.Tensor, "cell channel"],
    ) -> Float[torch.Tensor, "batch query channel"]:
        """Return the queries after this layer.

        Args:
            tokens: The queries.
            seats: Their learned positions.
            memory: The cells that they read.
            places: The cells' positions.
        """
        placed = tokens + seats
        tokens = self.norms[0](tokens + self.dropout(self.among(placed, placed, tokens)))
        tokens = self.norms[1](tokens + self.dropout(self.across(tokens + seats, memory + places, memory)))
        thought: torch.Tensor = self.norms[2](tokens + self.dropout(self.feed(tokens)))
        return thought


class PixelDecoder(torch.nn.Module):
    """Adds deep maps to finer ones, down to stride 4, and embeds each cell there.

    Source: Lin et al., arXiv 1612.03144, as in MaskFormer: group norm, nearest enlargement, a last 3 x 3 convolution
    without norm.

    Args:
        layout: Of the features.
        channels: Of all maps.
    """

    def __init__(self, layout: FeatureLayout, channels: int) -> None:
        super().__init__()
        self.pyramid = Pyramid(layout, (channels,) * len(STRIDES), norm=_group_norm)
        self.levels = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False), _group_norm(channels), torch.nn.ReLU()
            )
            for _ in STRIDES
        )
        self.embedding = torch.nn.Conv2d(channels, channels, 3, padding=1)

    def forward(
        self, image: Float[torch.Tensor, "batch band y x"], features: Sequence[Float[torch.Tensor, "batch _c _y _x"]]
    ) -> Float[torch.Tensor, "batch channel _y _x"]:
        """Return embeddings at stride 4."""
        *finer, deepest = self.pyramid(image, features)
        current = self.levels[-1](deepest)
        for level, lateral in zip(reversed(self.levels[:-1]), reversed(finer), strict=True):
            doubled = functional.interpolate(current, scale_factor=2.0, mode="nearest")
            current = level(crop(doubled, height=lateral.shape[-2], width=lateral.shape[-1]) + lateral)
        embedded: torch.Tensor = self.embedding(current)
        return embedded


def _group_norm(channels: int) -> torch.nn.Module:
    """Return a norm of up to 32 groups, each of two channels or more: one value alone has no spread."""
    return torch.nn.GroupNorm(math.gcd(32, max(1, channels // 2)), channels)
