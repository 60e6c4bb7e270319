"""Any head on any backbone: the composition, its padding, and what of it can be cached."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Architecture, Network, Pretraining
from terrazzo.models.backbones.backbone import BACKBONES, Backbone, BackboneNetwork
from terrazzo.models.cached_maps import frozen_maps, require_maps_of
from terrazzo.models.heads.head import HEADS, Head, HeadNetwork
from terrazzo.models.maps import cropped
from terrazzo.models.output import Output
from terrazzo.models.padding import pad, padded
from terrazzo.record import family

__all__ = ["BackboneHead", "BackboneHeadNetwork", "Composition", "FrozenBackboneHeadNetwork"]


class BackboneHeadNetwork(Network):
    """A head on a backbone's maps, and on the image itself.

    Args:
        backbone: Answers maps.
        head: Answers classes.
    """

    def __init__(self, backbone: BackboneNetwork, head: HeadNetwork) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self._lean()

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits at the size of the input.

        Args:
            image: Normalised values; 0 where a pixel is missing.
        """
        full = self._padded(image)
        return cropped(self.head(full, self.backbone(full)), height=image.shape[-2], width=image.shape[-1])

    def load_external(self, path: Path) -> None:
        """Read the backbone's frozen weights.

        Raises:
            ModelError: There are none to read, or the file does not fit.
        """
        self.backbone.load_external(path)
        self._lean()

    def share_backbone(self, backbone: BackboneNetwork) -> None:
        """Use a backbone that another network holds: it stands in the state of this one no more.

        Args:
            backbone: Of the same settings.
        """
        del self.backbone
        # Past the register of parts, by which moving, saving and counting would meet it once for each head.
        object.__setattr__(self, "backbone", backbone)
        self.external = None

    def plain_parameters(self) -> frozenset[str]:
        """Return the names of queries, embeddings and classifiers."""
        parts = {"backbone": self.backbone.plain_parameters(), "head": self.head.plain_parameters()}
        return frozenset(f"{part}.{name}" for part, names in parts.items() for name in names)

    def checkpoint_gradients(self) -> None:
        """Compute activations again in the backward pass, in the backbone, the head, or both.

        Raises:
            ModelError: Neither has a way to do so, or a frozen backbone no need and the head no way.
        """
        refusals: list[ModelError] = []
        for part in (self.backbone, self.head):
            try:
                part.checkpoint_gradients()
            except ModelError as error:
                refusals.append(error)
        if len(refusals) == 2:
            raise refusals[1] if self.backbone.frozen else refusals[0]

    def _lean(self) -> None:
        external = self.backbone.external
        self.external = external.within("backbone.") if external is not None else None

    def _padded(self, image: Float[torch.Tensor, "batch band y x"]) -> Float[torch.Tensor, "batch band _y _x"]:
        multiple = self.backbone.layout.multiple
        height, width = (padded(size, multiple=multiple) for size in image.shape[-2:])
        return pad(image, height=height, width=width)


class FrozenBackboneHeadNetwork(BackboneHeadNetwork):
    """The same on a frozen backbone, whose maps can be computed once."""

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits at the size of the input.

        Args:
            image: Normalised values; 0 where a pixel is missing.
        """
        return self.decode(image, self.encode(image))

    def encode(self, image: Float[torch.Tensor, "batch band y x"]) -> tuple[torch.Tensor, ...]:
        """Return the backbone's maps of the padded image, without gradient."""
        return frozen_maps(self.backbone, self._padded(image))

    def decode(self, image: Float[torch.Tensor, "batch band y x"], features: Sequence[torch.Tensor]) -> Output:
        """Answer at the size of the image.

        Args:
            image: Normalised values, of any size.
            features: What `encode` returned for this very image, in any floating type.
        """
        full = self._padded(image)
        batch, _, height, width = full.shape
        require_maps_of(self.backbone.layout, features, batch=batch, height=height, width=width)
        maps = tuple(one.to(image.dtype) for one in features)
        return cropped(self.head(full, maps), height=image.shape[-2], width=image.shape[-1])


class Composition(Architecture):
    """What the records of a backbone with a head share."""

    backbone: Annotated[Backbone, family(BACKBONES)]
    """Network that answers maps; its own settings say whether it is frozen."""
    head: Annotated[Head, family(HEADS)]
    """Network that makes classes of the maps and of the image itself."""

    def build(self, *, bands: int, classes: int) -> BackboneHeadNetwork:
        """Return the network.

        Raises:
            ModelError: Backbone and head do not fit together, or weights are not to be had.
        """
        return self._composed(self.backbone.build(bands=bands), bands, classes)

    def build_without_external(self, *, bands: int, classes: int) -> BackboneHeadNetwork:
        """Return the network whose frozen weights are still to be read by `load_external`.

        Raises:
            ModelError: The backbone has none.
        """
        return self._composed(self.backbone.build_without_external(bands=bands), bands, classes)

    def without_pretraining(self) -> "Composition":
        """Return the same architecture that starts from random weights."""
        return self.model_copy(update={"backbone": self.backbone.without_pretraining()})

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return what the backbone's weights expect of their input, or None where they are random."""
        return self.backbone.pretraining(bands=bands)

    @property
    def answers(self) -> frozenset[type]:
        """Kinds of auxiliary records that the head answers."""
        return self.head.answers

    def feature_key(self) -> Mapping[str, object] | None:
        """Return what decides the backbone's maps; None where they change in training."""
        return self.backbone.feature_key()

    def external_path(self) -> Path | None:
        """Return where the settings say that the frozen weights lie."""
        return self.backbone.external_path()

    def _composed(self, backbone: BackboneNetwork, bands: int, classes: int) -> BackboneHeadNetwork:
        head = self.head.build(backbone.layout, bands=bands, classes=classes)
        kind = FrozenBackboneHeadNetwork if backbone.frozen else BackboneHeadNetwork
        return kind(backbone, head)


class BackboneHead(Composition):
    """Any head on any backbone, trained together unless the backbone is a frozen one."""

    name: Literal["backbone_head"] = "backbone_head"
    """Any head on any backbone."""
