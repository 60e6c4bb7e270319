"""The suite for losses finds each defect that it claims to find."""

from typing import Literal

import pytest
import torch
from torch.nn import functional

from terrazzo.losses import CrossEntropy, DeeplySupervised, Dice, Labels, Loss, MaskLoss, StepLoss
from terrazzo.models.maps import enlarged
from terrazzo.models.output import DeepSupervision, Output, Steps
from terrazzo.testing import check_loss


class Broken(Loss):
    """A loss with one defect."""

    name: Literal["broken"] = "broken"
    """A defect."""
    defect: str
    """Which."""

    def measure(self, logits, labels):
        right = CrossEntropy().measure(logits, labels)
        if self.defect == "diluted":
            overlaps = Dice().measure(logits, labels)
            return overlaps * labels.one_hot().any(dim=3).any(dim=2).any(dim=0).float().mean()
        if self.defect == "negative":
            return right - 100
        if self.defect == "upside down":
            return 1 / (1 + right) * (labels.index >= 0).any()
        if self.defect == "flat":
            return right.detach() + 0 * logits.sum()
        return {
            "no gradient": right.detach(),
            "nan": right * float("nan"),
        }[self.defect]


class Unmasked(Loss):
    """Looks at ignored pixels as class 0, which is the worst defect of all."""

    name: Literal["unmasked"] = "unmasked"
    """A defect."""

    def measure(self, logits, labels):
        return functional.cross_entropy(logits, labels.index.clamp_min(0))


class NanWhenEmpty(Loss):
    """Divides by the number of counted pixels."""

    name: Literal["nan_when_empty"] = "nan_when_empty"
    """A defect."""

    def measure(self, logits, labels):
        return functional.cross_entropy(logits, labels.index, ignore_index=-1)


class Half(Loss):
    """Sums in the precision of the network."""

    name: Literal["half"] = "half"
    """A defect."""

    def __call__(self, output, target, ignored, class_weights=None):
        right = CrossEntropy()(output, target, ignored, class_weights)
        return right.to(output.logits.dtype).float()


class Vector(Loss):
    """Answers one value a class."""

    name: Literal["vector"] = "vector"
    """A defect."""

    def __call__(self, output, target, ignored, class_weights=None):
        return output.logits.mean(dim=(0, 2, 3))


class OfRecords(Loss):
    """A loss of coarser answers and steps with one defect."""

    name: Literal["of_records"] = "of_records"
    """A defect."""
    defect: str
    """Which."""

    @property
    def reads(self):
        return frozenset({Steps if self.defect == "enlarged labels" else DeepSupervision})

    def measure_output(self, output, labels):
        if self.defect == "enlarged labels":
            # Where a step is enlarged, every pixel counts, whatever was ignored.
            (record,) = output.auxiliary
            height, width = labels.index.shape[1:]
            every = Labels(labels.index.clamp_min(0), labels.weights)
            maps = [enlarged(one, stride=record.stride, height=height, width=width) for one in record.logits]
            halting = sum(0 * one.sum() for one in record.halting)
            return sum(CrossEntropy().measure(one, every) for one in maps) * labels.counted.any() + halting
        if self.defect == "unread":
            return CrossEntropy().measure(output.logits, labels)
        # Every image counts the same, be it empty.
        each = [
            DeeplySupervised().measure_output(
                Output(
                    output.logits[[one]],
                    tuple(
                        DeepSupervision(tuple(part[[one]] for part in record.logits), record.strides)
                        for record in output.auxiliary
                    ),
                ),
                labels.of_image(one),
            )
            for one in range(len(output.logits))
        ]
        return torch.stack(each).mean()


def test_a_loss_that_is_no_scalar_is_found():
    with pytest.raises(AssertionError, match="float32 scalar"):
        check_loss(Vector())


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [
        ("no gradient", "carry a gradient"),
        ("nan", "gradient must be finite|finite and at least 0"),
        ("negative", "at least 0"),
        ("flat", "must have a gradient"),
        ("upside down", "no order"),
        ("diluted", "diluted"),
    ],
)
def test_each_defect_is_found(defect, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_loss(Broken(defect=defect))


def test_ignored_pixels_that_enter_are_found():
    with pytest.raises(AssertionError, match="ignored pixels"):
        check_loss(Unmasked())


def test_an_empty_batch_is_found():
    with pytest.raises(AssertionError, match=r"must be finite|must be 0"):
        check_loss(NanWhenEmpty())


def test_half_precision_sums_are_found():
    with pytest.raises(AssertionError, match="float32 under autocast"):
        check_loss(Half())


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [
        ("unread", "every tensor of the records it reads must have a gradient"),
        ("enlarged labels", "ignored pixels"),
        ("thinned out", "an image without a counted pixel changed it"),
    ],
)
def test_each_defect_of_records_is_found(defect, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_loss(OfRecords(defect=defect))


@pytest.mark.parametrize(
    "record", [CrossEntropy(), DeeplySupervised(), StepLoss(), MaskLoss()], ids=lambda one: one.name
)
@pytest.mark.parametrize("classes", [3, 7])
def test_a_sound_loss_passes_for_any_number_of_classes(record, classes):
    check_loss(record, classes=classes)


def test_the_global_generator_is_left_as_it_was():
    before = torch.random.get_rng_state()
    check_loss(MaskLoss.model_validate({"sampling": {"points": 100}}))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_labels_can_be_built_by_hand():
    """What a plug-in's own test needs."""
    target = torch.tensor([[[0, 1, 9]]])
    labels = Labels.of(target, target == 9, torch.ones(2))
    assert labels.index.tolist() == [[[0, 1, -1]]]
    assert labels.one_hot().sum().item() == 2
