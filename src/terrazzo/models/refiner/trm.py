"""The dense tiny recursive model: two states over the features of any backbone, refined by one small shared net."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field

from terrazzo.models.architecture import Network, Pretraining
from terrazzo.models.backbones.backbone import BACKBONES, Backbone, BackboneNetwork
from terrazzo.models.backbones.stem import Stem
from terrazzo.models.cached_maps import frozen_maps, require_maps_of
from terrazzo.models.channel_norm import NormKind
from terrazzo.models.output import Output
from terrazzo.models.padding import covering, crop, pad, padded
from terrazzo.models.refiner.heads import CellHead, TileHead
from terrazzo.models.refiner.network import RefinerNetwork, RefinerState
from terrazzo.models.refiner.projection import STRIDE, Projection
from terrazzo.models.refiner.recursion import Mixing, RecursiveNet, initialise
from terrazzo.models.refiner.settings import Refiner
from terrazzo.record import family

__all__ = ["FrozenTrmNetwork", "Trm", "TrmNetwork"]


class Trm(Refiner):
    """The tiny recursive model carried to dense segmentation, at a quarter of the image's resolution.

    >>> Trm(width=32, t_max=4).halting_rule
    HaltingRule(threshold=0.7, first=2, last=4)

    Source: Jolicoeur-Martineau, Less is More: Recursive Reasoning with Tiny Networks, arXiv 2510.04871.
    Differs: Features of an image in place of embedded tokens, scaled to the states' root mean square of 1; depthwise
        convolution in place of attention; a bias in the classifier; one optimiser step for all steps of a batch, not
        one for each; a halting head that also sees entropy and change; halting in use, which the source never does.
    """

    name: Literal["trm"] = "trm"
    """The dense tiny recursive model."""
    backbone: Annotated[Backbone, family(BACKBONES)] = Stem()
    """What gives the features; maps of other strides are brought to stride 4 and projected to the width."""
    width: Annotated[int, Field(ge=4)] = 64
    """Channels of the features and of both states; 64 to 128 are usual."""
    latent_updates: Annotated[int, Field(ge=1)] = 2
    """n: updates of the latent state before each update of the answer."""
    cycles: Annotated[int, Field(ge=1)] = 1
    """T: cycles of n latent updates and one answer update within a step; only the last has a gradient."""
    mixing: Mixing = "depthwise"
    """How cells see their neighbours: `depthwise` 7 x 7, or `dilated` 3 x 3 with rates 1 and 3."""
    expansion: Annotated[int, Field(ge=1)] = 2
    """Channels inside the gated unit of a block, as a multiple of the width."""
    norm: NormKind = "rms"
    """Normalisation over the channels of each cell, after each sum."""
    gradient: Literal["all", "one_with_carry"] = "all"
    """`all` sends gradients back through all steps; `one_with_carry` hands the states on without gradient, so that each
    step learns from its own answer alone and memory does not grow with the steps."""
    random_steps: bool = False
    """Whether each training batch runs a random number of steps, t_min to t_max."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network, its backbone's weights loaded.

        Raises:
            ModelError: The backbone cannot be built.
        """
        return self._on(self.backbone.build(bands=bands), classes)

    def build_without_external(self, *, bands: int, classes: int) -> Network:
        """Return the network whose backbone's frozen weights are still to be read by `load_external`.

        Raises:
            ModelError: The backbone has none.
        """
        return self._on(self.backbone.build_without_external(bands=bands), classes)

    def without_pretraining(self) -> "Trm":
        """Return the same architecture whose backbone starts from random weights."""
        return self.model_copy(update={"backbone": self.backbone.without_pretraining()})

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return what the backbone's weights expect of their input."""
        return self.backbone.pretraining(bands=bands)

    def feature_key(self) -> Mapping[str, object] | None:
        """Return what decides the backbone's maps; None where they change in training."""
        return self.backbone.feature_key()

    def external_path(self) -> Path | None:
        """Return where the settings say that the backbone's frozen weights lie."""
        return self.backbone.external_path()

    def _on(self, backbone: BackboneNetwork, classes: int) -> "TrmNetwork":
        return (FrozenTrmNetwork if backbone.frozen else TrmNetwork)(self, backbone, classes)


