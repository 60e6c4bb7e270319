"""The table of architectures, and building by name."""

from typing import Literal

import pytest
import torch

from terrazzo.errors import ConfigError
from terrazzo.models import ARCHITECTURES, Architecture, Network, Output, build


class Dot(Architecture):
    """One 1 x 1 convolution."""

    name: Literal["dot"] = "dot"
    """A dot."""
    bias: bool = True
    """Whether classes have a bias."""

    def build(self, *, bands, classes):
        return DotNetwork(bands, classes, self.bias)


class DotNetwork(Network):
    def __init__(self, bands, classes, bias):
        super().__init__()
        self.layer = torch.nn.Conv2d(bands, classes, 1, bias=bias)

    def forward(self, image):
        return Output(self.layer(image))


@pytest.fixture
def dot(monkeypatch):
    monkeypatch.setattr(ARCHITECTURES, "_entries", {**ARCHITECTURES._entries, "dot": f"{__name__}:Dot"})


def test_build_by_name(dot):
    network = build("dot", bands=5, classes=3, bias=False)
    assert network.layer.bias is None
    assert network(torch.zeros(1, 5, 2, 7)).logits.shape == (1, 3, 2, 7)


def test_bands_default_to_three(dot):
    assert build("dot", classes=2).layer.in_channels == 3


def test_an_unknown_name_says_the_nearest():
    with pytest.raises(ConfigError, match='Did you mean "smp"'):
        build("smpp", classes=2)


def test_an_unknown_setting_is_refused(dot):
    with pytest.raises(ValueError, match="colour"):
        build("dot", classes=2, colour="red")


def test_a_record_without_build_says_so():
    with pytest.raises(NotImplementedError, match="Architecture has no build"):
        Architecture(name="none").build(bands=1, classes=2)


def test_an_architecture_without_pretraining_is_itself():
    record = Dot()
    assert record.without_pretraining() is record
    assert record.pretraining(bands=3) is None


def test_every_listed_architecture_resolves():
    for name in ARCHITECTURES.names():
        assert issubclass(ARCHITECTURES.find(name), Architecture)
