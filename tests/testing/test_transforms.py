"""The suite for transforms passes all of ours and finds each defect that it claims to find."""

import copy
from dataclasses import replace
from typing import Literal

import pytest
import torch

from terrazzo.data.augment.transform import AUGMENTATIONS, Transform
from terrazzo.testing import check_transform


class Broken(Transform):
    """A transform with one defect or none."""

    name: Literal["broken"] = "broken"
    """A defect."""
    defect: str = ""
    """Which."""

    def apply(self, sample, generator, ignore):
        image, target, valid = sample.image, sample.target, sample.valid
        if self.defect == "image alone":
            return replace(sample, image=image.flip(-1), valid=valid.flip(-1))
        if self.defect == "in place":
            image += 1
        if self.defect == "own randomness":
            return replace(sample, image=image * (1 + torch.rand(())))
        if self.defect == "new class":
            return replace(sample, target=target + 1)
        if self.defect == "filled":
            return replace(sample, image=image + 0.5)
        if self.defect == "not finite":
            return replace(sample, image=image / 0)
        if self.defect == "size":
            shorter = copy.copy(sample)
            # Around the shapes that the test run enforces and a user's run does not.
            object.__setattr__(shorter, "target", target[:, 1:])
            return shorter
        return replace(sample, image=image.flip(-1), target=target.flip(-1), valid=valid.flip(-1))


def test_a_sound_transform_passes():
    check_transform(Broken())


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_every_listed_transform_conforms(name):
    size = {"height": 10, "width": 30} if name == "resize" else {}
    check_transform(AUGMENTATIONS.create(name, **size))


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [
        ("image alone", "did not move with the image"),
        ("in place", "changed in place"),
        ("own randomness", "same generator"),
        ("new class", "a class that was not there"),
        ("filled", "must hold 0"),
        ("not finite", "not finite"),
        ("size", "one size"),
    ],
)
def test_each_defect_is_found(defect, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_transform(Broken(defect=defect), seeds=3)


class Always(Broken):
    """Does not ask its probability."""

    def __call__(self, sample, generator, ignore):
        return self.apply(sample, generator, ignore)


def test_probability_zero_is_held():
    with pytest.raises(AssertionError, match="probability 0"):
        check_transform(Always(), seeds=1)
