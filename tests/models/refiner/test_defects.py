"""What DeepGlobe-TRM did wrong, as far as it concerns the network, is not what `trm` does."""

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from terrazzo.models import build
from terrazzo.models.adaptive import refine
from terrazzo.models.backbones.stem import Stem
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Steps
from terrazzo.models.refiner.network import RefinerNetwork

SMALL = {"width": 8, "backbone": Stem(width=8, blocks=0)}


def trm(**settings) -> RefinerNetwork:
    torch.manual_seed(0)
    network = build("trm", classes=3, **{**SMALL, "t_max": 4, **settings}).eval()
    assert isinstance(network, RefinerNetwork)
    return network


def pictures(batch: int = 4, size: int = 32) -> torch.Tensor:
    contrast = torch.linspace(0.2, 5, batch)[:, None, None, None]
    return contrast * torch.randn((batch, 3, size, size), generator=torch.Generator().manual_seed(3))


def cost(call) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def test_1_there_are_two_states_and_the_image_is_seen_in_every_step():
    network = trm()
    with torch.no_grad():
        state = network.start(pictures())
        assert len(state.moving) == 2
        for _ in range(3):
            other = network.step(type(state)(**{**vars(state), "given": (torch.zeros_like(state.given[0]),)}))
            state = network.step(state)
            assert not torch.allclose(other.logits, state.logits)


def test_1_a_published_net_sees_the_image_in_its_first_step_alone():
    """What the test above finds, it finds missing there."""
    network = build("trm_deepglobe", classes=3, width=8)
    assert isinstance(network, RefinerNetwork)
    assert network.start(pictures(1, 8)).given == ()


def test_1_states_are_carried_from_step_to_step():
    network = trm()
    with torch.no_grad():
        state = network.step(network.start(pictures()))
        fresh = network.start(pictures())
        again = type(state)(**{**vars(state), "moving": fresh.moving})
        assert torch.equal(network.step(again).logits, state.logits)
        assert not torch.allclose(network.step(state).logits, state.logits)


def test_2_one_step_sees_farther_than_six_of_the_published_net():
    network = build("trm", classes=2, width=8, backbone=Stem(width=8, blocks=0)).eval()
    image = torch.randn(1, 3, 180, 180, generator=torch.Generator().manual_seed(0)).requires_grad_()
    logits = network.step(network.start(image)).logits
    (gradient,) = torch.autograd.grad(logits[0, :, 22, 22].square().sum(), image)
    rows = gradient[0].abs().sum(dim=(0, 2)).nonzero()
    # (2 + 1) calls x 2 blocks x 6 cells x 4 pixels, and the stem.
    assert int(rows.max() - rows.min()) + 1 >= 3 * 2 * 6 * 4 > 29


def test_3_no_statistics_are_shared_by_steps():
    network = trm()
    assert not [one for one in network.modules() if isinstance(one, _BatchNorm)]
    with torch.no_grad():
        evaluated = network(pictures()).logits
        assert torch.equal(network.train()(pictures()).logits, evaluated)


def test_4_each_tile_and_each_step_has_its_own_word_on_stopping():
    for settings, shape in (({}, (4,)), ({"pixel_act": True}, (4, 8, 8))):
        network = trm(**settings)
        torch.nn.init.normal_(network.halting.last.weight)
        with torch.no_grad():
            halting = network(pictures()).find(Steps).halting
            alone = network(pictures()[2:3]).find(Steps).halting
        assert [tuple(one.shape) for one in halting] == [shape] * 4
        assert len(set(torch.stack(halting).flatten().tolist())) == torch.stack(halting).numel()
        for step in range(4):
            torch.testing.assert_close(alone[step][0], halting[step][2], rtol=1e-4, atol=1e-5)


def test_5_halting_logits_are_there_for_a_price_of_thinking_to_push():
    network = trm().train()
    halting = network(pictures()).find(Steps).halting
    expected = sum(step * one.sigmoid().mean() for step, one in enumerate(halting, start=1))
    expected.backward()
    assert network.halting.last.weight.grad.any()


def stopping_at(network: RefinerNetwork, steps: list[int], size: int = 32) -> int:
    """Cost of a run in which tiles stop at these steps."""
    wanted = torch.tensor(steps)

    class Told:
        def __init__(self):
            self.tiles, self.count = torch.arange(len(steps)), 0

        def start(self, image):
            return network.start(image)

        def step(self, state):
            self.count += 1
            return network.step(state)

        def answer(self, state):
            return network.answer(state)

        def halt(self, state):
            done = wanted[self.tiles] <= self.count
            self.tiles = self.tiles[~done]
            return done.float()

        def select(self, state, index):
            return network.select(state, index)

    rule = HaltingRule(threshold=0.5, first=1, last=network.t_max)
    return cost(lambda: refine(Told(), pictures(len(steps), size), rule=rule))


@pytest.mark.parametrize("name", ["trm", "trm_deepglobe"])
def test_6_and_7_a_run_costs_one_encoding_and_the_steps_that_each_tile_ran(name):
    settings = SMALL if name == "trm" else {"width": 8}
    network = build(name, classes=3, t_max=4, **settings).eval()
    assert isinstance(network, RefinerNetwork)
    with torch.no_grad():
        encoder = cost(lambda: network.start(pictures(1, 16)))
        state = network.start(pictures(1, 16))
        step = cost(lambda: network.step(state))
    for steps in ([4, 4, 4], [1, 1, 1], [1, 4, 2], [3, 1, 1]):
        assert stopping_at(network, steps, 16) == len(steps) * encoder + sum(steps) * step


def test_6_one_slow_tile_holds_up_no_other():
    network = trm()
    assert stopping_at(network, [1, 1, 1, 4]) < stopping_at(network, [2, 2, 2, 2])


def test_6_cells_settle_one_by_one_not_by_their_mean():
    network = trm(pixel_act=True)
    torch.nn.init.normal_(network.halting.last.weight)
    with torch.no_grad():
        state = network.step(network.start(pictures()))
        probability = network.halting_logits(state).sigmoid()
        threshold = float(probability[0].mean())
        frozen = network.freeze(state, threshold).frozen[0]
        assert torch.equal(frozen, probability[0] >= threshold)
        assert 0 < int(frozen.sum()) < frozen.numel()
        assert float(network.halt(state)[0]) < threshold
