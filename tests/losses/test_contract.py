"""Every loss agrees with hand calculation and with another implementation, and treats ignored pixels alike."""

import math

import pytest
import segmentation_models_pytorch
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch.nn import functional

from terrazzo.errors import LabelError, ModelError
from terrazzo.losses import LOSSES, CrossEntropy, Dice, Focal, Jaccard, Loss, WeightedSum
from terrazzo.models.output import Output
from terrazzo.testing import check_loss

RECORDS = [
    CrossEntropy(),
    CrossEntropy(label_smoothing=0.1),
    CrossEntropy(class_weights=(1, 2, 3, 4)),
    Focal(),
    Focal(gamma=0.5),
    Focal(gamma=3, class_weights=(4, 3, 2, 1)),
    Dice(),
    Dice(smooth=1),
    Dice(class_weights=(1, 0.5, 2, 1)),
    Jaccard(),
    Jaccard(smooth=1),
    WeightedSum.model_validate({"terms": [{"loss": "ce"}, {"loss": {"name": "dice", "smooth": 1}, "weight": 0.5}]}),
]


def _batch(classes=4, seed=0, ignored_share=0.3):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((2, classes, 9, 7), generator=generator)
    target = torch.randint(0, classes, (2, 9, 7), generator=generator)
    return logits, target, torch.rand((2, 9, 7), generator=generator) < ignored_share


def _nothing(target):
    return torch.zeros_like(target, dtype=torch.bool)


@pytest.mark.parametrize("record", RECORDS, ids=repr)
def test_every_loss_conforms(record):
    check_loss(record)


def test_every_listed_loss_is_tested():
    assert {record.name for record in RECORDS} == set(LOSSES.names())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.2, 3.0, 0.7])])
def test_cross_entropy_is_torchs(smoothing, weights):
    logits, target, ignored = _batch()
    ours = CrossEntropy(label_smoothing=smoothing)(Output(logits), target, ignored, weights)
    marked = target.masked_fill(ignored, 255)
    theirs = functional.cross_entropy(logits, marked, weights, ignore_index=255, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, math.log(3)]]).reshape(1, 2, 1, 1)
    for label, wanted in ((0, math.log(4)), (1, math.log(4 / 3))):
        target = torch.full((1, 1, 1), label)
        assert float(CrossEntropy()(Output(logits), target, _nothing(target))) == pytest.approx(wanted)


def test_focal_by_hand():
    logits = torch.tensor([[0.0, math.log(3)]]).reshape(1, 2, 1, 1)
    target = torch.ones((1, 1, 1), dtype=torch.int64)
    value = Focal(gamma=2)(Output(logits), target, _nothing(target))
    assert float(value) == pytest.approx((1 / 4) ** 2 * math.log(4 / 3))


def test_focal_without_gamma_is_cross_entropy():
    logits, target, ignored = _batch()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    focal = Focal(gamma=0)(Output(logits), target, ignored, weights)
    torch.testing.assert_close(focal, CrossEntropy()(Output(logits), target, ignored, weights))


def test_focal_is_its_formula():
    logits, target, ignored = _batch()
    p = logits.double().softmax(1).gather(1, target[:, None])[:, 0][~ignored]
    wanted = (-((1 - p) ** 3) * p.log()).mean()
    torch.testing.assert_close(Focal(gamma=3)(Output(logits), target, ignored).double(), wanted)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_has_a_finite_gradient_where_the_answer_is_certain(gamma):
    logits = torch.tensor([200.0, 0.0]).reshape(1, 2, 1, 1).requires_grad_()
    target = torch.zeros((1, 1, 1), dtype=torch.int64)
    Focal(gamma=gamma)(Output(logits), target, _nothing(target)).backward()
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize(
    ("ours", "theirs", "per_pixel"),
    [
        (Dice, segmentation_models_pytorch.losses.DiceLoss, 2),
        (Jaccard, segmentation_models_pytorch.losses.JaccardLoss, 1),
    ],
)
def test_overlaps_are_the_librarys_where_every_class_is_present(ours, theirs, per_pixel, smooth):
    """The library's Dice writes 2 (S pg + smooth), so that its smooth counts twice."""
    logits, target, ignored = _batch()
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
    assert float(record(Output(logits), target, _nothing(target))) == pytest.approx(wanted)


@pytest.mark.parametrize("record", [Dice(), Jaccard()])
def test_overlaps_are_summed_over_the_batch(record):
    """A class that one image holds and the other does not is one class of the batch."""
    logits, target, ignored = _batch()
    target[0], target[1] = 0, 1
    joined = record(Output(logits), target, ignored)
    side_by_side = record(
        Output(torch.cat(list(logits), dim=2)[None]),
        torch.cat(list(target), dim=1)[None],
        torch.cat(list(ignored), dim=1)[None],
    )
    torch.testing.assert_close(joined, side_by_side)


def test_a_sum_adds_its_terms():
    logits, target, ignored = _batch()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    record = WeightedSum.model_validate(
        {"terms": [{"loss": "ce", "weight": 2}, {"loss": {"name": "dice", "class_weights": [1, 1, 1, 0]}}]}
    )
    parts = 2 * CrossEntropy()(Output(logits), target, ignored, weights)
    parts = parts + Dice(class_weights=(1, 1, 1, 0))(Output(logits), target, ignored)
    torch.testing.assert_close(record(Output(logits), target, ignored, weights), parts)