class TrmNetwork(RefinerNetwork):
    """A built tiny recursive model.

    Args:
        settings: Of the refiner.
        backbone: What gives the features.
        classes: Output channels.
    """

    start_answer: torch.Tensor
    start_latent: torch.Tensor

    def __init__(self, settings: Trm, backbone: BackboneNetwork, classes: int) -> None:
        width = settings.width
        head = (CellHead(width) if settings.pixel_act else TileHead(width)) if settings.act else None
        runs = settings.cycles * (settings.latent_updates + 1)
        reach = runs * RecursiveNet.reach_of(settings.mixing)
        super().__init__(settings, stride=STRIDE, halting=head, reach=reach)
        self.settings = settings
        self.classes = classes
        self.backbone = backbone
        self.project = Projection(backbone.layout, width, settings.norm)
        self.recursive = RecursiveNet(width, mixing=settings.mixing, expansion=settings.expansion, norm=settings.norm)
        initialise(self.recursive)
        self.classify = torch.nn.Conv2d(width, classes, 1)
        initialise(self.classify)
        for name in ("start_answer", "start_latent"):
            # Drawn once and never trained, as in the source; part of the state, since all weights fit these.
            self.register_buffer(name, torch.nn.init.trunc_normal_(torch.empty(1, width, 1, 1)))
        self.multiple = math.lcm(STRIDE, backbone.layout.multiple)
        self._name_external()

    def start(self, image: Float[torch.Tensor, "batch band y x"]) -> RefinerState:
        """Encode the image once and return the first state: fixed vectors in every cell."""
        return self.start_from(image, self.backbone(self._padded(image)))

    def start_from(
        self, image: Float[torch.Tensor, "batch band y x"], maps: Sequence[Float[torch.Tensor, "batch _ _y _x"]]
    ) -> RefinerState:
        """Return the first state from the backbone's maps of the padded image."""
        height, width = image.shape[-2:]
        rows, columns = (padded(size, multiple=self.multiple) // STRIDE for size in (height, width))
        features = self.project(maps, rows, columns)
        # What padding added is cut off here, so that no later mean or neighbour sees it.
        features = crop(features, height=covering(height, STRIDE), width=covering(width, STRIDE))
        latent, answer = (
            vector.to(features.dtype).expand_as(features) for vector in (self.start_latent, self.start_answer)
        )
        cells = (image.shape[0], *features.shape[-2:])
        logits = torch.zeros((cells[0], self.classes, *cells[1:]), device=image.device)
        change = torch.zeros(cells, device=image.device)
        return RefinerState((features,), (latent, answer), logits, change, None, height, width)

    def refined(
        self, state: RefinerState
    ) -> tuple[tuple[Float[torch.Tensor, "batch _ y x"], ...], Float[torch.Tensor, "batch class y x"]]:
        """Return (latent, answer) and the logits after one more step."""
        (features,), (latent, answer) = state.given, state.moving
        if self.settings.gradient == "one_with_carry":
            latent, answer = latent.detach(), answer.detach()
        if self.settings.cycles > 1:
            kind = features.device.type
            # Autocast keeps its casts of weights; those made here would hide the weights from the cycle below.
            uncached = torch.autocast(
                kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), cache_enabled=False
            )
            with torch.no_grad(), uncached:
                for _ in range(self.settings.cycles - 1):
                    latent, answer = self._cycle(features, latent, answer)
        latent, answer = self._cycle(features, latent, answer)
        return (latent, answer), self.classify(answer)

    def _cycle(
        self,
        features: Float[torch.Tensor, "batch channel y x"],
        latent: Float[torch.Tensor, "batch channel y x"],
        answer: Float[torch.Tensor, "batch channel y x"],
    ) -> tuple[Float[torch.Tensor, "batch channel y x"], Float[torch.Tensor, "batch channel y x"]]:
        """Update the latent n times, the features among what it sees each time, then the answer, which sees none."""
        for _ in range(self.settings.latent_updates):
            latent = self.recursive(latent + answer + features)
        return latent, self.recursive(answer + latent)

    def steps_to_run(self) -> int:
        """Return t_max; in training with `random_steps` a number drawn by torch's global generator, as dropout is."""
        if not (self.training and self.settings.random_steps):
            return self.t_max
        return int(torch.randint(self.t_min, self.t_max + 1, ()))

    def load_external(self, path: Path) -> None:
        """Read the backbone's frozen weights.

        Raises:
            ModelError: There are none to read, or the file does not fit.
        """
        self.backbone.load_external(path)
        self._name_external()

    def plain_parameters(self) -> frozenset[str]:
        """Return the names of classifier and halting head, and what the backbone names."""
        own = {name for name, _ in self.named_parameters() if name.startswith(("classify.", "halting."))}
        return frozenset(own | {f"backbone.{name}" for name in self.backbone.plain_parameters()})

    def _name_external(self) -> None:
        external = self.backbone.external
        self.external = external.within("backbone.") if external is not None else None

    def _padded(self, image: Float[torch.Tensor, "batch band y x"]) -> Float[torch.Tensor, "batch band _y _x"]:
        height, width = (padded(size, multiple=self.multiple) for size in image.shape[-2:])
        return pad(image, height=height, width=width)


class FrozenTrmNetwork(TrmNetwork):
    """The same on a frozen backbone, whose maps can be computed once."""

    def encode(self, image: Float[torch.Tensor, "batch band y x"]) -> tuple[torch.Tensor, ...]:
        """Return the backbone's maps of the padded image, without gradient."""
        return frozen_maps(self.backbone, self._padded(image))

    def decode(self, image: Float[torch.Tensor, "batch band y x"], features: Sequence[torch.Tensor]) -> Output:
        """Answer at the size of the image.

        Args:
            image: Normalised values, of any size.
            features: What `encode` returned for this very image, in any floating type.

        Raises:
            ModelError: The maps are not of this image or this backbone.
        """
        height, width = (padded(size, multiple=self.multiple) for size in image.shape[-2:])
        require_maps_of(self.backbone.layout, features, batch=image.shape[0], height=height, width=width)
        return self.run(self.start_from(image, tuple(one.to(image.dtype) for one in features)))
