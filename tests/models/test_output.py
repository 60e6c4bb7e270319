"""An output carries logits and typed records beside them."""

import dataclasses

import pytest
import torch
from jaxtyping import TypeCheckError

from terrazzo.models.output import DeepSupervision, Output, Steps


def test_logits_alone():
    output = Output(torch.zeros(2, 3, 4, 5))
    assert output.auxiliary == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        output.logits = torch.zeros(1)


def test_auxiliary_records_keep_their_own_strides():
    coarse = DeepSupervision((torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 1, 1)))
    steps = Steps((torch.zeros(2, 3, 2, 2),), (torch.zeros(2),))
    output = Output(torch.zeros(2, 3, 4, 4), (coarse, steps))
    assert [type(record) for record in output.auxiliary] == [DeepSupervision, Steps]


def test_shapes_are_held_in_tests():
    with pytest.raises(TypeCheckError):
        Output(torch.zeros(2, 3, 4))
