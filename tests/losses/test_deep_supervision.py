"""Coarser answers are measured against labels of their own cells, with the weights asked for."""

import pytest
import torch
from pydantic import ValidationError

from terrazzo.errors import ModelError
from terrazzo.losses import CrossEntropy, CrossEntropyDice, DeeplySupervised
from terrazzo.models.output import DeepSupervision, Output


def _output(batch, strides=(2, 4)):
    logits, target, ignored = batch()
    generator = torch.Generator().manual_seed(5)
    coarser = tuple(torch.randn((2, 4, -(-9 // one), -(-7 // one)), generator=generator) for one in strides)
    return Output(logits, (DeepSupervision(coarser, strides),)), target, ignored


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, (16 / 30, 8 / 30, 4 / 30, 2 / 30, 0)),
        ({"coarsest": True}, (16 / 31, 8 / 31, 4 / 31, 2 / 31, 1 / 31)),
        ({"weights": "auxiliary"}, (1, 0.4, 0.4, 0.4, 0.4)),
        ({"weights": "auxiliary", "auxiliary_weight": 0.1}, (1, 0.1, 0.1, 0.1, 0.1)),
        ({"weights": (3, 0, 1, 0, 2)}, (3, 0, 1, 0, 2)),
    ],
)
def test_the_weights_of_five_answers(settings, wanted):
    assert DeeplySupervised(**settings).shares(4) == pytest.approx(wanted)


def test_it_is_the_weighted_sum_over_answers(batch):
    output, target, ignored = _output(batch)
    record = DeeplySupervised(weights=(1, 0.5, 0.25), loss=CrossEntropyDice())
    inner = CrossEntropyDice()
    wanted = inner(Output(output.logits), target, ignored)
    rows, columns = ([1, 3, 5, 7, 8], [1, 3, 5, 6]), ([2, 6, 8], [2, 6])
    for factor, coarse, (y, x) in zip((0.5, 0.25), output.auxiliary[0].logits, (rows, columns), strict=True):
        wanted = wanted + factor * inner(Output(coarse), target[:, y][:, :, x], ignored[:, y][:, :, x])
    torch.testing.assert_close(record(output, target, ignored), wanted)


def test_one_auxiliary_answer_of_the_second_system(batch):
    """CE + Dice on the main answer, and 0.4 times that on one coarser answer."""
    output, target, ignored = _output(batch, strides=(4,))
    record = DeeplySupervised.model_validate({"loss": "ce_dice", "weights": "auxiliary"})
    single = DeeplySupervised.model_validate({"loss": "ce_dice", "weights": [1, 0.4]})
    assert record(output, target, ignored) == single(output, target, ignored)


def test_an_answer_of_weight_0_has_a_gradient_of_0(batch):
    output, target, ignored = _output(batch)
    leaf = output.auxiliary[0].logits[1].requires_grad_()
    DeeplySupervised()(output, target, ignored).backward()
    assert leaf.grad is not None
    assert not leaf.grad.any()


def test_the_inner_loss_may_have_weights_of_its_own(batch):
    output, target, ignored = _output(batch)
    weights = (4.0, 1.0, 1.0, 1.0)
    own = DeeplySupervised(loss=CrossEntropy(class_weights=weights))(output, target, ignored, torch.ones(4))
    assert own == DeeplySupervised()(output, target, ignored, torch.tensor(weights))
    assert own != DeeplySupervised()(output, target, ignored)


def test_weights_that_do_not_fit_are_refused(batch):
    output, target, ignored = _output(batch)
    with pytest.raises(ModelError, match="2 weights were given for 3 answers, the main one and 2 coarser"):
        DeeplySupervised(weights=(1, 0.5))(output, target, ignored)
    output, target, ignored = _output(batch, strides=(4,))
    with pytest.raises(ModelError, match="coarsest: true, or weights: auxiliary"):
        DeeplySupervised()(output, target, ignored)


@pytest.mark.parametrize(
    "settings",
    [{"weights": ()}, {"weights": (0, 0)}, {"weights": (1, -1)}, {"weights": "doubling"}, {"loss": "steps"}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        DeeplySupervised.model_validate(settings)


def test_a_map_that_padding_was_left_on_is_refused(batch):
    logits, target, ignored = batch()
    output = Output(logits, (DeepSupervision((torch.randn(2, 4, 5, 4), torch.randn(2, 4, 4, 4)), (2, 4)),))
    with pytest.raises(ModelError, match=r"of stride 4 for images of \(9, 7\) pixels must have \(3, 2\) cells, not"):
        DeeplySupervised()(output, target, ignored)
