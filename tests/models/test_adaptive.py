"""Running a network step by step: what is done is computed no further, and nobody else notices."""

from dataclasses import dataclass, replace

import pytest
import torch

from terrazzo.models.adaptive import Freezing, refine
from terrazzo.models.architecture import Adaptive
from terrazzo.models.halting import HaltingRule


@dataclass(frozen=True)
class Counter:
    tile: torch.Tensor
    step: int


class Counting:
    """Tile i answers 100 i + step and is done at step i + 1."""

    def __init__(self):
        self.calls = []

    def start(self, image):
        return Counter(image[:, 0, 0, 0].long(), 0)

    def step(self, state):
        self.calls.append(state.tile.tolist())
        return replace(state, step=state.step + 1)

    def answer(self, state):
        return (100.0 * state.tile + state.step)[:, None, None, None]

    def halt(self, state):
        return (state.step > state.tile).float()

    def select(self, state, index):
        return replace(state, tile=state.tile[index])


def images(*tiles: int) -> torch.Tensor:
    return torch.tensor(tiles, dtype=torch.float32)[:, None, None, None]


def run(*tiles: int, threshold: float = 0.5, first: int = 1, last: int = 4):
    network = Counting()
    rule = HaltingRule(threshold=threshold, first=first, last=last)
    return network, refine(network, images(*tiles), rule=rule)


def test_each_tile_answers_from_its_own_last_step_in_its_own_place():
    network, found = run(2, 0, 9, 1)
    assert found.steps.tolist() == [3, 1, 4, 2]
    assert found.logits.flatten().tolist() == [203, 1, 904, 102]
    assert network.calls == [[2, 0, 9, 1], [2, 9, 1], [2, 9], [9]]


def test_no_tile_stops_before_the_first_step():
    network, found = run(0, 2, first=2)
    assert found.steps.tolist() == [2, 3]
    assert [len(tiles) for tiles in network.calls] == [2, 2, 1]


def test_a_threshold_out_of_reach_runs_all_steps():
    network, found = run(0, 1, threshold=1.1, last=3)
    assert found.steps.tolist() == [3, 3]
    assert network.calls == [[0, 1]] * 3


def test_when_all_are_done_nothing_more_runs():
    network, found = run(0, 0, 0)
    assert found.steps.tolist() == [1, 1, 1]
    assert len(network.calls) == 1


@pytest.mark.parametrize("tiles", [(3, 1, 2), (1, 2, 3), (2, 3, 1)])
def test_order_and_company_do_not_matter(tiles):
    _, among = run(*tiles)
    for place, tile in enumerate(tiles):
        _, alone = run(tile)
        assert among.logits[place] == alone.logits[0]
        assert among.steps[place] == alone.steps[0]


def test_what_can_freeze_is_told_the_threshold_after_each_step_that_may_be_the_last():
    told = []

    class FreezingCounter(Counting):
        def freeze(self, state, threshold):
            told.append((state.step, threshold))
            return state

    assert isinstance(FreezingCounter(), Freezing)
    assert not isinstance(Counting(), Freezing)
    assert isinstance(Counting(), Adaptive)
    refine(FreezingCounter(), images(9), rule=HaltingRule(threshold=0.25, first=2, last=4))
    assert told == [(2, 0.25), (3, 0.25)]
