"""DINOv3's vision transformers as backbones: maps of stride 16 after chosen blocks, each through the final norm."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import torch
from jaxtyping import Float
from pydantic import Field, JsonValue, model_validator

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.backbones.dinov3 import DinoV3Backbone, created
from terrazzo.models.backbones.dinov3_check import Variant
from terrazzo.models.backbones.dinov3_network import DinoV3Network
from terrazzo.record import Record

__all__ = ["DinoV3Vit", "DinoV3VitNetwork", "VitShape"]

STRIDE = 16
REGISTERS = 4
"""Of every published size; the library's own default is 0."""

Size = Literal["small", "small_plus", "base", "large", "huge_plus", "7b"]
Count = Annotated[int, Field(ge=1)]


class VitShape(Record):
    """A size that is not published, for tests and trials."""

    channels: Annotated[int, Field(ge=4)] = 32
    """Of each token; with `heads` it makes heads of a multiple of 4 channels."""
    layers: Count = 4
    """Blocks."""
    heads: Count = 2
    """Of the attention."""
    inner: Count = 64
    """Channels inside the block of two layers after the attention."""
    gated: bool = False
    """Whether that is a SwiGLU."""
    attention_bias: bool = True
    """Whether queries and values have a bias; keys never do."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "VitShape":
        # Positions turn pairs of channels along two axes.
        if self.channels % (4 * self.heads):
            raise ValueError(f"channels {self.channels} must be a multiple of 4 x heads, {4 * self.heads}.")
        return self


SIZES: Mapping[Size, VitShape] = {
    "small": VitShape(channels=384, layers=12, heads=6, inner=1536),
    "small_plus": VitShape(channels=384, layers=12, heads=6, inner=1536, gated=True),
    "base": VitShape(channels=768, layers=12, heads=12, inner=3072),
    "large": VitShape(channels=1024, layers=24, heads=16, inner=4096),
    "huge_plus": VitShape(channels=1280, layers=32, heads=20, inner=5120, gated=True),
    "7b": VitShape(channels=4096, layers=40, heads=32, inner=8192, gated=True, attention_bias=False),
}
"""The published sizes: 21.6, 28.7, 85.7, 303.1, 840.6 and 6716.0 million parameters."""


class DinoV3VitNetwork(DinoV3Network):
    """A DINOv3 vision transformer that answers maps of stride 16.

    CLS and the registers are dropped. Every tap passes through the final norm, without which a few channels of deep
    blocks drown the others; tap k is `norm(hidden_states[k + 1])` of the library, whose list begins with the
    embeddings.
    """

    def blocks(self) -> list[torch.nn.Module]:
        """Return the transformer's blocks."""
        # transformers 5 holds them in an encoder of their own.
        holder = getattr(self.model, "model", self.model)
        return list(cast("torch.nn.ModuleList", holder.layer))

    def _norm(self) -> torch.nn.Module | None:
        return self.model.get_submodule("norm")

    def _stem(self) -> torch.nn.Module | None:
        return self.model.get_submodule("embeddings")

    def _rebuild_buffers(self) -> None:
        """Compute the frequencies of positions, which no file holds."""
        model = cast("Any", self.model)
        model.rope_embeddings = type(model.rope_embeddings)(model.config)

    def _maps(
        self, pixels: Float[torch.Tensor, "batch 3 y x"]
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        rows, columns = pixels.shape[-2] // STRIDE, pixels.shape[-1] // STRIDE
        norm = self.model.get_submodule("norm")
        hidden: torch.Tensor = self.model.get_submodule("embeddings")(pixels)
        positions = self.model.get_submodule("rope_embeddings")(pixels)
        # Counted from the front: how many cells there are is no number yet where the network is exported.
        first = 1 + int(cast("Any", self.model).config.num_register_tokens)
        maps: list[torch.Tensor] = []
        for number, block in enumerate(self.blocks()[: self.taps[-1] + 1]):
            hidden = self._run(block, hidden, position_embeddings=positions)
            if number in self.taps:
                cells: torch.Tensor = norm(hidden[:, first:])
                maps.append(cells.reshape(cells.shape[0], rows, columns, cells.shape[-1]).permute(0, 3, 1, 2))
        return tuple(maps)


class DinoV3Vit(DinoV3Backbone):
    """A DINOv3 vision transformer: four maps of stride 16, frozen unless it is said otherwise.

    Source: O. Simeoni et al., DINOv3, arXiv 2508.10104, table of sizes; transformers, `models/dinov3_vit`.

    Differs: taps of the sizes with 24 blocks are after blocks 5, 11, 17, 23, every sixth one, where Meta's own lists
    have 4 first; an unfrozen network is trained without random rescaling of positions.

    >>> DinoV3Vit(size="large").chosen_taps, DinoV3Vit(size="7b").chosen_taps
    ((5, 11, 17, 23), (9, 19, 29, 39))
    """

    name: Literal["dinov3_vit"] = "dinov3_vit"
    """A DINOv3 vision transformer."""
    size: Size | VitShape = "small"
    """Published size, which must be that of the weights; or a shape of your own."""
    variant: Variant = "web"
    """Imagery that the weights were trained on: photographs of the web (LVD-1689M) or satellite images (SAT-493M); it
    decides the mean and deviation of the input."""

    @property
    def shape(self) -> VitShape:
        """Width, depth and so on."""
        return SIZES[self.size] if isinstance(self.size, str) else self.size

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.shape.layers

    @property
    def variant_of_weights(self) -> Variant:
        """What imagery the weights were trained on."""
        return self.variant

    @property
    def layout(self) -> FeatureLayout:
        """As many maps of stride 16 as there are taps."""
        count = len(self.chosen_taps)
        return FeatureLayout((self.shape.channels,) * count, (STRIDE,) * count, STRIDE)

    def figures(self) -> Mapping[str, JsonValue]:
        """Return the settings of the library's configuration that make this size."""
        shape = self.shape
        return {
            "patch_size": STRIDE,
            "hidden_size": shape.channels,
            "intermediate_size": shape.inner,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "use_gated_mlp": shape.gated,
            "hidden_act": "silu" if shape.gated else "gelu",
            "query_bias": shape.attention_bias,
            "key_bias": False,
            "value_bias": shape.attention_bias,
            "num_register_tokens": REGISTERS,
            "layer_norm_eps": 1e-5,
            "rope_theta": 100.0,
        }

    def _network(self, *, channels: Sequence[int]) -> DinoV3VitNetwork:
        model = created("DINOv3ViT", self.figures())
        return DinoV3VitNetwork(model, self.layout, taps=self.chosen_taps, channels=channels, unfreeze=self.unfreeze)
