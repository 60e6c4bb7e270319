"""The contract of heads and the table of them."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.output import Output
from terrazzo.record import Component, Table

__all__ = ["HEADS", "Head", "HeadNetwork"]

HEADS = Table("heads", {})
"""Heads by name; plug-ins join through the entry-point group `terrazzo.heads`."""


class HeadNetwork(torch.nn.Module):
    """A built head."""

    @abstractmethod
    def forward(
        self,
        image: Float[torch.Tensor, "batch band y x"],
        features: Sequence[Float[torch.Tensor, "batch _channel _y _x"]],
    ) -> Output:
        """Answer logits at the size of the image.

        Args:
            image: Normalised values, padded to a multiple of the features' `layout.multiple`.
            features: Maps as their `FeatureLayout` says; the same bits whether computed now or read from a cache.
        """


class Head(Component):
    """Settings of a head; `build` makes it."""

    def build(self, layout: FeatureLayout, *, bands: int, classes: int) -> HeadNetwork:
        """Return a freshly initialised head.

        Args:
            layout: Of the features it will get.
            bands: Of the image it will get.
            classes: Output channels.

        Raises:
            ModelError: It cannot work on these features.
        """
        raise NotImplementedError(f"{type(self).__name__} has no build")

    @property
    def answers(self) -> frozenset[type]:
        """Kinds of auxiliary records in its output."""
        return frozenset()
