"""An output carries logits and typed records beside them."""

import dataclasses

import pytest
import torch
from jaxtyping import TypeCheckError

from terrazzo.models.output import DeepSupervision, Output, Queries, Steps


def test_logits_alone():
    output = Output(torch.zeros(2, 3, 4, 5))
    assert output.auxiliary == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        output.logits = torch.zeros(1)


def test_auxiliary_records_keep_their_own_strides():
    coarse = DeepSupervision((torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 1, 1)), (2, 4))
    steps = Steps((torch.zeros(2, 3, 2, 2),), (torch.zeros(2),), 2)
    output = Output(torch.zeros(2, 3, 4, 4), (coarse, steps))
    assert [type(record) for record in output.auxiliary] == [DeepSupervision, Steps]
    assert output.find(Steps) is steps
    assert output.find(Queries) is None


def test_everything_in_an_answer_becomes_float32():
    half = torch.zeros(2, 3, 4, 4, dtype=torch.bfloat16)
    records = (
        DeepSupervision((half,), (1,)),
        Steps((half,), (half[:, 0, 0, 0],), 1),
        Queries((half[:, :, 0],), (half,), 1),
    )
    floating = Output(half, records).floating()
    deep, steps, queries = floating.auxiliary
    assert isinstance(deep, DeepSupervision)
    assert isinstance(steps, Steps)
    assert isinstance(queries, Queries)
    parts = (floating.logits, *deep.logits, *steps.logits, *steps.halting, *queries.classes, *queries.masks)
    assert {part.dtype for part in parts} == {torch.float32}


def test_shapes_are_held_in_tests():
    with pytest.raises(TypeCheckError):
        Output(torch.zeros(2, 3, 4))
