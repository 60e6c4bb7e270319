"""The suite for heads finds each defect that it claims to find."""

from typing import Literal

import pytest
import torch
from torch import nn

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.head import Head, HeadNetwork
from terrazzo.models.maps import enlarged
from terrazzo.models.output import DeepSupervision, Output, Steps
from terrazzo.testing import check_head

LAYOUT = FeatureLayout((4, 6), (8, 16), 16)


class Sound(Head):
    """A head of two layers and a coarse answer, with one defect or none."""

    name: Literal["sound"] = "sound"
    """A head."""
    defect: str = ""
    """Which."""

    def build(self, layout, *, bands, classes):
        if self.defect == "seedless":
            torch.seed()
        if self.defect == "no head":
            return nn.Conv2d(bands, classes, 1)
        return Layers(layout, bands, classes, self.defect)

    @property
    def answers(self):
        return frozenset({Steps}) if self.defect == "another kind" else frozenset({DeepSupervision})


class Layers(HeadNetwork):
    classifiers = ("last",)

    def __init__(self, layout, bands, classes, defect):
        super().__init__()
        self.defect, self.stride, self.again = defect, layout.strides[-1], False
        self.image = nn.Conv2d(bands, classes, 1)
        self.first = nn.Conv2d(layout.channels[-1], 4, 1)
        self.norm = nn.BatchNorm2d(4) if defect == "batch norm" else nn.Identity()
        self.last = nn.Conv2d(4, classes, 1)
        if defect == "unused":
            self.spare = nn.Conv2d(1, 1, 1)
        self.offset = torch.rand(()).item() if defect == "hidden state" else 0.0

    def plain_parameters(self):
        return frozenset({"queries"}) if self.defect == "stranger" else super().plain_parameters()

    def checkpoint_gradients(self):
        if self.defect != "checkpoint":
            super().checkpoint_gradients()
        self.again = True

    def forward(self, image, features):
        if self.defect == "in place":
            features[-1].mul_(2)
        deepest = features[-1] if self.defect == "narrow" else features[-1].to(image.dtype)
        if self.defect == "detached":
            deepest = deepest.detach()
        hidden = self.norm(self.first(deepest).relu())
        hidden = self._disturbed(hidden)
        coarse = self.last(hidden) + self.offset
        if self.defect == "half" and coarse.dtype == torch.bfloat16:
            coarse = coarse * float("inf")
        if self.defect == "nan":
            coarse = coarse / 0
        if self.defect == "shape in code" and torch.compiler.is_exporting():
            coarse = coarse + 1
        if self.defect == "checkpoint" and self.again:
            coarse = coarse * 2
        if self.defect == "layout" and not image.is_contiguous():
            coarse = coarse * 2
        logits = enlarged(coarse, stride=self.stride, height=image.shape[-2], width=image.shape[-1])
        logits = logits + self.image(image)
        if self.defect == "bare tensor":
            return logits
        if self.defect == "four times":
            logits = nn.functional.interpolate(logits, scale_factor=4.0)
        stride = 8 if self.defect == "stride" else self.stride
        records = () if self.defect == "no record" else (DeepSupervision((coarse,), (stride,)),)
        return Output(logits, 2 * records if self.defect == "twice" else records)

    def _disturbed(self, hidden):
        if self.defect == "batch":
            return hidden - hidden.mean(dim=0)
        if self.defect == "dropout":
            return nn.functional.dropout(hidden, training=True)
        return hidden


def test_a_sound_head_passes():
    check_head(Sound(), sizes=((2, 3), (1, 1)))


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [
        ("seedless", "one seed must build the same weights"),
        ("no head", "build must return a HeadNetwork"),
        ("stranger", "plain_parameters names"),
        ("hidden state", "saved and loaded"),
        ("bare tensor", "must return an Output"),
        ("four times", "was expected"),
        ("another kind", "where the record names"),
        ("no record", "where the record names"),
        ("twice", "at most one record of each kind"),
        ("stride", "a map of stride 8 has"),
        ("nan", "not finite"),
        ("in place", "must not change the image or its maps"),
        ("dropout", "repeat bit for bit"),
        ("batch", "alone and in a batch"),
        ("unused", "no gradient reaches 2 trainable parameters"),
        ("detached", "no gradient reaches"),
        ("checkpoint", "another gradient"),
        ("half", "bfloat16"),
        ("layout", "channels_last"),
        ("shape in code", "exported program"),
    ],
)
def test_each_defect_is_found(defect, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_head(Sound(defect=defect), layouts=(LAYOUT,), bands=(3,))


def test_a_head_that_takes_no_narrow_maps_is_found():
    with pytest.raises(RuntimeError, match="type"):
        check_head(Sound(defect="narrow"), layouts=(LAYOUT,), bands=(3,))


def test_a_batch_norm_that_refuses_one_value_is_found():
    with pytest.raises(ValueError, match="more than 1 value"):
        check_head(Sound(defect="batch norm"), layouts=(LAYOUT,), bands=(3,))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    check_head(Sound(), layouts=(LAYOUT,), bands=(1,))
    assert torch.equal(torch.get_rng_state(), before)
