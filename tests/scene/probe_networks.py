"""Tiny architectures whose answers are known, loaded by tests as a plug-in that a user named."""

import itertools
from typing import Literal

import torch

from terrazzo.models import Architecture, Network, Output
from terrazzo.record import Table


class _Convolution(Network):
    def __init__(self, bands: int, classes: int, *, side: int, depth: int) -> None:
        super().__init__()
        widths = [bands, *[8] * (depth - 1), classes]
        self.layers = torch.nn.ModuleList(
            torch.nn.Conv2d(before, after, side, padding=side // 2) for before, after in itertools.pairwise(widths)
        )

    def forward(self, image: torch.Tensor) -> Output:
        for number, layer in enumerate(self.layers):
            image = layer(image if number == 0 else torch.relu(image))
        return Output(image)


class ProbeConvolution(Architecture):
    """Plain convolutions: a receptive field of 1 + depth x (side - 1) pixels."""

    name: Literal["probe_convolution"] = "probe_convolution"
    """Name in the table."""
    side: int = 3
    """Side of each kernel."""
    depth: int = 1
    """Layers."""

    def build(self, *, bands: int, classes: int) -> Network:
        return _Convolution(bands, classes, side=self.side, depth=self.depth)


class _Identity(Network):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(1))

    def forward(self, image: torch.Tensor) -> Output:
        return Output(image + self.shift)


class ProbeIdentity(Architecture):
    """Logits are the normalised bands themselves."""

    name: Literal["probe_identity"] = "probe_identity"
    """Name in the table."""

    def build(self, *, bands: int, classes: int) -> Network:
        assert bands == classes
        return _Identity()


class _Constant(Network):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.arange(classes, dtype=torch.float32))

    def forward(self, image: torch.Tensor) -> Output:
        batch, _, height, width = image.shape
        return Output(self.logits[None, :, None, None].expand(batch, -1, height, width).clone())


class ProbeConstant(Architecture):
    """The same logits everywhere: 0, 1, 2, ..."""

    name: Literal["probe_constant"] = "probe_constant"
    """Name in the table."""

    def build(self, *, bands: int, classes: int) -> Network:
        return _Constant(classes)


for probe in (ProbeConvolution, ProbeIdentity, ProbeConstant):
    Table.of("models").register(probe.model_fields["name"].default, f"{__name__}:{probe.__name__}")
