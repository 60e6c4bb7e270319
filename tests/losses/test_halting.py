"""Halting learns whether further steps would help: each sample's own target, looking forward."""

import itertools
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from terrazzo.losses import Halting, Labels
from terrazzo.losses.halting import halting_targets

STEPS = 4


def _case(seed=0, size=(6, 5), classes=3, batch=5):
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn((batch, classes, *size), generator=generator) for _ in range(STEPS)]
    target = torch.randint(0, classes, (batch, *size), generator=generator)
    ignored = torch.rand(target.shape, generator=generator) < 0.3
    return maps, Labels.of(target, ignored, torch.ones(classes)), target.numpy(), ~ignored.numpy()


def _right(maps, target):
    return np.stack([one.argmax(1).numpy() == target for one in maps])


@pytest.mark.parametrize("against", ["best", "last"])
@pytest.mark.parametrize("kappa", [0.005, 0.02, 0.05])
def test_remaining_gain_of_tiles_by_hand(against, kappa):
    maps, labels, target, counted = _case()
    right = _right(maps, target)
    found = halting_targets(Halting(against=against, kappa=kappa), maps, labels, cells=False)
    assert found.shape == (STEPS - 1, 5)
    for step, tile in itertools.product(range(STEPS - 1), range(5)):
        quality = [right[other, tile][counted[tile]].mean() for other in range(STEPS)]
        best = max(quality[step + 1 :]) if against == "best" else quality[-1]
        assert bool(found[step, tile]) == (best - quality[step] <= kappa)
    assert 0 < found.mean() < 1


@pytest.mark.parametrize("against", ["best", "last"])
def test_remaining_gain_of_cells_is_the_rule_of_the_table(against):
    """1 - [wrong at t, and right at some later step]."""
    maps, labels, target, counted = _case()
    right = _right(maps, target)
    found = halting_targets(Halting(against=against), maps, labels, cells=True).numpy()
    for step in range(STEPS - 1):
        later = right[step + 1 :].any(0) if against == "best" else right[-1]
        np.testing.assert_array_equal(found[step][counted] == 0, (~right[step] & later)[counted])


def test_hopeless_and_finished_cells_stop_alike():
    """Exact correctness, TRM's target, would never let the hopeless one stop."""
    label = torch.zeros((1, 1, 3), dtype=torch.int64)
    labels = Labels.of(label, torch.zeros_like(label, dtype=torch.bool), torch.ones(2))
    # Right throughout, wrong throughout, wrong and then right.
    said = [[0, 1, 1], [0, 1, 0]]
    maps = [torch.nn.functional.one_hot(torch.tensor([[one]]), 2).movedim(-1, 1).float() for one in said]
    assert halting_targets(Halting(), maps, labels, cells=True).flatten().tolist() == [1, 1, 0]


def test_quality_of_log_likelihood_by_hand():
    maps, labels, target, counted = _case()
    found = halting_targets(Halting(quality="nll", soft=True, kappa=0.5), maps, labels, cells=False)
    for tile in range(5):
        quality = []
        for one in maps:
            each = -one[tile].double().log_softmax(0).numpy()
            picked = np.take_along_axis(each, target[tile][None], 0)[0]
            quality.append(1 - picked[counted[tile]].mean())
        for step in range(STEPS - 1):
            gain = max(max(quality[step + 1 :]) - quality[step], 0)
            assert float(found[step, tile]) == pytest.approx(math.exp(-gain / 0.5), rel=1e-4)


@pytest.mark.parametrize("kappa", [0.005, 0.6])
def test_consistency_by_hand(kappa):
    maps, labels, _, counted = _case()
    said = np.stack([one.argmax(1).numpy() for one in maps])
    settings = Halting(target="consistency", kappa=kappa)
    cells = halting_targets(settings, maps, labels, cells=True).numpy()
    np.testing.assert_array_equal(cells, said[:-1] == said[-1])
    tiles = halting_targets(settings, maps, labels, cells=False).numpy()
    for step, tile in itertools.product(range(STEPS - 1), range(5)):
        agreeing = (said[step] == said[-1])[tile][counted[tile]].mean()
        assert bool(tiles[step, tile]) == (agreeing >= 1 - kappa - 1e-9)


