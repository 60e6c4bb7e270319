"""A tiny network with a frozen part, as a plug-in file: for tests of the feature cache, and processes that they start.

Its features are not those of a mirrored image mirrored: the frozen kernels are random.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch.nn.functional import interpolate

from terrazzo.models.architecture import ARCHITECTURES, Architecture, Network
from terrazzo.models.output import Output
from terrazzo.record import Table


class FrozenNetwork(Network):
    """Two frozen convolutions, whose answers are the taps, and a head that is trained on them and on the image."""

    def __init__(self, bands: int, classes: int, settings: "Frozen") -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.weights)
            self.first = torch.nn.Conv2d(bands, 6, 3, stride=2, padding=1)
            self.second = torch.nn.Conv2d(6, 4, 3, stride=2, padding=1)
        self.first.weight.data *= settings.scale
        if settings.frozen:
            self.first.requires_grad_(False)
            self.second.requires_grad_(False)
        self.head = torch.nn.Conv2d(bands + 10, classes, 1)
        self.encoded = 0

    def forward(self, image: torch.Tensor) -> Output:
        """Answer logits at the size of the input."""
        return self.decode(image, self.encode(image))

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return both taps."""
        self.encoded += len(image)
        first = torch.tanh(self.first(image)) if self.first.weight.abs().max() < 100 else self.first(image)
        return first, torch.tanh(self.second(first))

    def decode(self, image: torch.Tensor, features: Sequence[torch.Tensor]) -> Output:
        """Answer logits at the size of the image."""
        size = image.shape[-2:]
        return Output(self.head(torch.cat([image, *(interpolate(one, size=size) for one in features)], dim=1)))


class Frozen(Architecture):
    """Settings of the network."""

    name: Literal["tiny_frozen"] = "tiny_frozen"
    """A tiny network with a frozen part."""
    weights: int = 0
    """Seed of the frozen weights."""
    scale: float = 1.0
    """Factor of the first kernels."""
    frozen: bool = True
    """Whether they are frozen."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network."""
        return FrozenNetwork(bands, classes, self)

    def feature_key(self) -> Mapping[str, object] | None:
        """Return what decides the taps, but for the weights: the cache must see these itself."""
        return {"network": self.name, "taps": [0, 1]} if self.frozen else None


Table.of(ARCHITECTURES.family).register("tiny_frozen", f"{__name__}:Frozen")
