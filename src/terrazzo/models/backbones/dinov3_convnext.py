"""DINOv3's ConvNeXts as backbones: maps of strides 4, 8, 16 and 32, one after each stage."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, cast

import torch
from jaxtyping import Float
from pydantic import Field, JsonValue

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.backbones.dinov3 import DinoV3Backbone, created
from terrazzo.models.backbones.dinov3_network import DinoV3Network
from terrazzo.record import Record

__all__ = ["ConvNextShape", "DinoV3ConvNext", "DinoV3ConvNextNetwork"]

STRIDES = (4, 8, 16, 32)

Size = Literal["tiny", "small", "base", "large"]
Count = Annotated[int, Field(ge=1)]
Four = tuple[Count, Count, Count, Count]


class ConvNextShape(Record):
    """A size that is not published, for tests and trials."""

    channels: Four = (8, 16, 24, 32)
    """Of each stage."""
    layers: Four = (1, 1, 2, 1)
    """Of each stage."""


SIZES: Mapping[Size, ConvNextShape] = {
    "tiny": ConvNextShape(channels=(96, 192, 384, 768), layers=(3, 3, 9, 3)),
    "small": ConvNextShape(channels=(96, 192, 384, 768), layers=(3, 3, 27, 3)),
    "base": ConvNextShape(channels=(128, 256, 512, 1024), layers=(3, 3, 27, 3)),
    "large": ConvNextShape(channels=(192, 384, 768, 1536), layers=(3, 3, 27, 3)),
}
"""The published sizes: 27.8, 49.5, 87.6 and 196.2 million parameters (29, 50, 89 and 198 with the classifier of 1000
classes that the published figures count)."""


class DinoV3ConvNextNetwork(DinoV3Network):
    """A DINOv3 ConvNeXt that answers a map a stage.

    The final norm belongs to the width of the last stage, so that only its map passes through it, as in Meta's own
    code.
    """

    def blocks(self) -> list[torch.nn.Module]:
        """Return the four stages."""
        # transformers 5 holds them in an encoder of their own.
        holder = getattr(self.model, "model", self.model)
        return list(cast("torch.nn.ModuleList", holder.stages))

    def _norm(self) -> torch.nn.Module | None:
        return self.model.get_submodule("layer_norm") if self.taps[-1] == len(STRIDES) - 1 else None

    def _stem(self) -> torch.nn.Module | None:
        return None

    def _maps(
        self, pixels: Float[torch.Tensor, "batch 3 y x"]
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        hidden: torch.Tensor = pixels
        maps: list[torch.Tensor] = []
        for number, stage in enumerate(self.blocks()[: self.taps[-1] + 1]):
            hidden = self._run(stage, hidden)
            if number in self.taps:
                maps.append(self._normed(hidden) if number == len(STRIDES) - 1 else hidden)
        return tuple(maps)

    def _normed(self, last: Float[torch.Tensor, "batch channel y x"]) -> Float[torch.Tensor, "batch channel y x"]:
        normed: torch.Tensor = self.model.get_submodule("layer_norm")(last.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


class DinoV3ConvNext(DinoV3Backbone):
    """A DINOv3 ConvNeXt: a true pyramid of four maps, frozen unless it is said otherwise.

    Source: O. Simeoni et al., DINOv3, arXiv 2508.10104; transformers, `models/dinov3_convnext`. Its weights are of the
    web alone.
    """

    name: Literal["dinov3_convnext"] = "dinov3_convnext"
    """A DINOv3 ConvNeXt; its taps, and what is unfrozen, count stages."""
    size: Size | ConvNextShape = "tiny"
    """Published size, which must be that of the weights; or a shape of your own."""

    @property
    def shape(self) -> ConvNextShape:
        """Widths and depths."""
        return SIZES[self.size] if isinstance(self.size, str) else self.size

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(STRIDES)

    @property
    def layout(self) -> FeatureLayout:
        """A map a tap; images are padded to multiples of the last stage's stride."""
        taps = self.chosen_taps
        channels = self.shape.channels
        return FeatureLayout(tuple(channels[tap] for tap in taps), tuple(STRIDES[tap] for tap in taps), STRIDES[-1])

    def figures(self) -> Mapping[str, JsonValue]:
        """Return the settings of the library's configuration that make this size."""
        return {
            "hidden_sizes": list(self.shape.channels),
            "depths": list(self.shape.layers),
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-6,
        }

    def _network(self, *, channels: Sequence[int]) -> DinoV3ConvNextNetwork:
        model = created("DINOv3ConvNext", self.figures())
        return DinoV3ConvNextNetwork(
            model, self.layout, taps=self.chosen_taps, channels=channels, unfreeze=self.unfreeze
        )
