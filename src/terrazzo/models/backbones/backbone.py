"""Backbones: networks that answer feature maps, on which refiners and heads build.

A backbone does not pad: who uses it pads the image to a multiple of `FeatureLayout.multiple` first, so that a map of
stride s has exactly height / s rows.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float

from terrazzo.models.architecture import Pretraining
from terrazzo.record import Component, Table

__all__ = ["BACKBONES", "Backbone", "BackboneNetwork", "FeatureLayout"]

BACKBONES = Table("backbones", {})
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
    """

    layout: FeatureLayout

    @abstractmethod
    def forward(
        self, image: Float[torch.Tensor, "batch band y x"]
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        """Answer the feature maps, in the order of `layout`.

        Args:
            image: Normalised values; height and width are multiples of `layout.multiple`.
        """


class Backbone(Component):
    """Settings of a backbone; `build` makes it."""

    def build(self, *, bands: int) -> BackboneNetwork:
        """Return a freshly initialised backbone, with pretrained weights where the settings name some.

        Raises:
            ModelError: The settings do not fit together, or the weights cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} has no build")

    def without_pretraining(self) -> "Backbone":
        """Return the same backbone that starts from random weights: what a bundle stores."""
        return self

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return what pretrained weights expect of their input, or None where there are none."""
        return None
