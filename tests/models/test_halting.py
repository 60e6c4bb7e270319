"""When a tile is done."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models.halting import HaltingRule

NO, YES = -1.0, 1.0


def logits(*steps: list[float]) -> list[torch.Tensor]:
    return [torch.tensor(step) for step in steps]


def test_a_tile_needs_the_steps_up_to_the_first_that_says_enough():
    rule = HaltingRule(threshold=0.5, first=1, last=4)
    told = logits([NO, YES, NO], [YES, NO, NO], [NO, YES, NO], [NO, NO, NO])
    assert rule.steps(told).tolist() == [2, 1, 4]


def test_no_tile_stops_before_the_first_step_allowed():
    rule = HaltingRule(threshold=0.5, first=3, last=4)
    assert rule.steps(logits([YES, YES], [YES, NO], [NO, YES], [NO, NO])).tolist() == [4, 3]


def test_the_last_step_is_the_last_whatever_it_says():
    assert HaltingRule(threshold=0.5, first=4, last=4).steps(logits([YES], [YES], [YES], [NO])).tolist() == [4]
    assert HaltingRule(threshold=0.5, first=1, last=2).steps(logits([NO], [NO], [YES])).tolist() == [2]


def test_the_threshold_itself_is_enough():
    probability = torch.tensor([0.25]).sigmoid()
    assert HaltingRule(threshold=float(probability), first=1, last=2).steps(logits([0.25], [NO])).tolist() == [1]


def test_a_tile_of_cells_needs_as_many_as_its_last_cell():
    told = [torch.tensor([[[YES, NO]], [[YES, YES]]]), torch.tensor([[[NO, YES]], [[NO, NO]]]), torch.zeros(2, 1, 2)]
    assert HaltingRule(threshold=0.5, first=1, last=3).steps(told).tolist() == [2, 1]


@pytest.mark.parametrize(("first", "last"), [(0, 2), (3, 2), (1, 0)])
def test_steps_out_of_order_are_refused(first, last):
    with pytest.raises(ModelError, match="1 <= first <= last"):
        HaltingRule(threshold=0.5, first=first, last=last)


def test_nothing_to_read_is_refused():
    with pytest.raises(ModelError, match="No step has a halting logit"):
        HaltingRule(threshold=0.5, first=1, last=2).steps([])