def test_a_sum_within_a_sum():
    logits, target, ignored = _batch()
    inner = {"name": "sum", "terms": [{"loss": "ce"}, {"loss": "jaccard"}]}
    outer = WeightedSum.model_validate({"terms": [{"loss": inner, "weight": 0.5}]})
    plain = WeightedSum.model_validate(inner)(Output(logits), target, ignored)
    torch.testing.assert_close(outer(Output(logits), target, ignored), 0.5 * plain)


@pytest.mark.parametrize("terms", [[], [{"loss": "cee"}], [{"loss": "ce", "weight": -1}], [{"weight": 1}]])
def test_a_sum_refuses_what_makes_no_sense(terms):
    with pytest.raises(ValidationError):
        WeightedSum.model_validate({"terms": terms})


@pytest.mark.parametrize("record", RECORDS, ids=repr)
@pytest.mark.parametrize("factor", [0.01, 50.0])
def test_class_weights_move_the_balance_and_not_the_scale(record, factor):
    logits, target, ignored = _batch()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    one = record(Output(logits), target, ignored, weights)
    torch.testing.assert_close(one, record(Output(logits), target, ignored, factor * weights), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("record", [CrossEntropy(), Focal(), Dice(), Jaccard()])
def test_class_weights_count(record):
    logits, target, ignored = _batch()
    plain = record(Output(logits), target, ignored)
    heavy = record(Output(logits), target, ignored, torch.tensor([9.0, 1.0, 1.0, 1.0]))
    own = record.model_copy(update={"class_weights": (9.0, 1.0, 1.0, 1.0)})
    assert heavy != plain
    assert own(Output(logits), target, ignored, torch.tensor([1.0, 1.0, 1.0, 50.0])) == heavy


@pytest.mark.parametrize("record", [CrossEntropy(), Dice()])
def test_only_pixels_of_a_weightless_class_cost_nothing(record):
    logits, target, ignored = _batch()
    value = record(Output(logits), torch.zeros_like(target), ignored, torch.tensor([0.0, 1.0, 1.0, 1.0]))
    assert float(value) == 0


def test_too_few_class_weights_are_refused():
    logits, target, ignored = _batch()
    with pytest.raises(ModelError, match="loss ce: 2 class weights were given for 4 classes"):
        CrossEntropy(class_weights=(1, 2))(Output(logits), target, ignored)
    with pytest.raises(ModelError, match="loss dice: 3 class weights"):
        Dice()(Output(logits), target, ignored, torch.ones(3))


@pytest.mark.parametrize("record", RECORDS, ids=repr)
@pytest.mark.parametrize("label", [4, 255, -1, -100])
def test_a_label_without_a_class_is_refused(record, label):
    logits, target, ignored = _batch()
    target[0, 0, 0], ignored[0, 0, 0] = label, False
    with pytest.raises(LabelError, match=rf"over 4 classes met the labels \[{label}\]"):
        record(Output(logits), target, ignored)


@pytest.mark.parametrize("record", RECORDS, ids=repr)
def test_half_precision_sums_in_full(record):
    """65504 is the largest float16, and a sum of float16 ones stands still at 2048."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((1, 4, 300, 300), generator=generator).half()
    target = torch.randint(0, 4, (1, 300, 300), generator=generator)
    value = record(Output(logits), target, _nothing(target))
    assert value.dtype == torch.float32
    exact = record(Output(logits.float()), target, _nothing(target))
    assert float(value) == float(exact)


@pytest.mark.parametrize("record", RECORDS, ids=repr)
def test_the_gradient_is_the_slope(record):
    logits, target, ignored = _batch()
    leaf = logits.clone().requires_grad_()
    record(Output(leaf), target, ignored).backward()
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    step = 1e-2
    ahead, behind = (float(record(Output(logits + sign * step * direction), target, ignored)) for sign in (1, -1))
    assert float((leaf.grad * direction).sum()) == pytest.approx((ahead - behind) / (2 * step), rel=0.02, abs=1e-4)


@pytest.mark.parametrize("record", RECORDS[:1] + RECORDS[3:4] + RECORDS[6:7])
def test_one_pixel(record):
    logits = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    target = torch.zeros((1, 1, 1), dtype=torch.int64)
    assert 0 < float(record(Output(logits), target, _nothing(target))) < 1


@pytest.mark.parametrize("record", RECORDS, ids=repr)
def test_the_target_is_left_as_it_was(record):
    logits, target, ignored = _batch()
    before = target.clone(), ignored.clone(), logits.clone()
    record(Output(logits), target, ignored)
    assert torch.equal(target, before[0])
    assert torch.equal(ignored, before[1])
    assert torch.equal(logits, before[2])


def test_bad_settings_are_refused():
    for settings in ({"label_smoothing": 1.0}, {"label_smoothing": -0.1}, {"class_weights": (-1.0, 1.0)}):
        with pytest.raises(ValidationError):
            CrossEntropy(**settings)
    with pytest.raises(ValidationError):
        Focal(gamma=-1)
    with pytest.raises(ValidationError):
        Dice(eps=0)


def test_a_loss_without_measure_says_so():
    logits, target, ignored = _batch()
    with pytest.raises(NotImplementedError, match="Loss has no measure"):
        Loss(name="none")(Output(logits), target, ignored)


def test_a_field_takes_a_name_or_a_mapping():
    class Holder(BaseModel):
        model_config = ConfigDict(extra="forbid")
        term: WeightedSum

    held = Holder.model_validate({"term": {"name": "sum", "terms": [{"loss": {"name": "focal", "gamma": 3}}]}})
    assert held.term.terms[0].loss == Focal(gamma=3)
    assert Holder.model_validate(held.model_dump()) == held
