"""The contract every network keeps, and the table of architectures.

A network takes `Float[batch band y x]` of any size and any number of bands and answers an `Output` whose logits have
the size of the input; it pads itself and crops back. A network that answers in steps implements `Adaptive` too, so that
an engine can really stop computing what has settled.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int64

from terrazzo.errors import ModelError
from terrazzo.models.external import ExternalWeights
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Output
from terrazzo.record import Component, Record, Table

__all__ = ["ARCHITECTURES", "Adaptive", "Architecture", "Cacheable", "Network", "Pretraining", "build"]

ARCHITECTURES = Table(
    "models",
    {
        "backbone_head": "terrazzo.models.backbone_head:BackboneHead",
        "dinov3": "terrazzo.models.dinov3:DinoV3",
        "ensemble": "terrazzo.models.ensemble:Ensemble",
        "smp": "terrazzo.models.smp:Smp",
        "hardnet70": "terrazzo.models.hardnet.hardnet70:Hardnet70",
        "hardnet68": "terrazzo.models.hardnet.camvid:Hardnet68",
        "hardnet76": "terrazzo.models.hardnet.camvid:Hardnet76",
        "hardnet84": "terrazzo.models.hardnet.camvid:Hardnet84",
        "trm": "terrazzo.models.refiner.trm:Trm",
        "trm_deepglobe": "terrazzo.models.refiner.deepglobe:TrmDeepglobe",
    },
)
"""Architectures by name; plug-ins join through the entry-point group `terrazzo.models`."""


class Network(torch.nn.Module):
    """A built architecture: the interface that training, evaluation and the scene engine call.

    Attributes:
        external: Where a frozen part comes from that is kept in no checkpoint; None where everything is the network's
            own.
    """

    external: ExternalWeights | None = None

    @abstractmethod
    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits at the size of the input.

        Args:
            image: Normalised values; 0 where a pixel is missing.
        """

    def load_external(self, path: Path) -> None:
        """Read the frozen part, which `external` names, from its file.

        Raises:
            ModelError: There is no such part, or the file does not fit it.
        """
        raise ModelError(f"{type(self).__name__} needs no weights beside its own, so {path} has no place in it.")

    def plain_parameters(self) -> frozenset[str]:
        """Return the names of trainable matrices that are no hidden layers: an optimiser of matrices leaves them out.

        Besides these, it leaves out by itself whatever has fewer than two useful axes, and the first convolution.
        """
        return frozenset()

    def checkpoint_gradients(self) -> None:
        """Compute activations again in the backward pass instead of keeping them: less memory, more time.

        Raises:
            ModelError: The network has no way to do so.
        """
        raise ModelError(f"{type(self).__name__} cannot checkpoint gradients; set train.gradient_checkpointing: false.")


class Pretraining(Record):
    """Where weights come from that a network starts with, and the normalisation they expect.

    Attributes are filled by `Architecture.pretraining`; values are per band, in units of the band's full range
    (1.0 = white).
    """

    mean: tuple[float, ...]
    """Mean of each input channel."""
    std: tuple[float, ...]
    """Standard deviation of each input channel."""
    licence: str = ""
    """Licence of the weights."""


class Architecture(Component):
    """Settings of a network; `build` makes it."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return a freshly initialised network.

        Args:
            bands: Input channels.
            classes: Output channels.

        Raises:
            ModelError: The settings do not fit together.
        """
        raise NotImplementedError(f"{type(self).__name__} has no build")

    def build_without_external(self, *, bands: int, classes: int) -> Network:
        """Return the network whose frozen weights, which come from a file, are still to be read by `load_external`.

        Raises:
            ModelError: It has none.
        """
        raise ModelError(f"{self.name} takes no frozen weights of a file.")

    def external_path(self) -> Path | None:
        """Return the file or folder that the settings name for frozen weights; None where they are its own."""
        return None

    def without_pretraining(self) -> "Architecture":
        """Return the same architecture that starts from random weights: what a bundle stores."""
        return self

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return what pretrained weights expect of their input, or None where there are none."""
        return None

    @property
    def answers(self) -> frozenset[type]:
        """Kinds of auxiliary records in the network's output."""
        return frozenset()

    @property
    def halting_rule(self) -> HaltingRule | None:
        """When a network that answers in steps is done with a tile; None where it answers once."""
        return None

    @property
    def own_arithmetic(self) -> bool:
        """Whether the network itself says in which type it computes, so that no precision can be chosen for it."""
        return False

    def feature_key(self) -> Mapping[str, object] | None:
        """Return all that decides the frozen features of an image, as plain data, where they can be cached.

        None where there is nothing frozen. Weights are part of it by their hash, taps, norm and layout too; what comes
        after the features is not.
        """
        return None


State = TypeVar("State")


@runtime_checkable
class Cacheable(Protocol):
    """A network whose frozen first part can be computed once: `forward(image)` is `decode(image, encode(image))`."""

    def encode(self, image: Float[torch.Tensor, "batch band y x"]) -> tuple[torch.Tensor, ...]:
        """Return the frozen features of images of any size, each `batch channel y x`, without gradient."""
        ...

    def decode(self, image: Float[torch.Tensor, "batch band y x"], features: Sequence[torch.Tensor]) -> Output:
        """Answer at the size of the image, from features computed now or read from a cache in a narrower type."""
        ...


@runtime_checkable
class Adaptive(Protocol[State]):
    """A network that refines its answer in steps and can stop early, tile by tile."""

    def start(self, image: Float[torch.Tensor, "batch band y x"]) -> State:
        """Encode the image and return the first state."""
        ...

    def step(self, state: State) -> State:
        """Refine once."""
        ...

    def answer(self, state: State) -> Float[torch.Tensor, "batch class y x"]:
        """Return the logits of a state at the size of the input."""
        ...

    def halt(self, state: State) -> Float[torch.Tensor, " batch"]:
        """Return for each tile the probability, 0..1, that more steps would not help."""
        ...

    def select(self, state: State, index: Int64[torch.Tensor, " kept"]) -> State:
        """Return the state of some tiles of the batch."""
        ...


def build(name: str, *, bands: int = 3, classes: int, **settings: Any) -> Network:  # noqa: ANN401 - checked by the record
    """Build a network by name.

    Args:
        name: Name in `ARCHITECTURES`.
        bands: Input channels.
        classes: Output channels.
        **settings: Fields of the architecture's record.

    Raises:
        ConfigError: Unknown name.
        ModelError: The settings do not fit together.
    """
    record = ARCHITECTURES.create(name, **settings)
    if not isinstance(record, Architecture):
        raise TypeError(f'models "{name}" is no Architecture')
    return record.build(bands=bands, classes=classes)
