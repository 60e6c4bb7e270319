"""The contract every network keeps, and the table of architectures.

A network takes `Float[batch band y x]` of any size and any number of bands and answers an `Output` whose logits have
the size of the input; it pads itself and crops back. A network that answers in steps implements `Adaptive` too, so that
an engine can really stop computing what has settled.
"""

from abc import abstractmethod
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int64

from terrazzo.models.output import Output
from terrazzo.record import Component, Record, Table

__all__ = ["ARCHITECTURES", "Adaptive", "Architecture", "Network", "Pretraining", "build"]

ARCHITECTURES = Table("models", {"smp": "terrazzo.models.smp:Smp"})
"""Architectures by name; plug-ins join through the entry-point group `terrazzo.models`."""


class Network(torch.nn.Module):
    """A built architecture: the interface that training, evaluation and the scene engine call."""

    @abstractmethod
    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits at the size of the input.

        Args:
            image: Normalised values; 0 where a pixel is missing.
        """


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

    def without_pretraining(self) -> "Architecture":
        """Return the same architecture that starts from random weights: what a bundle stores."""
        return self

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return what pretrained weights expect of their input, or None where there are none."""
        return None


State = TypeVar("State")


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
