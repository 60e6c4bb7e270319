"""What all losses share: ignored pixels, class weights, labels that are no class, precision, records."""

import pytest
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from terrazzo.errors import LabelError, ModelError
from terrazzo.losses import (
    LOSSES,
    BootstrappedCrossEntropy,
    CrossEntropy,
    CrossEntropyDice,
    DeeplySupervised,
    Dice,
    Focal,
    Halting,
    Jaccard,
    Labels,
    Loss,
    Lovasz,
    MaskLoss,
    MaskTerm,
    Ponder,
    Sampling,
    StepLoss,
    Tversky,
    WeightedSum,
)
from terrazzo.models.output import Output
from terrazzo.testing import check_loss
from terrazzo.testing.answers import mapped, tensors, variants

RECORDS = {
    "ce": CrossEntropy(),
    "ce smoothed": CrossEntropy(label_smoothing=0.1),
    "ce weighted": CrossEntropy(class_weights=(1, 2, 3, 4)),
    "focal": Focal(),
    "focal 0.5": Focal(gamma=0.5),
    "focal weighted": Focal(gamma=3, class_weights=(4, 3, 2, 1)),
    "bootstrapped": BootstrappedCrossEntropy(),
    "bootstrapped fixed": BootstrappedCrossEntropy(min_K=50, scale_with_area=False),
    "bootstrapped sum": BootstrappedCrossEntropy(min_K=50, scale_with_area=False, size_average=False),
    "bootstrapped weighted": BootstrappedCrossEntropy(loss_th=9, class_weights=(1, 2, 3, 4)),
    "dice": Dice(),
    "dice smooth": Dice(smooth=1),
    "dice weighted": Dice(class_weights=(1, 0.5, 2, 1)),
    "jaccard": Jaccard(),
    "jaccard smooth": Jaccard(smooth=1),
    "tversky": Tversky(),
    "tversky focal": Tversky(gamma=0.75),
    "lovasz": Lovasz(),
    "lovasz per image": Lovasz(per_image=True),
    "ce_dice": CrossEntropyDice(),
    "sum": WeightedSum.model_validate(
        {"terms": [{"loss": "ce"}, {"loss": {"name": "dice", "smooth": 1}, "weight": 0.5}]}
    ),
    "sum of records": WeightedSum.model_validate({"terms": [{"loss": "steps"}, {"loss": "deep_supervision"}]}),
    "deep": DeeplySupervised(),
    "deep auxiliary": DeeplySupervised(weights="auxiliary", loss=CrossEntropyDice()),
    "deep listed": DeeplySupervised(weights=(1, 0.5, 0.25), loss=Lovasz()),
    "steps": StepLoss(),
    "steps raft": StepLoss(weights="raft", loss=Dice(), ponder=Ponder(kind="kl")),
    "steps last": StepLoss(weights="last", halting=Halting(target="last_gain")),
    "steps consistency": StepLoss(halting=Halting(target="consistency"), ponder=Ponder(kind="expected_steps")),
    "steps soft": StepLoss(halting=Halting(quality="nll", soft=True, balance=False), average_steps=False),
    "steps coarse": StepLoss(resolution="model", halting=None),
    "masks": MaskLoss(),
    "masks drawn": MaskLoss(sampling=Sampling(points=150)),
    "masks of MaskFormer": MaskLoss(mask=MaskTerm(kind="focal"), sampling=None),
    "masks weighted": MaskLoss(class_weights=(1, 2, 3, 4)),
}
"""Losses, and their options, by what a test calls them."""
EACH = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)


def _answers(record, logits):
    """Return an answer of each form that the loss reads, the made-up parts of it random."""
    return [form.answer(logits, None) for form in variants(record.reads)]


def _measure(record, output, *rest):
    torch.manual_seed(0)
    return record(output, *rest)


@EACH
def test_every_loss_conforms(record):
    check_loss(record)


def test_every_listed_loss_is_tested():
    assert {record.name for record in RECORDS.values()} == set(LOSSES.names())