def test_consistency_needs_no_labels():
    maps, labels, target, counted = _case()
    other = Labels.of(torch.tensor((target + 1) % 3), torch.tensor(~counted), torch.ones(3))
    settings = Halting(target="consistency")
    for cells in (True, False):
        one, two = (halting_targets(settings, maps, given, cells=cells) for given in (labels, other))
        assert torch.equal(one, two)


def test_last_gain_is_that_of_the_first_system_but_of_each_tile():
    maps, labels, target, counted = _case(batch=3)
    settings = Halting(target="last_gain", kappa=0.002)
    found = halting_targets(settings, maps, labels, cells=False)
    assert found.shape == (STEPS, 3)
    for tile in range(3):
        before = 0.0
        for step in range(STEPS):
            said, wanted = maps[step][tile].argmax(0).numpy()[counted[tile]], target[tile][counted[tile]]
            each = [
                ((said == one) & (wanted == one)).sum() / ((said == one) | (wanted == one)).sum()
                for one in range(3)
                if ((said == one) | (wanted == one)).any()
            ]
            assert bool(found[step, tile]) == (np.mean(each) - before <= 0.002)
            before = np.mean(each)
    cells = halting_targets(settings, maps, labels, cells=True)
    assert torch.equal(cells, found[..., None, None].expand_as(cells))


