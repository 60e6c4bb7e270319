"""Backbones: networks that answer feature maps, on which refiners and heads build.

A backbone does not pad: who uses it pads the image to a multiple of `FeatureLayout.multiple` first, so that a map of
stride s has exactly height / s rows.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Pretraining
from terrazzo.models.external import ExternalWeights
from terrazzo.record import Component, Table

__all__ = ["BACKBONES", "Backbone", "BackboneNetwork", "FeatureLayout"]

BACKBONES = Table(
    "backbones",
    {
        "dinov3_convnext": "terrazzo.models.backbones.dinov3_convnext:DinoV3ConvNext",
        "dinov3_vit": "terrazzo.models.backbones.dinov3_vit:DinoV3Vit",
        "hardnet": "terrazzo.models.backbones.hardnet:HardnetBackbone",
        "smp": "terrazzo.models.backbones.smp:SmpBackbone",
        "stem": "terrazzo.models.backbones.stem:Stem",
    },
)
"""Backbones by name; plug-ins join through the entry-point group `terrazzo.backbones`."""


@dataclass(frozen=True)
class FeatureLayout:
    """What feature maps a backbone answers.

    Attributes:
        channels: Of each map.
        strides: Pixels of the image along a cell of each map; shallow maps first, never falling.
        multiple: What height and width of the image must be a multiple of.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    multiple: int

    def __len__(self) -> int:
        return len(self.channels)


class BackboneNetwork(torch.nn.Module):
    """A built backbone.

    Attributes:
        layout: What it answers.
        external: Where frozen weights come from that are kept in no checkpoint; None where they are the network's own.
    """

    layout: FeatureLayout
    external: ExternalWeights | None = None

    @property
    def frozen(self) -> bool:
        """Whether nothing of it is trained: then it is always in evaluation mode and builds no graph of gradients."""
        return False

    @abstractmethod
    def forward(
        self, image: Float[torch.Tensor, "batch band y x"]
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        """Answer the feature maps, in the order of `layout`.

        Args:
            image: Normalised values; height and width are multiples of `layout.multiple`.
        """

    def load_external(self, path: Path) -> None:
        """Read the frozen weights from their file or folder.

        Raises:
            ModelError: There are none to read, or the file does not fit.
        """
        raise ModelError(f"{type(self).__name__} needs no weights beside its own, so {path} has no place in it.")

    def plain_parameters(self) -> frozenset[str]:
        """Return the names of trainable matrices that are no hidden layers; see `Network.plain_parameters`."""
        return frozenset()

    def checkpoint_gradients(self) -> None:
        """Compute activations again in the backward pass instead of keeping them.

        Raises:
            ModelError: The backbone has no way to do so.
        """
        raise ModelError(f"{type(self).__name__} cannot checkpoint gradients; set train.gradient_checkpointing: false.")


class Backbone(Component):
    """Settings of a backbone; `build` makes it."""

    def build(self, *, bands: int) -> BackboneNetwork:
        """Return a freshly initialised backbone, with pretrained weights where the settings name some.

        Raises:
            ModelError: The settings do not fit together, or the weights cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} has no build")

    def build_without_external(self, *, bands: int) -> BackboneNetwork:
        """Return the backbone whose frozen weights, which come from a file, are still to be read by `load_external`.

        Raises:
            ModelError: It has none.
        """
        raise ModelError(f"{self.name} takes no frozen weights of a file.")

    def external_path(self) -> Path | None:
        """Return the file or folder that the settings name for frozen weights; None where they are its own."""
        return None

    def feature_key(self) -> Mapping[str, object] | None:
        """Return all that decides the maps of a normalised image, as plain data; None where training changes them."""
        return None

    def without_pretraining(self) -> "Backbone":
        """Return the same backbone that starts from random weights: what a bundle stores."""
        return self

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return what pretrained weights expect of their input, or None where there are none."""
        return None
