"""The suite for architectures finds each defect that it claims to find."""

from typing import Literal

import pytest
import torch
from torch import nn

from terrazzo.models import Architecture, Network, Output
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.output import DeepSupervision, Steps
from terrazzo.testing import check_architecture
from terrazzo.testing.processes import check_processes


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

    def plain_parameters(self):
        return frozenset({"middle.weight"} if self.defect == "stranger" else ())

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
        if self.defect == "python branch" and logits.mean().item() > 0:
            logits = logits + 1
        if self.defect == "other program" and torch.compiler.is_exporting():
            logits = 2 * logits
        if self.defect == "nan":
            logits = logits / 0
        if self.defect == "half" and logits.dtype == torch.bfloat16:
            logits = logits * float("inf")
        if self.defect == "layout" and not image.is_contiguous():
            logits = 2 * logits
        return Output(logits)


class Talking(Architecture):
    """A network with a coarse answer beside its logits, with one defect or none."""

    name: Literal["talking"] = "talking"
    """A network."""
    defect: str = ""
    """Which."""

    def build(self, *, bands, classes):
        return Speaking(bands, classes, self.defect)

    @property
    def answers(self):
        return frozenset() if self.defect == "unnamed" else frozenset({DeepSupervision})


class Speaking(Network):
    def __init__(self, bands, classes, defect):
        super().__init__()
        self.defect = defect
        self.calls = 0
        self.again = False
        self.first = nn.Conv2d(bands, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, classes, 1)
        self.coarse = nn.Conv2d(4, classes, 1)
        self.spare = nn.Parameter(torch.ones(()))
        allow_single_values(self)

    def forward(self, image):
        self.calls += 1
        hidden = self.norm(self.first(image))
        if self.again and self.defect == "statistics":
            self.norm(hidden)
        if self.again and self.defect == "recomputed":
            hidden = hidden + 0.1 * hidden.detach()
        pooled = nn.functional.avg_pool2d(hidden, 2, ceil_mode=self.defect != "cells")
        said = self.coarse(pooled.detach() if self.defect == "deaf" else pooled)
        if self.defect == "deaf":
            said = said.detach()
        logits = self.last(hidden)
        if not (self.defect == "left out" and torch.distributed.is_initialized() and self.calls > 1):
            logits = self.spare * logits
        if self.defect == "memory":
            logits = logits * self.calls
        records = [DeepSupervision((said,), (2,))]
        if self.defect == "order":
            records = [DeepSupervision((said, logits), (2, 1))]
        if self.defect == "channels":
            records = [DeepSupervision((said[:, :1],), (2,))]
        if self.defect == "twice":
            records *= 2
        if self.defect == "silent" and self.training:
            records = []
        if self.defect == "steps":
            records = [Steps((said,), (), 2)]
        return Output(logits, tuple(records))

    def checkpoint_gradients(self):
        if self.defect != "none":
            self.again = True


def test_a_sound_network_passes():
    check_architecture(Sound(), sizes=((8, 8), (5, 9), (1, 1)))
    check_architecture(Talking(), bands=(2,), sizes=((9, 7), (1, 1)))


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
        ("stranger", "plain_parameters names"),
    ],
)
def test_each_defect_is_found(defect, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_architecture(Sound(defect=defect), bands=(3,), sizes=((8, 8), (5, 9)), export=False, processes=False)


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [
        ("unnamed", r"answers names \[\], but forward answers \['DeepSupervision'\]"),
        ("steps", r"answers names \['DeepSupervision'\], but forward answers \['Steps'\]"),
        ("silent", r"but forward answers \[\] \(in training\)"),
        ("twice", r"answers \['DeepSupervision', 'DeepSupervision'\]"),
        ("cells", r"a map is \(2, 3, 4, 3\) where \(2, 3, 5, 4\) was expected"),
        ("channels", r"a map is \(2, 1, 5, 4\)"),
        ("order", "the finest must come first"),
        ("deaf", "no gradient reaches 2 trainable parameters, such as .'coarse.weight'"),
        ("recomputed", "another gradient"),
        ("statistics", r"leave \['norm.running_mean'"),
    ],
)
def test_each_defect_beside_the_logits_is_found(defect, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_architecture(Talking(defect=defect), bands=(2,), sizes=((9, 7),), export=False, processes=False)


@pytest.mark.parametrize(
    ("defect", "complaint"), [("python branch", "torch.export must take it"), ("other program", "the exported program")]
)
def test_a_network_that_cannot_be_exported_is_found(defect, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_architecture(Sound(defect=defect), bands=(3,), sizes=((8, 8),), processes=False)
    check_architecture(Sound(defect=defect), bands=(3,), sizes=((8, 8),), export=False, processes=False)


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [("left out", "spare has no gradient"), ("memory", "is not the mean of the processes'")],
)
def test_a_network_that_cannot_be_trained_by_two_is_found(defect, complaint):
    with pytest.raises(AssertionError, match=f"(?s)two processes that train together: .*{complaint}"):
        check_processes(Talking(defect=defect), bands=2, classes=3, size=(9, 7))
    check_processes(Talking(), bands=2, classes=3, size=(9, 7))


def test_a_class_that_no_other_process_finds_is_told():
    class Inside(Sound):
        """A class in a function."""

    with pytest.raises(TypeError, match="processes=False"):
        check_processes(Inside(), bands=1, classes=2, size=(4, 4))


def test_a_batch_norm_that_refuses_one_value_is_found():
    with pytest.raises(ValueError, match="more than 1 value"):
        check_architecture(Sound(defect="batch norm"), bands=(3,), sizes=((8, 8),), processes=False)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    check_architecture(Sound(), bands=(1,), sizes=((8, 8),), processes=False)
    assert torch.equal(torch.get_rng_state(), before)
