"""Dice, Jaccard and Tversky agree with the library and with hand calculation."""

import math

import pytest
import segmentation_models_pytorch
import torch
from pydantic import ValidationError

from terrazzo.losses import Dice, Jaccard, Tversky
from terrazzo.models.output import Output


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize(
    ("ours", "theirs", "per_pixel"),
    [
        (Dice, segmentation_models_pytorch.losses.DiceLoss, 2),
        (Jaccard, segmentation_models_pytorch.losses.JaccardLoss, 1),
    ],
)
def test_overlaps_are_the_librarys_where_every_class_is_present(batch, ours, theirs, per_pixel, smooth):
    """The library's Dice writes 2 (S pg + smooth), so that its smooth counts twice."""
    logits, target, ignored = batch()
    assert set(target[~ignored].tolist()) == {0, 1, 2, 3}
    record, marked = ours(smooth=per_pixel * smooth), target.masked_fill(ignored, 255)
    wanted = theirs("multiclass", smooth=smooth, ignore_index=255)(logits, marked)
    torch.testing.assert_close(record(Output(logits), target, ignored), wanted)
    weights = torch.tensor([1.0, 2.0, 0.0, 0.5])
    weighted = theirs("multiclass", smooth=smooth, ignore_index=255, class_weights=weights.tolist())
    torch.testing.assert_close(record(Output(logits), target, ignored, weights), weighted(logits, marked))


@pytest.mark.parametrize(("record", "wanted"), [(Dice(), 1 - 2 * 1.5 / 3.5), (Jaccard(), 1 - 1.5 / 2)])
def test_an_absent_class_leaves_the_mean_of_overlaps(record, wanted):
    """Two pixels of class 0, answered with 3/4 each; class 1 gets 1/4 each and is labelled nowhere."""
    logits = torch.tensor([math.log(3), 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 1, 2)
    target = torch.zeros((1, 1, 2), dtype=torch.int64)
    assert float(record(Output(logits), target, torch.zeros_like(target, dtype=torch.bool))) == pytest.approx(wanted)


@pytest.mark.parametrize("record", [Dice(), Jaccard()])
def test_overlaps_are_summed_over_thebatch(batch, record):
    """A class that one image holds and the other does not is one class of the batch."""
    logits, target, ignored = batch()
    target[0], target[1] = 0, 1
    joined = record(Output(logits), target, ignored)
    side_by_side = record(
        Output(torch.cat(list(logits), dim=2)[None]),
        torch.cat(list(target), dim=1)[None],
        torch.cat(list(ignored), dim=1)[None],
    )
    torch.testing.assert_close(joined, side_by_side)


@pytest.mark.parametrize(("alpha", "beta", "gamma"), [(0.3, 0.7, 1.0), (1.0, 0.2, 0.75), (0.5, 0.5, 2.0)])
def test_tversky_by_hand(alpha, beta, gamma):
    """Three pixels, the third ignored; class 2 is labelled nowhere."""
    probability = torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.1, 0.1, 0.8]])
    logits = probability.log().T.reshape(1, 3, 1, 3)
    target = torch.tensor([[[0, 1, 2]]])
    wanted = 0.0
    for right, false_positive, false_negative in ((0.7, 0.25, 0.3), (0.5, 0.2, 0.5)):
        index = right / (right + alpha * false_positive + beta * false_negative)
        wanted += (1 - index) ** gamma / 2
    record = Tversky(alpha=alpha, beta=beta, gamma=gamma)
    value = record(Output(logits), target, torch.tensor([[[False, False, True]]]))
    assert float(value) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_tversky_is_the_librarys_where_every_class_is_present(batch, smooth):
    """The library names the prices alike: alpha of false positives."""
    logits, target, ignored = batch()
    theirs = segmentation_models_pytorch.losses.TverskyLoss(
        "multiclass", smooth=smooth, ignore_index=255, alpha=0.3, beta=0.7
    )
    value = Tversky(smooth=smooth)(Output(logits), target, ignored)
    torch.testing.assert_close(value, theirs(logits, target.masked_fill(ignored, 255)))


@pytest.mark.parametrize(("price", "twin"), [(0.5, Dice()), (1.0, Jaccard())])
def test_equal_prices_make_tversky_dice_or_jaccard(batch, price, twin):
    logits, target, ignored = batch()
    value = Tversky(alpha=price, beta=price)(Output(logits), target, ignored)
    torch.testing.assert_close(value, twin(Output(logits), target, ignored))


def test_alpha_is_the_price_of_false_positives():
    """Everything is called class 0, of which half is: it has false positives alone, and class 1 is not found at all."""
    logits = torch.tensor([20.0, 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 1, 8)
    target = (torch.arange(8) % 2).reshape(1, 1, 8)
    nothing = torch.zeros_like(target, dtype=torch.bool)
    only_first = torch.tensor([1.0, 0.0])
    dear = Tversky(alpha=0.9, beta=0.1)(Output(logits), target, nothing, only_first)
    cheap = Tversky(alpha=0.1, beta=0.9)(Output(logits), target, nothing, only_first)
    assert float(dear) == pytest.approx(0.9 / 1.9, rel=1e-4)
    assert float(cheap) == pytest.approx(0.1 / 1.1, rel=1e-4)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_perfect_answer_has_a_finite_gradient(gamma):
    logits = torch.tensor([200.0, 0.0]).reshape(1, 2, 1, 1).requires_grad_()
    target = torch.zeros((1, 1, 1), dtype=torch.int64)
    Tversky(gamma=gamma)(Output(logits), target, torch.zeros_like(target, dtype=torch.bool)).backward()
    assert bool(logits.grad.isfinite().all())


def test_bad_settings_are_refused():
    for record, settings in (
        (Dice, {"eps": 0}),
        (Tversky, {"alpha": 0, "beta": 0}),
        (Tversky, {"gamma": 0}),
        (Tversky, {"alpha": -1}),
    ):
        with pytest.raises(ValidationError):
            record(**settings)
