"""Sums of losses add what their parts measure."""

import pytest
import torch
from pydantic import ValidationError

from terrazzo.losses import CrossEntropy, CrossEntropyDice, Dice, WeightedSum
from terrazzo.models.output import DeepSupervision, Output, Steps


def test_a_sum_adds_its_terms(batch):
    logits, target, ignored = batch()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    record = WeightedSum.model_validate(
        {"terms": [{"loss": "ce", "weight": 2}, {"loss": {"name": "dice", "class_weights": [1, 1, 1, 0]}}]}
    )
    parts = 2 * CrossEntropy()(Output(logits), target, ignored, weights)
    parts = parts + Dice(class_weights=(1, 1, 1, 0))(Output(logits), target, ignored)
    torch.testing.assert_close(record(Output(logits), target, ignored, weights), parts)


def test_a_sum_within_a_sum(batch):
    logits, target, ignored = batch()
    inner = {"name": "sum", "terms": [{"loss": "ce"}, {"loss": "jaccard"}]}
    outer = WeightedSum.model_validate({"terms": [{"loss": inner, "weight": 0.5}]})
    plain = WeightedSum.model_validate(inner)(Output(logits), target, ignored)
    torch.testing.assert_close(outer(Output(logits), target, ignored), 0.5 * plain)


@pytest.mark.parametrize("terms", [[], [{"loss": "cee"}], [{"loss": "ce", "weight": -1}], [{"weight": 1}]])
def test_a_sum_refuses_what_makes_no_sense(terms):
    with pytest.raises(ValidationError):
        WeightedSum.model_validate({"terms": terms})


def test_a_sum_reads_what_its_terms_read():
    record = WeightedSum.model_validate({"terms": [{"loss": "steps"}, {"loss": "deep_supervision"}, {"loss": "ce"}]})
    assert record.reads == {DeepSupervision, Steps}


@pytest.mark.parametrize(("entropy", "dice"), [(1.0, 1.0), (0.3, 2.0), (1.0, 0.0), (0.0, 1.0)])
def test_ce_dice_is_its_parts(batch, entropy, dice):
    logits, target, ignored = batch()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    record = CrossEntropyDice(ce_weight=entropy, dice_weight=dice, label_smoothing=0.1, smooth=1)
    wanted = entropy * CrossEntropy(label_smoothing=0.1)(Output(logits), target, ignored, weights)
    wanted = wanted + dice * Dice(smooth=1)(Output(logits), target, ignored, weights)
    torch.testing.assert_close(record(Output(logits), target, ignored, weights), wanted)


def test_ce_dice_of_nothing_is_refused():
    with pytest.raises(ValidationError, match="both 0"):
        CrossEntropyDice(ce_weight=0, dice_weight=0)
