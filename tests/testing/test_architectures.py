"""The suite for architectures finds each defect that it claims to find."""

from typing import Literal

import pytest
import torch
from torch import nn

from terrazzo.models import Architecture, Network, Output
from terrazzo.testing import check_architecture


class Sound(Architecture):
    """A network of two layers, with one defect or none."""

    name: Literal["sound"] = "sound"
    """A network."""
    defect: str = ""
    """Which."""

    def build(self, *, bands, classes):
        if self.defect == "seedless":
            with torch.random.fork_rng(devices=[]):
                torch.seed()
                return Layers(bands, classes, self.defect)
        return Layers(bands, classes, self.defect)


class Layers(Network):
    def __init__(self, bands, classes, defect):
        super().__init__()
        self.defect = defect
        self.first = nn.Conv2d(bands, 4, 3, padding=1, stride=2 if defect == "smaller" else 1)
        self.norm = nn.BatchNorm2d(4) if defect == "batch norm" else nn.Identity()
        self.last = nn.Conv2d(4, classes, 1)
        if defect == "unused":
            self.spare = nn.Conv2d(1, 1, 1)
        self.offset = 0.0 if defect != "hidden state" else torch.rand(()).item()

    def forward(self, image):
        if self.defect == "in place":
            image += 1
        if self.defect == "bare tensor":
            return self.last(self.first(image))
        hidden = self.norm(self.first(image).relu())
        if self.defect == "batch":
            hidden = hidden - hidden.mean(dim=0)
        if self.defect == "dropout":
            hidden = nn.functional.dropout(hidden, training=True)
        logits = self.last(hidden) + self.offset
        if self.defect == "nan":
            logits = logits / 0
        if self.defect == "half" and logits.dtype == torch.bfloat16:
            logits = logits * float("inf")
        if self.defect == "layout" and not image.is_contiguous():
            logits = 2 * logits
        return Output(logits)


def test_a_sound_network_passes():
    check_architecture(Sound(), sizes=((8, 8), (5, 9), (1, 1)))


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [
        ("seedless", "one seed must build the same weights"),
        ("smaller", "was expected"),
        ("unused", "no gradient reaches"),
        ("in place", "must not change its input"),
        ("bare tensor", "must return an Output"),
        ("batch", "alone and in a batch"),
        ("dropout", "repeat bit for bit"),
        ("nan", "not finite"),
        ("half", "bfloat16"),
        ("hidden state", "saved and loaded"),
        ("layout", "channels_last"),
    ],
)
def test_each_defect_is_found(defect, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_architecture(Sound(defect=defect), bands=(3,), sizes=((8, 8), (5, 9)))


def test_a_batch_norm_that_refuses_one_value_is_found():
    with pytest.raises(ValueError, match="more than 1 value"):
        check_architecture(Sound(defect="batch norm"), bands=(3,), sizes=((8, 8),))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    check_architecture(Sound(), bands=(1,), sizes=((8, 8),))
    assert torch.equal(torch.get_rng_state(), before)
