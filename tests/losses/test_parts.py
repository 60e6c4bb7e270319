"""What losses of records share: a part's own weights, a missing record, and gradients of exactly 0."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.losses import CrossEntropy, Labels, StepLoss
from terrazzo.losses.parts import check_cells, labels_of_part, required, untouched
from terrazzo.models.output import DeepSupervision, Output, Steps

LABELS = Labels(torch.zeros((1, 5, 7), dtype=torch.int64), torch.ones(3))


def test_a_part_keeps_the_weights_of_the_whole_unless_it_has_its_own():
    logits = torch.zeros(1, 3, 5, 7)
    assert labels_of_part(CrossEntropy(), logits, LABELS) is LABELS
    own = labels_of_part(CrossEntropy(class_weights=(1, 2, 3)), logits, LABELS)
    assert own.weights.tolist() == [1, 2, 3]
    assert own.index is LABELS.index


def test_a_record_is_found_or_missed():
    record = Steps((torch.zeros(1, 3, 5, 7),), (), 1)
    output = Output(torch.zeros(1, 3, 5, 7), (record,))
    assert required(output, Steps, StepLoss()) is record
    with pytest.raises(ModelError, match="loss steps reads DeepSupervision, which the network does not answer"):
        required(output, DeepSupervision, StepLoss())


@pytest.mark.parametrize(("stride", "cells"), [(1, (5, 7)), (2, (3, 4)), (4, (2, 2)), (8, (1, 1))])
def test_a_map_has_the_cells_of_its_stride(stride, cells):
    check_cells("x", torch.zeros(1, 3, *cells), LABELS, stride)
    with pytest.raises(ModelError, match=rf"loss x: a map of stride {stride}"):
        check_cells("x", torch.zeros(1, 3, cells[0] + 1, cells[1]), LABELS, stride)


def test_untouched_is_0_whatever_it_is_given():
    given = [torch.tensor([1.0, float("inf"), float("nan")], requires_grad=True), torch.ones(2, 2, requires_grad=True)]
    value = untouched(*given)
    value.backward()
    assert value.item() == 0
    assert all(one.grad is not None and not one.grad.any() for one in given)