def _graded(shares, pixels=100):
    """Return the steps of one tile, right in these shares of its pixels, and its labels, all of class 0."""
    maps = []
    for share in shares:
        said = (torch.arange(pixels) >= round(share * pixels)).long().reshape(1, 10, -1)
        maps.append(torch.nn.functional.one_hot(said, 2).movedim(-1, 1).float())
    label = torch.zeros((1, 10, pixels // 10), dtype=torch.int64)
    return maps, Labels.of(label, torch.zeros_like(label, dtype=torch.bool), torch.ones(2))


def test_our_target_looks_forward():
    """A plateau before a gain, growing worse, and a first step compared with nothing: all read wrongly from behind."""
    maps, labels = _graded([0.5, 0.5, 0.9, 0.6])
    ours = halting_targets(Halting(), maps, labels, cells=False)[:, 0].tolist()
    theirs = halting_targets(Halting(target="last_gain"), maps, labels, cells=False)[:, 0].tolist()
    assert ours == [0, 0, 1]
    assert theirs == [0, 1, 0, 1]


def test_each_tile_has_its_own_target():
    """DeepGlobe-TRM took one label for the batch: a tile that still gains would stop with the others."""
    done, still = _graded([0.9, 0.9]), _graded([0.2, 0.9])
    maps = [torch.cat(pair) for pair in zip(done[0], still[0], strict=True)]
    labels = Labels(torch.cat((done[1].index, still[1].index)), torch.ones(2))
    for target in ("remaining_gain", "consistency"):
        assert halting_targets(Halting(target=target), maps, labels, cells=False).tolist() == [[1, 0]]


def _bce(logit, target):
    probability = 1 / (1 + math.exp(-logit))
    return -target * math.log(probability) - (1 - target) * math.log(1 - probability)


def test_the_mean_runs_over_steps_and_samples():
    """DeepGlobe-TRM added its steps up, so that more steps weighed more against the segmentation."""
    for steps in (2, 3, 6):
        maps, labels = _graded([0.5] * steps)
        halting = [torch.tensor([0.7])] * steps
        value = Halting(beta=0.5).measure(halting, maps, labels)
        assert value.item() == pytest.approx(0.5 * _bce(0.7, 1), rel=1e-5)


def _measured_by_hand(logits, targets, balance):
    each = []
    for q, h in zip(logits, targets, strict=True):
        losses = np.array([_bce(a, b) for a, b in zip(q, h, strict=True)])
        sides = [losses[h >= 0.5], losses[h < 0.5]] if balance else [losses]
        each.append(np.mean([side.mean() for side in sides if len(side)]))
    return np.mean(each)


@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("cells", [True, False])
def test_the_loss_by_hand(balance, soft, cells):
    maps, labels, _, _ = _case()
    settings = Halting(balance=balance, soft=soft, kappa=0.1, beta=0.7)
    generator = torch.Generator().manual_seed(9)
    shape = labels.index.shape if cells else labels.index.shape[:1]
    halting = [torch.randn(shape, generator=generator) for _ in range(STEPS)]
    counted = labels.counted if cells else torch.ones(5, dtype=torch.bool)
    targets = halting_targets(settings, maps, labels, cells=cells)
    wanted = _measured_by_hand(
        [one[counted].double().tolist() for one in halting[:-1]],
        [one[counted].double().numpy() for one in targets],
        balance,
    )
    assert settings.measure(halting, maps, labels).item() == pytest.approx(0.7 * wanted, rel=1e-5)


def test_balance_gives_the_rare_side_half():
    """Nine tiles that should stop and one that should not: q = 0 is where both pull alike."""
    parts = [_graded([0.9, 0.9])] * 9 + [_graded([0.2, 0.9])]
    maps = [torch.cat([one[0][step] for one in parts]) for step in (0, 1)]
    labels = Labels(torch.cat([one[1].index for one in parts]), torch.ones(2))
    for balance, pull in ((True, 0.0), (False, -0.4)):
        halting = [torch.zeros(10, requires_grad=True), torch.zeros(10)]
        Halting(balance=balance, beta=1).measure(halting, maps, labels).backward()
        assert halting[0].grad.sum().item() == pytest.approx(pull, abs=1e-6)


def test_targets_pass_no_gradient_to_the_answers():
    maps, labels, _, _ = _case()
    maps = [one.requires_grad_() for one in maps]
    halting = [torch.zeros(5, requires_grad=True) for _ in range(STEPS)]
    for target, quality in itertools.product(("remaining_gain", "consistency", "last_gain"), ("accuracy", "nll")):
        value = Halting(target=target, quality=quality, soft=True).measure(halting, maps, labels)
        found = torch.autograd.grad(value, maps, allow_unused=True)
        assert found == (None,) * STEPS


def test_the_last_step_has_nothing_to_learn():
    maps, labels, _, _ = _case()
    halting = [torch.zeros(5, requires_grad=True) for _ in range(STEPS)]
    Halting().measure(halting, maps, labels).backward()
    assert [bool(one.grad.any()) for one in halting] == [True, True, True, False]


@pytest.mark.parametrize("target", ["remaining_gain", "consistency"])
def test_one_step_teaches_nothing(target):
    maps, labels, _, _ = _case()
    halting = torch.zeros(5, requires_grad=True)
    value = Halting(target=target).measure([halting], maps[:1], labels)
    value.backward()
    assert value.item() == 0
    assert not halting.grad.any()


def test_ignored_pixels_are_out_of_q():
    maps, labels, _, counted = _case()
    before = {cells: halting_targets(Halting(), maps, labels, cells=cells) for cells in (True, False)}
    other = [torch.where(torch.tensor(~counted)[:, None], one.flip(1), one) for one in maps]
    assert torch.equal(before[False], halting_targets(Halting(), other, labels, cells=False))
    where = torch.tensor(counted).expand(STEPS - 1, -1, -1, -1)
    assert torch.equal(before[True][where], halting_targets(Halting(), other, labels, cells=True)[where])


@pytest.mark.parametrize("settings", [{"kappa": 0}, {"kappa": 1}, {"beta": -1}, {"target": "exact"}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        Halting(**settings)