@EACH
@pytest.mark.parametrize("factor", [0.01, 50.0])
def test_class_weights_move_the_balance_and_not_the_scale(batch, record, factor):
    logits, target, ignored = batch()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    for output in _answers(record, logits):
        one = _measure(record, output, target, ignored, weights)
        other = _measure(record, output, target, ignored, factor * weights)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "record",
    [
        CrossEntropy(),
        Focal(),
        BootstrappedCrossEntropy(),
        Dice(),
        Jaccard(),
        Tversky(),
        Lovasz(),
        CrossEntropyDice(),
        DeeplySupervised(),
        StepLoss(),
        MaskLoss(),
    ],
    ids=lambda record: record.name,
)
def test_class_weights_count(batch, record):
    logits, target, ignored = batch()
    for output in _answers(record, logits):
        plain = _measure(record, output, target, ignored)
        heavy = _measure(record, output, target, ignored, torch.tensor([9.0, 1.0, 1.0, 1.0]))
        own = record.model_copy(update={"class_weights": (9.0, 1.0, 1.0, 1.0)})
        assert heavy != plain
        assert _measure(own, output, target, ignored, torch.tensor([1.0, 1.0, 1.0, 50.0])) == heavy


@pytest.mark.parametrize("record", [CrossEntropy(), Dice()])
def test_only_pixels_of_a_weightless_class_cost_nothing(batch, record):
    logits, target, ignored = batch()
    value = record(Output(logits), torch.zeros_like(target), ignored, torch.tensor([0.0, 1.0, 1.0, 1.0]))
    assert float(value) == 0


def test_too_few_class_weights_are_refused(batch):
    logits, target, ignored = batch()
    with pytest.raises(ModelError, match="loss ce: 2 class weights were given for 4 classes"):
        CrossEntropy(class_weights=(1, 2))(Output(logits), target, ignored)
    with pytest.raises(ModelError, match="loss dice: 3 class weights"):
        Dice()(Output(logits), target, ignored, torch.ones(3))


@EACH
@pytest.mark.parametrize("label", [4, 255, -1, -100])
def test_a_label_without_a_class_is_refused(batch, record, label):
    logits, target, ignored = batch()
    target[0, 0, 0], ignored[0, 0, 0] = label, False
    with pytest.raises(LabelError, match=rf"over 4 classes met the labels \[{label}\]"):
        record(_answers(record, logits)[0], target, ignored)


