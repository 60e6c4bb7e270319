"""Running a network step by step: what is done is computed no further, and nobody else notices."""

from dataclasses import dataclass, replace

import pytest
import torch

from terrazzo.models.adaptive import CellSteps, Freezing, Joining, refine, refine_refilled
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


@dataclass(frozen=True)
class Ages:
    tile: torch.Tensor
    steps: torch.Tensor


class Refilling(Counting):
    """Tile i answers 100 i + its own steps and is done after i + 1; whoever starts later is as many steps behind."""

    def __init__(self):
        super().__init__()
        self.started = []

    def start(self, image):
        tiles = image[:, 0, 0, 0].long()
        self.started.append(tiles.tolist())
        return Ages(tiles, torch.zeros_like(tiles))

    def step(self, state):
        self.calls.append(state.tile.tolist())
        return Ages(state.tile, state.steps + 1)

    def answer(self, state):
        return (100.0 * state.tile + state.steps)[:, None, None, None]

    def halt(self, state):
        return (state.steps > state.tile).float()

    def select(self, state, index):
        return Ages(state.tile[index], state.steps[index])

    def join(self, states):
        return Ages(torch.cat([one.tile for one in states]), torch.cat([one.steps for one in states]))


def refilled(network, *batches, first=1, last=4, places=2):
    rule = HaltingRule(threshold=0.5, first=first, last=last)
    found = list(refine_refilled(network, (images(*tiles) for tiles in batches), rule=rule, places=places))
    tiles = [tile for one in found for tile in one.tiles]
    logits = [value for one in found for value in one.logits.flatten().tolist()]
    steps = [step for one in found for step in one.steps]
    return dict(zip(tiles, zip(logits, steps, strict=True), strict=True)), tiles


def test_free_places_are_filled_so_that_the_batch_stays_full():
    network = Refilling()
    found, order = refilled(network, (2, 0), (1, 0), (3,))
    assert found == {0: (203, 3), 1: (1, 1), 2: (102, 2), 3: (1, 1), 4: (304, 4)}
    assert order == [1, 0, 2, 3, 4]
    assert network.calls == [[2, 0], [2, 1], [2, 1], [0, 3], [3], [3], [3]]
    assert network.started == [[2, 0], [1, 0], [3]]


def test_refilling_answers_as_tiles_do_alone():
    batches = [(5, 0, 1), (2, 2, 9), (0, 1)]
    among, _ = refilled(Refilling(), *batches, first=2, places=3)
    for place, tile in enumerate(tile for batch in batches for tile in batch):
        alone, _ = refilled(Refilling(), (tile,), first=2)
        assert among[place] == alone[0]


def test_no_tile_that_enters_later_stops_before_its_own_first_step():
    found, _ = refilled(Refilling(), (3, 0), (0, 0), first=2)
    assert [steps for _, (_, steps) in sorted(found.items())] == [4, 2, 2, 2]


def test_a_network_that_cannot_join_refines_batch_by_batch():
    network = Counting()
    assert isinstance(Refilling(), Joining)
    assert not isinstance(network, Joining)
    found, _ = refilled(network, (2, 0), (1,))
    assert found == {0: (203, 3), 1: (1, 1), 2: (102, 2)}
    assert network.calls == [[2, 0], [2], [2], [1], [1]]


def test_batches_larger_than_the_places_wait():
    network = Refilling()
    found, _ = refilled(network, (1, 0, 0, 1), places=1)
    assert found == {0: (102, 2), 1: (1, 1), 2: (1, 1), 3: (102, 2)}
    assert max(map(len, network.calls)) == 1


def test_nothing_comes_of_nothing():
    assert refilled(Refilling()) == ({}, [])


def test_only_tiles_that_may_stop_are_told_a_threshold_that_can_be_reached():
    told = []

    class FreezingRefilling(Refilling):
        def freeze(self, state, threshold):
            told.append((state.tile.tolist(), state.steps.tolist(), threshold.tolist()))
            return state

        def skipped_steps(self, state):
            return state.tile[:, None, None].int()

    network = FreezingRefilling()
    assert isinstance(network, CellSteps)
    rule = HaltingRule(threshold=0.25, first=2, last=4)
    found = list(refine_refilled(network, [images(9, 0), images(8)], rule=rule, places=2))
    assert told == [
        ([9, 0], [2, 2], [0.25, 0.25]),
        ([9, 8], [3, 1], [0.25, 2.0]),
        ([9, 8], [4, 2], [2.0, 0.25]),
        ([8], [3], [0.25]),
    ]
    assert [one.tiles for one in found] == [(1,), (0,), (2,)]
    assert [one.skipped.flatten().tolist() for one in found] == [[0], [9], [8]]
