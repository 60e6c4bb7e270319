"""What refiners share: steps, halting of tiles and of cells, and what freezes."""

from dataclasses import replace

import pytest
import torch

from terrazzo.models.adaptive import CellSteps, Freezing, Joining, refine, refine_refilled
from terrazzo.models.architecture import ARCHITECTURES
from terrazzo.models.backbones.stem import Stem
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Steps
from terrazzo.models.refiner.trm import Trm, TrmNetwork


def made(**settings) -> TrmNetwork:
    torch.manual_seed(0)
    network = Trm(**{"width": 8, "backbone": Stem(width=8, blocks=0), "t_max": 4, **settings}).build(bands=3, classes=3)
    assert isinstance(network, TrmNetwork)
    if network.halting is not None:
        # As if it had learned something, so that tiles differ.
        torch.nn.init.normal_(network.halting.last.weight, std=2.0)
        torch.nn.init.zeros_(network.halting.last.bias)
    return network.eval()


def pictures(batch: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    contrast = torch.linspace(0.1, 6, batch)[:, None, None, None]
    return contrast * torch.randn((batch, 3, 17, 22), generator=generator)


def mixed(network: TrmNetwork, first: int = 1) -> HaltingRule:
    """A rule at which some tiles stop early and some late."""
    with torch.no_grad():
        halting = torch.stack(network(pictures()).find(Steps).halting).sigmoid()
    for threshold in halting.flatten().sort().values.tolist():
        rule = HaltingRule(threshold=threshold, first=first, last=network.t_max)
        if len(set(rule.steps(list(halting.logit())).tolist())) >= 3:
            return rule
    pytest.fail("no threshold divides the tiles")


def test_tiles_stop_where_their_own_logit_says_so():
    network = made()
    rule = mixed(network)
    with torch.no_grad():
        steps = network(pictures()).find(Steps)
        found = refine(network, pictures(), rule=rule)
    assert torch.equal(found.steps, rule.steps(steps.halting))
    for tile, step in enumerate(found.steps.tolist()):
        whole = network.answer(replace(network.start(pictures()), logits=steps.logits[step - 1]))[tile]
        torch.testing.assert_close(found.logits[tile], whole, rtol=1e-4, atol=1e-5)


def test_a_tile_answers_and_stops_as_it_does_alone():
    network = made()
    rule = mixed(network)
    with torch.no_grad():
        among = refine(network, pictures(), rule=rule)
        for tile in range(6):
            alone = refine(network, pictures()[tile : tile + 1], rule=rule)
            assert alone.steps[0] == among.steps[tile]
            torch.testing.assert_close(alone.logits[0], among.logits[tile], rtol=1e-4, atol=1e-5)


def test_a_run_through_all_steps_answers_as_forward_does():
    network = made()
    with torch.no_grad():
        found = refine(network, pictures(), rule=HaltingRule(threshold=2.0, first=1, last=4))
        assert torch.equal(found.logits, network(pictures()).logits)


def test_act_false_runs_exactly_t_max_steps_and_has_no_head():
    network = made(act=False)
    assert network.halting is None
    with torch.no_grad():
        output = network(pictures())
        assert output.find(Steps).halting == ()
        assert torch.equal(network.halt(network.step(network.start(pictures()))), torch.zeros(6))
        rule = Trm(t_min=1, t_max=4, act=False, tau=0.0).halting_rule
        assert refine(network, pictures(), rule=rule).steps.tolist() == [4] * 6
        with pytest.raises(TypeError, match="act: false"):
            network.halting_logits(network.start(pictures()))


def test_the_change_is_how_far_the_probabilities_moved():
    network = made()
    with torch.no_grad():
        state = network.start(pictures())
        before = torch.full((6, 3, 5, 6), 1 / 3)
        for _ in range(2):
            state = network.step(state)
            after = state.logits.softmax(dim=1)
            torch.testing.assert_close(state.change, (after - before).abs().sum(dim=1) / 2)
            before = after
    assert float(state.change.max()) <= 1


@pytest.mark.parametrize("coupled", [False, True])
def test_the_loss_of_halting_changes_what_the_head_reads_only_if_asked(coupled):
    network = made(halting_gradient=coupled).train()
    sum(one.sum() for one in network(pictures()).find(Steps).halting).backward()
    assert network.halting.last.weight.grad.any()
    gradient = network.classify.weight.grad
    assert (gradient is not None and bool(gradient.any())) == coupled
    gradient = network.recursive.blocks[0].expand.weight.grad
    assert (gradient is not None and bool(gradient.any())) == coupled


def frozen_halfway(network: TrmNetwork):
    """Two states after one step, the second with some cells frozen, and both one step on."""
    state = network.step(network.start(pictures()))
    threshold = float(network.halting_logits(state).sigmoid().median())
    part = network.freeze(state, threshold)
    return state, part, network.step(part)


def test_frozen_cells_keep_logits_and_states_and_their_neighbours_see_them():
    network = made(pixel_act=True)
    with torch.no_grad():
        state, part, after = frozen_halfway(network)
        kept = part.frozen[:, None]
        assert 0 < int(kept.sum()) < kept.numel()
        for old, new in [*zip(state.moving, after.moving, strict=True), (state.logits, after.logits)]:
            assert torch.equal(torch.where(kept, old, 0), torch.where(kept, new, 0))
            assert not torch.equal(old, new)
        assert not (after.change * part.frozen).any()
        # A third step sees the states that were kept: it differs from one in which nothing was frozen.
        free = network.step(network.step(state))
        assert not torch.allclose(torch.where(kept, 0, network.step(after).logits), torch.where(kept, 0, free.logits))


def test_what_is_frozen_stays_frozen():
    network = made(pixel_act=True)
    with torch.no_grad():
        _, part, after = frozen_halfway(network)
        assert torch.equal(network.freeze(after, 1.1).frozen, part.frozen)
        assert network.freeze(after, 0.0).frozen.all()


def test_a_tile_of_cells_stops_with_its_last_cell():
    network = made(pixel_act=True)
    with torch.no_grad():
        state = network.step(network.start(pictures()))
        probability = network.halting_logits(state).sigmoid()
        assert torch.equal(network.halt(state), probability.flatten(1).amin(dim=1))
        part = network.freeze(state, float(probability.median()))
        active = torch.where(part.frozen, 1.0, network.halting_logits(part).sigmoid())
        assert torch.equal(network.halt(part), active.flatten(1).amin(dim=1))
        assert torch.equal(network.halt(network.freeze(state, 0.0)), torch.ones(6))
        found = refine(network, pictures(), rule=HaltingRule(threshold=0.0, first=2, last=4))
        assert found.steps.tolist() == [2] * 6


def test_a_run_by_cells_leaves_each_cell_at_the_step_it_settled_at():
    network = made(pixel_act=True)
    rule = HaltingRule(threshold=0.5, first=1, last=4)
    with torch.no_grad():
        found = refine(network, pictures(), rule=rule)
        state = network.start(pictures())
        for step in range(1, 5):
            state = network.step(state)
            state = network.freeze(state, 0.5) if step < 4 else state
    torch.testing.assert_close(found.logits, network.answer(state), rtol=1e-4, atol=1e-5)


def test_a_whole_tile_freezes_no_cell():
    network = made()
    with torch.no_grad():
        state = network.step(network.start(pictures()))
        assert network.freeze(state, 0.0) is state


def test_selecting_takes_every_part_of_the_state_along():
    network = made(pixel_act=True)
    with torch.no_grad():
        state = network.freeze(network.step(network.start(pictures())), 0.5)
        chosen = network.select(state, torch.tensor([4, 1]))
        for whole, part in [
            *zip((*state.given, *state.moving), (*chosen.given, *chosen.moving), strict=True),
            (state.logits, chosen.logits),
            (state.change, chosen.change),
            (state.frozen, chosen.frozen),
        ]:
            assert torch.equal(part, whole[[4, 1]])
        assert (chosen.height, chosen.width) == (17, 22)


@pytest.mark.parametrize("settings", [{}, {"pixel_act": True}])
def test_joining_puts_states_together_in_order_whatever_steps_they_have_run(settings):
    network = made(**settings)
    with torch.no_grad():
        older = network.step(network.freeze(network.step(network.start(pictures())), 0.5))
        fresh = network.start(pictures()[:2])
        joined = network.join(
            [network.select(older, torch.tensor([5, 0])), fresh, network.select(older, torch.tensor([3]))]
        )
        assert len(joined.logits) == 5
        for place, (state, tile) in enumerate([(older, 5), (older, 0), (fresh, 0), (fresh, 1), (older, 3)]):
            alone, among = network.select(state, torch.tensor([tile])), network.select(joined, torch.tensor([place]))
            for one, other in zip(
                (*alone.given, *alone.moving, alone.logits, alone.change),
                (*among.given, *among.moving, among.logits, among.change),
                strict=True,
            ):
                assert torch.equal(one, other)
            torch.testing.assert_close(network.step(among).logits, network.step(alone).logits)
        if settings:
            assert torch.equal(joined.frozen[[0, 1, 4]], older.frozen[[5, 0, 3]])
            assert torch.equal(joined.skipped[[0, 1, 4]], older.skipped[[5, 0, 3]])
            assert not joined.frozen[2:4].any()
            assert not joined.skipped[2:4].any()
        else:
            assert joined.frozen is None
            assert joined.skipped is None


def test_parts_and_unions_of_a_batch_keep_the_layout_that_is_fast():
    network = made().to(memory_format=torch.channels_last)
    with torch.no_grad():
        given = pictures().contiguous(memory_format=torch.channels_last)
        fresh = network.start(given)
        stepped = network.step(fresh)
        for state in (network.select(stepped, torch.tensor([1, 2])), network.join([stepped, fresh])):
            for one in (*state.given, *state.moving):
                assert one.is_contiguous(memory_format=torch.channels_last)
            assert state.logits.is_contiguous()


def test_refilled_places_answer_as_tiles_do_alone():
    network = made()
    with torch.no_grad():
        rule = mixed(network)
        alone = refine(network, pictures(), rule=rule)
        batches = [pictures()[:3], pictures()[3:5], pictures()[5:]]
        found = list(refine_refilled(network, batches, rule=rule, places=2))
    assert sorted(tile for one in found for tile in one.tiles) == list(range(6))
    for one in found:
        assert one.skipped is None
        for tile, steps, logits in zip(one.tiles, one.steps, one.logits, strict=True):
            assert steps == alone.steps[tile]
            torch.testing.assert_close(logits, alone.logits[tile], rtol=1e-4, atol=1e-5)


def test_refilled_cells_freeze_by_their_own_tiles_steps():
    network = made(pixel_act=True)
    rule = HaltingRule(threshold=0.5, first=2, last=4)
    with torch.no_grad():
        alone = refine(network, pictures(), rule=rule)
        found = list(refine_refilled(network, [pictures()[:4], pictures()[4:]], rule=rule, places=3))
    for one in found:
        for tile, steps, logits in zip(one.tiles, one.steps, one.logits, strict=True):
            assert steps == alone.steps[tile]
            torch.testing.assert_close(logits, alone.logits[tile], rtol=1e-4, atol=1e-5)


def test_a_threshold_for_each_tile_freezes_each_by_its_own():
    network = made(pixel_act=True)
    with torch.no_grad():
        state = network.step(network.start(pictures()))
        thresholds = torch.tensor([0.5, 2.0, 0.0, 0.5, 0.3, 2.0])
        found = network.freeze(state, thresholds).frozen
        for tile, threshold in enumerate(thresholds.tolist()):
            assert torch.equal(found[tile], network.freeze(state, threshold).frozen[tile])


def test_skipped_steps_are_counted_cell_by_cell():
    network = made(pixel_act=True)
    with torch.no_grad():
        state = network.step(network.start(pictures()))
        assert network.skipped_steps(state) is None
        state = network.freeze(state, float(network.halting_logits(state).sigmoid().median()))
        early = state.frozen
        assert not network.skipped_steps(state).any()
        state = network.freeze(network.step(state), 0.0)
        state = network.step(state)
        expected = early.to(torch.int32) + 1
        pixels = expected.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, :17, :22]
        assert torch.equal(network.skipped_steps(state), pixels)
        assert set(pixels.flatten().tolist()) == {1, 2}


def test_refiners_can_join_and_know_the_steps_of_cells():
    for name in ("trm", "trm_deepglobe"):
        network = ARCHITECTURES.create(name).build(bands=1, classes=2)
        assert isinstance(network, Joining)
        assert isinstance(network, CellSteps)
        assert isinstance(network, Freezing)
