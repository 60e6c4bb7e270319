"""Steps computed in blocks: the same answer as the whole map, for less work."""

import pytest
import torch

from terrazzo.models.adaptive import refine, refine_refilled
from terrazzo.models.architecture import build
from terrazzo.models.halting import HaltingRule
from terrazzo.models.refiner.blocks import WORTH, blocks_around, refined_in_blocks


def some_changing(height, width, places):
    changing = torch.zeros(1, height, width, dtype=torch.bool)
    for y, x in places:
        changing[0, y, x] = True
    return changing


@pytest.mark.parametrize(("height", "width"), [(128, 128), (100, 71), (64, 300), (37, 37)])
@pytest.mark.parametrize("reach", [0, 2, 7, 18])
def test_blocks_cover_what_changes_with_all_that_is_seen_around_it(height, width, reach):
    places = [(0, 0), (height - 1, width - 1), (height // 2, 3)]
    whole, found = blocks_around(some_changing(height, width, places), reach=reach)
    if whole:
        assert not found
        return
    covered = torch.zeros(height, width, dtype=torch.bool)
    for shape, several in found.items():
        for block in several:
            covered[block.rows, block.columns] = True
            for wanted, seen, size, length in (
                (block.rows, block.seen_rows, shape[0], height),
                (block.columns, block.seen_columns, shape[1], width),
            ):
                assert seen.stop - seen.start == size
                assert 0 <= seen.start <= max(wanted.start - reach, 0)
                assert length >= seen.stop >= min(wanted.stop + reach, length)
    assert all(covered[place] for place in places)


def test_a_tile_that_changes_nearly_everywhere_is_computed_as_a_whole():
    changing = torch.ones(3, 64, 64, dtype=torch.bool)
    changing[1] = False
    changing[2] = False
    changing[2, 5, 5] = True
    whole, found = blocks_around(changing, reach=2)
    assert whole == [0]
    assert [[block.tile for block in several] for several in found.values()] == [[2]]


def test_no_tile_costs_more_than_computed_as_a_whole():
    generator = torch.Generator().manual_seed(0)
    for share in (0.001, 0.01, 0.1, 0.5):
        changing = torch.rand(4, 96, 130, generator=generator) < share
        whole, found = blocks_around(changing, reach=6)
        cells = sum(height * width * len(several) for (height, width), several in found.items())
        tiles = {block.tile for several in found.values() for block in several}
        assert cells <= WORTH * 96 * 130 * max(len(tiles), 1)
        assert tiles.isdisjoint(whole)


def mean_around(reach):
    kernel = torch.ones(1, 1, 2 * reach + 1, 2 * reach + 1)

    def refined(maps):
        return (torch.nn.functional.conv2d(maps[0], kernel, padding=reach) / kernel.numel(),)

    return refined


@pytest.mark.parametrize("reach", [1, 5])
@pytest.mark.parametrize(("height", "width"), [(90, 130), (33, 64)])
def test_the_answer_is_that_of_the_whole_map(height, width, reach):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(5, 1, height, width, generator=generator)
    frozen = torch.ones(5, height, width, dtype=torch.bool)
    frozen[0, 40:43, 20:60] = False
    frozen[1, -1, -1] = False
    frozen[2] = False
    frozen[3, 0, ::17] = False
    (found,) = refined_in_blocks([image], [image], frozen, reach=reach, refined=mean_around(reach))
    (expected,) = mean_around(reach)([image])
    kept = frozen[:, None]
    torch.testing.assert_close(torch.where(kept, image, found), torch.where(kept, image, expected))


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "trm", "width": 8, "t_max": 5, "t_min": 1},
        {"name": "trm", "width": 8, "t_max": 4, "t_min": 1, "mixing": "dilated", "cycles": 2, "latent_updates": 1},
        {"name": "trm_deepglobe", "width": 8, "t_max": 5, "t_min": 1},
    ],
)
@pytest.mark.parametrize("size", [(64, 64), (300, 230)])
def test_a_run_by_cells_answers_as_it_does_without_blocks(settings, size, monkeypatch):
    torch.manual_seed(0)
    settings = dict(settings)
    network = build(settings.pop("name"), classes=3, pixel_act=True, **settings).eval()
    head = network.halting.last
    with torch.no_grad():
        head.weight.normal_(std=0.5)
        head.bias.zero_()
    side = 4 if network.stride == 1 else 1
    image = torch.rand(2, 3, size[0] // side, size[1] // side)
    with torch.no_grad():
        # A threshold that some cells reach early and some never.
        state = network.step(network.start(image))
        threshold = float(network.halting_logits(state).sigmoid().flatten().quantile(0.05))
        rule = HaltingRule(threshold=threshold, first=1, last=network.t_max)
        in_blocks = refine(network, image, rule=rule)
        refilled = list(refine_refilled(network, iter([image]), rule=rule, places=2))
        monkeypatch.setattr(network, "reach", None)
        dense = refine(network, image, rule=rule)
    torch.testing.assert_close(in_blocks.logits, dense.logits, rtol=1e-4, atol=1e-4)
    assert in_blocks.steps.tolist() == dense.steps.tolist()
    for one in refilled:
        torch.testing.assert_close(one.logits, dense.logits[list(one.tiles)], rtol=1e-4, atol=1e-4)


def test_what_has_settled_is_not_computed(monkeypatch):
    network = build("trm", classes=2, width=8, t_max=3, t_min=1, pixel_act=True).eval()
    seen = []
    original = network.refined

    def watched(state):
        seen.append(tuple(state.logits.shape))
        return original(state)

    monkeypatch.setattr(network, "refined", watched)
    with torch.no_grad():
        state = network.step(network.start(torch.rand(2, 3, 512, 512)))
        frozen = torch.ones(2, 128, 128, dtype=torch.bool)
        frozen[1, 60, 60] = False
        state = network.freeze(state, 2.0)
        state = type(state)(**{**vars(state), "frozen": frozen})
        after = network.step(state)
    reach = network.reach
    assert reach == 18
    assert seen == [(2, 2, 128, 128), (1, 2, 16 + 2 * reach, 16 + 2 * reach)]
    assert torch.equal(after.logits[0], state.logits[0])
    assert not torch.equal(after.logits[1, :, 60, 60], state.logits[1, :, 60, 60])
    assert after.skipped is not None


@pytest.mark.parametrize(
    "settings", [{"name": "trm"}, {"name": "trm", "mixing": "dilated", "cycles": 2}, {"name": "trm_deepglobe"}]
)
def test_the_stated_reach_is_the_real_one(settings):
    settings = dict(settings)
    network = build(settings.pop("name"), classes=2, width=4, t_max=3, pixel_act=True, **settings).eval()
    size = 2 * network.reach + 9
    image = torch.rand(1, 3, size * network.stride, size * network.stride)
    with torch.no_grad():
        state = network.step(network.start(image))
        centre = size // 2
        changed = [one.clone() for one in state.moving]
        changed[0][:, :, centre, centre] += 3.0
        logits = network.refined(state)[1]
        moved = network.refined(type(state)(**{**vars(state), "moving": tuple(changed)}))[1]
    places = (logits != moved).any(dim=1)[0].nonzero() - centre
    # At the very edge of a long way what is left may be lost in rounding.
    assert 0.9 * network.reach <= int(places.abs().max()) <= network.reach
