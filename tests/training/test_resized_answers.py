"""What a network said of resized images, at the images' own size."""

import pytest
import torch

from terrazzo.data.augment.geometry import Resize
from terrazzo.models.maps import enlarged
from terrazzo.models.output import DeepSupervision, Output, Queries, Steps
from terrazzo.training.resized_answers import unresized

SEEN, SIZE = (24, 40), (17, 22)


def coarse(channels: int, stride: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((2, channels, -(-SEEN[0] // stride), -(-SEEN[1] // stride)), generator=generator)


def undone(one: torch.Tensor, stride: int) -> torch.Tensor:
    return Resize.undo(enlarged(one, stride=stride, height=SEEN[0], width=SEEN[1]), SIZE)


def back(*records) -> Output:
    return unresized(Output(coarse(3, 1), tuple(records)), seen=SEEN, size=SIZE)


def test_logits_go_the_way_of_the_resize():
    assert torch.equal(back().logits, Resize.undo(coarse(3, 1), SIZE))


def test_steps_come_back_one_by_one():
    logits = tuple(coarse(3, 4, seed) for seed in (1, 2))
    tiles = (torch.tensor([0.5, -1.0]), torch.tensor([2.0, 3.0]))
    found = back(Steps(logits, tiles, 4)).find(Steps)
    assert found.stride == 1
    assert all(torch.equal(one, undone(each, 4)) for one, each in zip(found.logits, logits, strict=True))
    assert found.halting == tiles


def test_halting_of_cells_comes_back_with_the_cells():
    cells = tuple(coarse(1, 4, seed)[:, 0] for seed in (3, 4))
    found = back(Steps((coarse(3, 4), coarse(3, 4, 1)), cells, 4)).find(Steps)
    assert all(torch.equal(one, undone(each[:, None], 4)[:, 0]) for one, each in zip(found.halting, cells, strict=True))


def test_deep_supervision_comes_back_at_the_images_resolution():
    logits = (coarse(3, 2), coarse(3, 8))
    found = back(DeepSupervision(logits, (2, 8))).find(DeepSupervision)
    assert found.strides == (1, 1)
    assert torch.equal(found.logits[0], undone(logits[0], 2))
    assert torch.equal(found.logits[1], undone(logits[1], 8))


def test_masks_of_queries_keep_their_stride():
    classes = (torch.randn(2, 5, 4),)
    found = back(Queries(classes, (coarse(5, 4),), 4)).find(Queries)
    assert found.stride == 4
    assert found.classes is classes
    assert found.masks[0].shape == (2, 5, 5, 6)
    whole = undone(coarse(5, 4), 4)
    torch.testing.assert_close(found.masks[0][:, :, 2, 3], whole[..., 8:12, 12:16].mean(dim=(2, 3)))
    torch.testing.assert_close(found.masks[0][:, :, 4, 5], whole[..., 16:, 20:].mean(dim=(2, 3)))


@pytest.mark.parametrize(
    "record", [Steps((coarse(3, 4),), (), 4), Queries((torch.zeros(2, 5, 4),), (coarse(5, 4),), 4)]
)
def test_a_resize_that_changes_nothing_leaves_the_answer_as_it_is(record):
    output = Output(coarse(3, 1), (record,))
    assert unresized(output, seen=SEEN, size=SEEN) is output