@EACH
def test_half_precision_sums_in_full(record):
    """65504 is the largest float16, and a sum of float16 ones stands still at 2048."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((1, 4, 150, 150), generator=generator)
    target = torch.randint(0, 4, (1, 150, 150), generator=generator)
    nothing = torch.zeros_like(target, dtype=torch.bool)
    half = mapped(_answers(record, logits)[0], torch.Tensor.half)
    value = _measure(record, half, target, nothing)
    assert value.dtype == torch.float32
    assert float(value) == float(_measure(record, mapped(half, torch.Tensor.float), target, nothing))


@pytest.mark.parametrize(
    "name",
    [
        *("ce", "ce smoothed", "ce weighted", "focal", "focal 0.5", "focal weighted", "dice", "dice smooth"),
        *("dice weighted", "jaccard", "jaccard smooth", "tversky", "tversky focal", "lovasz", "ce_dice", "sum"),
        *("deep", "deep auxiliary", "deep listed", "steps coarse"),
    ],
)
def test_the_gradient_is_the_slope(batch, name):
    """Of the losses without a choice that a small step turns over: hardest pixels, targets of halting, matching."""
    record = RECORDS[name]
    logits, target, ignored = batch(size=(13, 11))
    for output in _answers(record, logits):
        leaf = mapped(output, lambda one: one.clone().requires_grad_())
        record(leaf, target, ignored).backward()
        generator = torch.Generator().manual_seed(2)
        directions = [torch.randn(one.shape, generator=generator) for one in tensors(output)]
        values = []
        for step in (3e-3, -3e-3):
            moved = iter([step * direction for direction in directions])
            values.append(float(record(mapped(output, lambda one, by=moved: one + next(by)), target, ignored)))
        pairs = zip(tensors(leaf), directions, strict=True)
        slope = sum(float((one.grad * direction).sum()) for one, direction in pairs if one.grad is not None)
        assert slope == pytest.approx((values[0] - values[1]) / 6e-3, rel=0.02, abs=3e-4)


@pytest.mark.parametrize("name", ["ce", "focal", "bootstrapped", "dice", "tversky", "lovasz", "deep", "steps", "masks"])
def test_one_pixel(name):
    logits = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    target = torch.zeros((1, 1, 1), dtype=torch.int64)
    for output in _answers(RECORDS[name], logits):
        value = float(RECORDS[name](output, target, torch.zeros_like(target, dtype=torch.bool)))
        assert 0 < value < 100


@EACH
def test_what_is_given_is_left_as_it_was(batch, record):
    logits, target, ignored = batch()
    output = _answers(record, logits)[0]
    before = [one.clone() for one in (target, ignored, *tensors(output))]
    record(output, target, ignored)
    after = (target, ignored, *tensors(output))
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_bad_settings_are_refused():
    for settings in ({"label_smoothing": 1.0}, {"label_smoothing": -0.1}, {"class_weights": (-1.0, 1.0)}):
        with pytest.raises(ValidationError):
            CrossEntropy(**settings)
    with pytest.raises(ValidationError):
        Focal(gamma=-1)


@EACH
def test_labels_are_not_fitted_to_logits_of_another_size(batch, record):
    """DINOv3Seg resized labels to a head's logits, four times the tile, so that no one saw the head's mistake."""
    logits, target, ignored = batch()
    with pytest.raises(ModelError, match=r"logits of \(18, 14\) pixels met labels of \(9, 7\)"):
        record(Output(logits.repeat(1, 1, 2, 2)), target, ignored)


@EACH
def test_records_that_are_not_there_are_missed(batch, record):
    logits, target, ignored = batch()
    if record.reads:
        with pytest.raises(ModelError, match=r"which the network does not answer; choose a loss that fits it"):
            record(Output(logits), target, ignored)
    else:
        assert record(Output(logits), target, ignored) == record(_answers(record, logits)[0], target, ignored)


def test_the_label_of_a_cell_is_that_of_its_middle_pixel():
    index = torch.arange(35).reshape(1, 5, 7)
    labels = Labels(index, torch.ones(35))
    assert labels.coarse(1).index is index
    assert labels.coarse(2).index.tolist() == [[[8, 10, 12, 13], [22, 24, 26, 27], [29, 31, 33, 34]]]
    assert labels.coarse(4).index.tolist() == [[[16, 20], [30, 34]]]
    assert labels.coarse(64).index.tolist() == [[[34]]]


def test_a_cell_is_ignored_where_its_middle_pixel_is():
    target = torch.zeros((1, 4, 4), dtype=torch.int64)
    ignored = torch.zeros_like(target, dtype=torch.bool)
    ignored[0, 1, 1] = ignored[0, 3, 2] = True
    labels = Labels.of(target, ignored, torch.ones(2))
    assert labels.coarse(2).counted.tolist() == [[[False, True], [True, True]]]


def test_a_loss_without_measure_says_so(batch):
    logits, target, ignored = batch()
    with pytest.raises(NotImplementedError, match="Loss has no measure"):
        Loss(name="none")(Output(logits), target, ignored)


def test_a_field_takes_a_name_or_a_mapping():
    class Holder(BaseModel):
        model_config = ConfigDict(extra="forbid")
        term: WeightedSum

    held = Holder.model_validate({"term": {"name": "sum", "terms": [{"loss": {"name": "focal", "gamma": 3}}]}})
    assert held.term.terms[0].loss == Focal(gamma=3)
    assert Holder.model_validate(held.model_dump()) == held


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@EACH
def test_a_gpu_repeats_value_and_gradient(batch, record):
    logits, target, ignored = batch(size=(33, 31))
    torch.use_deterministic_algorithms(True)
    try:
        for output in _answers(record, logits):
            found = []
            for device in ("cuda", "cuda", "cpu"):
                leaf = mapped(output, lambda one, to=device: one.detach().to(to).requires_grad_())
                value = _measure(record, leaf, target.to(device), ignored.to(device))
                found.append([value.detach(), *torch.autograd.grad(value, tensors(leaf), materialize_grads=True)])
            assert all(torch.equal(one, two) for one, two in zip(found[0], found[1], strict=True))
            # Points are drawn by the device's own generator.
            if not isinstance(record, MaskLoss) or record.sampling != Sampling(points=150):
                for one, two in zip(found[0], found[2], strict=True):
                    torch.testing.assert_close(one.cpu(), two, rtol=1e-3, atol=1e-5)
    finally:
        torch.use_deterministic_algorithms(False)
