"""The loss of a refiner: its steps, its halting and its price, each with its weight."""

import pytest
import torch
from pydantic import ValidationError

from terrazzo.errors import ModelError
from terrazzo.losses import CrossEntropy, Dice, Halting, Labels, Ponder, StepLoss
from terrazzo.models.maps import enlarged
from terrazzo.models.output import Output, Steps


def _output(batch, *, steps=4, stride=2, cells=False, halts=True):
    logits, target, ignored = batch()
    generator = torch.Generator().manual_seed(3)
    size = (-(-9 // stride), -(-7 // stride))
    maps = tuple(torch.randn((2, 4, *size), generator=generator) for _ in range(steps))
    halting = tuple(
        torch.randn((2, *size) if cells else (2,), generator=generator) for _ in range(steps if halts else 0)
    )
    return Output(logits, (Steps(maps, halting, stride),)), target, ignored


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, (0.25,) * 4),
        ({"average_steps": False}, (1,) * 4),
        ({"weights": "raft", "average_steps": False}, (0.512, 0.64, 0.8, 1)),
        ({"weights": "raft"}, (0.512 / 2.952, 0.64 / 2.952, 0.8 / 2.952, 1 / 2.952)),
        ({"weights": "raft", "gamma": 0.5, "average_steps": False}, (0.125, 0.25, 0.5, 1)),
        ({"weights": "last", "average_steps": False}, (0.1, 0.1, 0.1, 1)),
        ({"weights": "last", "alpha": 0}, (0, 0, 0, 1)),
    ],
)
def test_the_weights_of_four_steps(settings, wanted):
    assert StepLoss(**settings).shares(4) == pytest.approx(wanted)


@pytest.mark.parametrize("weights", ["uniform", "raft", "last"])
def test_one_step_counts_1(weights):
    assert StepLoss(weights=weights).shares(1) == (1.0,)
    assert StepLoss(weights=weights, average_steps=False).shares(1) == (1.0,)


@pytest.mark.parametrize("weights", ["uniform", "raft"])
def test_early_exits_are_trained(weights):
    """DeepGlobe-TRM gave all steps before the last, five of them, 0.3 together: stopping early was hardly trained."""
    shares = StepLoss(weights=weights).shares(6)
    theirs = StepLoss(weights="last").shares(6)
    assert min(shares) > 0.08
    assert sum(theirs[:-1]) / sum(theirs) < 0.25 < 0.7 < sum(shares[:-1]) / sum(shares)


@pytest.mark.parametrize("average", [True, False])
def test_it_is_the_weighted_sum_over_steps(batch, average):
    output, target, ignored = _output(batch)
    record = StepLoss(loss=Dice(), weights="raft", average_steps=average, halting=None)
    each = [
        Dice()(Output(enlarged(one, stride=2, height=9, width=7)), target, ignored)
        for one in output.auxiliary[0].logits
    ]
    wanted = sum(share * one for share, one in zip(record.shares(4), each, strict=True))
    torch.testing.assert_close(record(output, target, ignored), wanted)


def test_steps_can_be_judged_at_the_models_stride(batch):
    output, target, ignored = _output(batch)
    record = StepLoss(resolution="model", halting=None)
    rows, columns = [1, 3, 5, 7, 8], [1, 3, 5, 6]
    coarse = target[:, rows][:, :, columns], ignored[:, rows][:, :, columns]
    wanted = sum(CrossEntropy()(Output(one), *coarse) for one in output.auxiliary[0].logits) / 4
    torch.testing.assert_close(record(output, target, ignored), wanted)


