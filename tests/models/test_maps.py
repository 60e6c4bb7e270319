"""Coarse maps and the pixels they stand for."""

import torch

from terrazzo.models.maps import cropped, enlarged
from terrazzo.models.output import DeepSupervision, Output, Queries, Steps


def test_a_map_is_enlarged_by_its_stride_and_cut():
    coarse = torch.tensor([[[[0.0, 4.0]]]])
    fine = enlarged(coarse, stride=4, height=3, width=7)
    assert fine.shape == (1, 1, 3, 7)
    # Bilinear between the middles of the cells, which lie at pixels 1.5 and 5.5; beyond them constant.
    assert torch.allclose(fine[0, 0, 1], torch.tensor([0.0, 0.0, 0.5, 1.5, 2.5, 3.5, 4.0]))


def test_a_map_of_stride_one_is_only_cut():
    fine = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert torch.equal(enlarged(fine, stride=1, height=2, width=3), fine[..., :2, :3])


def test_every_map_of_an_answer_is_cut_to_the_cells_that_hold_pixels():
    records = (
        DeepSupervision((torch.zeros(2, 3, 16, 16), torch.zeros(2, 3, 2, 2)), (4, 32)),
        Steps((torch.zeros(2, 3, 16, 16),), (torch.zeros(2),), 4),
        Queries((torch.zeros(2, 5, 4),), (torch.zeros(2, 5, 16, 16),), 4),
    )
    output = cropped(Output(torch.zeros(2, 3, 64, 64), records), height=33, width=5)
    deep, steps, queries = output.auxiliary
    assert isinstance(deep, DeepSupervision)
    assert isinstance(steps, Steps)
    assert isinstance(queries, Queries)
    assert output.logits.shape == (2, 3, 33, 5)
    assert [tuple(one.shape[2:]) for one in deep.logits] == [(9, 2), (2, 1)]
    assert steps.logits[0].shape == (2, 3, 9, 2)
    assert steps.halting[0].shape == (2,)
    assert queries.classes[0].shape == (2, 5, 4)
    assert queries.masks[0].shape == (2, 5, 9, 2)


def test_a_halting_map_is_cut_too():
    steps = Steps((torch.zeros(1, 3, 4, 4),), (torch.zeros(1, 4, 4),), 4)
    found = cropped(Output(torch.zeros(1, 3, 16, 16), (steps,)), height=7, width=16).find(Steps)
    assert found is not None
    assert found.halting[0].shape == (1, 2, 4)
