"""The contract of heads and the table of them."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.output import Output
from terrazzo.record import Component, Table

__all__ = ["HEADS", "Head", "HeadNetwork"]

HEADS = Table(
    "heads",
    {
        "linear": "terrazzo.models.heads.linear:Linear",
        "unet": "terrazzo.models.heads.unet:UNet",
        "unet_v2": "terrazzo.models.heads.unet_v2:UNetV2",
        "maskformer": "terrazzo.models.heads.maskformer:MaskFormer",
        "pmt": "terrazzo.models.heads.pmt:PlainMaskTransformer",
    },
)
"""Heads by name; plug-ins join through the entry-point group `terrazzo.heads`."""


class HeadNetwork(torch.nn.Module):
    """A built head.

    Attributes:
        classifiers: Names of the modules inside it that answer classes.
    """

    classifiers: tuple[str, ...] = ()

    @abstractmethod
    def forward(
        self,
        image: Float[torch.Tensor, "batch band y x"],
        features: Sequence[Float[torch.Tensor, "batch _channel _y _x"]],
    ) -> Output:
        """Answer logits at the size of the image.

        Args:
            image: Normalised values, padded to a multiple of the features' `layout.multiple`.
            features: Maps as their `FeatureLayout` says; the same bits whether computed now or read from a cache. They
                may be of a narrower type than the image, and are left as they are.
        """

    def plain_parameters(self) -> frozenset[str]:
        """Return the names of trainable matrices that are no hidden layers: an optimiser of matrices leaves them out.

        These are the weights of embeddings (queries, positions, levels) and of `classifiers`.
        """
        tables = {name for name, module in self.named_modules() if isinstance(module, torch.nn.Embedding)}
        plain = {f"{table}.weight" for table in tables}
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1 and any(name.startswith(f"{one}.") for one in self.classifiers):
                plain.add(name)
        return frozenset(plain)

    def checkpoint_gradients(self) -> None:
        """Compute activations again in the backward pass instead of keeping them: less memory, more time.

        Raises:
            ModelError: The head has no way to do so.
        """
        raise ModelError(f"{type(self).__name__} cannot checkpoint gradients; set train.gradient_checkpointing: false.")


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