@pytest.mark.parametrize("cells", [True, False])
@pytest.mark.parametrize("resolution", ["image", "model"])
def test_the_parts_add_up(batch, cells, resolution):
    output, target, ignored = _output(batch, cells=cells)
    halting, ponder = Halting(beta=0.5), Ponder(kind="kl", beta=0.3)
    record = StepLoss(resolution=resolution, halting=halting, ponder=ponder)
    found = record(output, target, ignored)
    labels = Labels.of(target, ignored, torch.ones(4))
    steps = output.auxiliary[0]
    coarse = cells or resolution == "model"
    maps = steps.logits if coarse else [enlarged(one, stride=2, height=9, width=7) for one in steps.logits]
    judged = labels.coarse(2) if coarse else labels
    alone = StepLoss(resolution=resolution, halting=None)(output, target, ignored)
    counted = judged.counted if cells else torch.ones(2, dtype=torch.bool)
    wanted = alone + halting.measure(steps.halting, maps, judged) + ponder.measure(steps.halting, counted)
    torch.testing.assert_close(found, wanted)


def test_more_steps_do_not_move_the_balance(batch):
    """Six equal steps cost what two cost, in the answers as in halting."""
    values = []
    for steps in (2, 6):
        output, target, ignored = _output(batch, steps=1)
        one = output.auxiliary[0]
        repeated = Steps(one.logits * steps, one.halting * steps, one.stride)
        values.append(StepLoss()(Output(output.logits, (repeated,)), target, ignored).item())
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_model_that_does_not_halt_has_nothing_to_learn_of_it(batch):
    output, target, ignored = _output(batch, halts=False)
    assert StepLoss()(output, target, ignored) == StepLoss(halting=None)(output, target, ignored)
    with pytest.raises(ModelError, match=r"ponder.kind kl has no price to set; set it to none, or let the model halt"):
        StepLoss(ponder=Ponder(kind="kl"))(output, target, ignored)


def test_halting_that_is_left_alone_has_a_gradient_of_0(batch):
    """Processes that train together wait for one."""
    output, target, ignored = _output(batch)
    leaves = [one.requires_grad_() for one in output.auxiliary[0].halting]
    StepLoss(halting=None)(output, target, ignored).backward()
    assert all(one.grad is not None and not one.grad.any() for one in leaves)


def test_the_inner_loss_may_have_weights_of_its_own(batch):
    output, target, ignored = _output(batch)
    weights = (4.0, 1.0, 1.0, 1.0)
    own = StepLoss(loss=CrossEntropy(class_weights=weights))(output, target, ignored)
    assert own == StepLoss()(output, target, ignored, torch.tensor(weights))


def test_an_image_smaller_than_a_cell_is_measured():
    logits = torch.randn(1, 3, 1, 1)
    output = Output(logits, (Steps((logits, logits), (torch.zeros(1), torch.zeros(1)), 4),))
    target = torch.zeros((1, 1, 1), dtype=torch.int64)
    assert StepLoss()(output, target, torch.zeros_like(target, dtype=torch.bool)).isfinite()


def test_maps_that_padding_was_left_on_are_refused(batch):
    output, target, ignored = _output(batch)
    padded = torch.randn(2, 4, 8, 8)
    broken = Output(output.logits, (Steps((padded,), (torch.zeros(2),), 2),))
    with pytest.raises(ModelError, match=r"of stride 2 .* must have \(5, 4\) cells, not \(8, 8\)"):
        StepLoss()(broken, target, ignored)


@pytest.mark.parametrize(
    "settings",
    [{"gamma": 0}, {"gamma": 1.1}, {"alpha": -1}, {"weights": "first"}, {"loss": "masks"}, {"loss": {"name": "steps"}}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        StepLoss.model_validate(settings)


def test_all_of_it_is_settings():
    record = StepLoss.model_validate(
        {
            "loss": {"name": "ce_dice", "dice_weight": 2},
            "weights": "raft",
            "halting": {"target": "consistency", "beta": 1},
            "ponder": {"kind": "expected_steps", "rho": 0.01},
        }
    )
    assert record.halting.beta == 1
    assert StepLoss.model_validate(record.model_dump(mode="json")) == record
