"""Scores are exact, follow from one matrix, and agree with hand calculation and with two other libraries."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score, precision_score, recall_score
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index

from terrazzo.errors import LabelError, ModelError
from terrazzo.metrics import Confusion

NAMES = ["field", "forest", "water"]


def _batch(seed, classes=4, shape=(3, 17, 11), ignored_share=0.2):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, classes, shape, generator=generator)
    prediction = torch.randint(0, classes, shape, generator=generator)
    return prediction, target, torch.rand(shape, generator=generator) < ignored_share


@pytest.fixture
def by_hand():
    """Rows label: field 5 + 1 wrong, forest 2 + 2 wrong, water never labelled but predicted once."""
    return Confusion(torch.tensor([[5, 1, 0], [1, 2, 1], [0, 0, 0]]))


def test_rows_are_labels_and_columns_predictions():
    confusion = Confusion.of(
        torch.tensor([[[1, 1]]]), torch.tensor([[[0, 0]]]), torch.zeros(1, 1, 2, dtype=torch.bool), 2
    )
    assert confusion.counts.tolist() == [[0, 2], [0, 0]]
    assert confusion.counts.dtype == torch.int64


def test_scores_by_hand(by_hand):
    scores = by_hand.scores(NAMES)
    field, forest, water = scores.classes
    assert (field.iou, forest.iou, water.iou) == pytest.approx((5 / 7, 2 / 5, 0))
    assert (field.f1, forest.f1, water.f1) == pytest.approx((10 / 12, 4 / 7, 0))
    assert (field.precision, forest.precision, water.precision) == pytest.approx((5 / 6, 2 / 3, 0))
    assert (field.recall, forest.recall) == pytest.approx((5 / 6, 2 / 4))
    assert math.isnan(water.recall)
    assert scores.miou == pytest.approx((5 / 7 + 2 / 5 + 0) / 3)
    assert scores.accuracy == pytest.approx(7 / 10)
    assert scores.mean_accuracy == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert scores.frequency_weighted_iou == pytest.approx((6 * 5 / 7 + 4 * 2 / 5) / 10)
    assert [each.pixels for each in scores.classes] == [6, 4, 0]
    assert scores.pixels == by_hand.total == 10
    assert scores.absent == ()
    assert scores.foreground_iou is None


def test_an_absent_class_leaves_the_mean_and_is_named():
    scores = Confusion(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]])).scores(NAMES)
    assert math.isnan(scores.classes[2].iou)
    assert math.isnan(scores.classes[2].f1)
    assert scores.miou == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert scores.absent == ("water",)


def test_two_classes_have_a_foreground():
    scores = Confusion(torch.tensor([[90, 2], [3, 5]])).scores(["ground", "building"])
    assert scores.foreground_iou == pytest.approx(5 / 10)
    assert scores.miou == pytest.approx((90 / 95 + 5 / 10) / 2)


def test_nothing_counted_is_nan_everywhere():
    scores = Confusion.zero(2).scores(["a", "b"])
    assert all(
        math.isnan(value)
        for value in (scores.miou, scores.accuracy, scores.mean_accuracy, scores.frequency_weighted_iou)
    )
    assert math.isnan(scores.foreground_iou)
    assert scores.absent == ("a", "b")
    assert scores.pixels == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_matrix_agrees_with_scikit_learn_and_torchmetrics(seed):
    prediction, target, ignored = _batch(seed)
    confusion = Confusion.of(prediction, target.masked_fill(ignored, 255), ignored, 4)
    kept = (target[~ignored].numpy(), prediction[~ignored].numpy())
    assert np.array_equal(confusion.counts.numpy(), confusion_matrix(*kept, labels=range(4)))
    theirs = multiclass_confusion_matrix(prediction, target.masked_fill(ignored, 255), 4, ignore_index=255)
    assert torch.equal(confusion.counts, theirs)


@pytest.mark.parametrize("seed", range(3))
def test_the_scores_agree_with_scikit_learn_and_torchmetrics(seed):
    prediction, target, ignored = _batch(seed)
    scores = Confusion.of(prediction, target, ignored, 4).scores(list("abcd"))
    kept = (target[~ignored].numpy(), prediction[~ignored].numpy())
    assert [each.iou for each in scores.classes] == pytest.approx(jaccard_score(*kept, average=None))
    assert [each.f1 for each in scores.classes] == pytest.approx(f1_score(*kept, average=None))
    assert [each.precision for each in scores.classes] == pytest.approx(precision_score(*kept, average=None))
    assert [each.recall for each in scores.classes] == pytest.approx(recall_score(*kept, average=None))
    assert scores.miou == pytest.approx(jaccard_score(*kept, average="macro"))
    assert scores.frequency_weighted_iou == pytest.approx(jaccard_score(*kept, average="weighted"))
    theirs = multiclass_jaccard_index(prediction, target.masked_fill(ignored, 255), 4, ignore_index=255)
    assert scores.miou == pytest.approx(float(theirs), abs=1e-6)


def test_ignored_pixels_never_count():
    prediction, target, ignored = _batch(0)
    confusion = Confusion.of(prediction, target, ignored, 4)
    other = Confusion.of(prediction.masked_fill(ignored, 99), target.masked_fill(ignored, -7), ignored, 4)
    assert other == confusion
    assert confusion.total == int((~ignored).sum())


@given(st.integers(1, 5), st.integers(0, 2**31))
def test_counts_do_not_depend_on_batches_or_tiles(cut, seed):
    prediction, target, ignored = _batch(seed, shape=(2, 6, 6))
    whole = Confusion.of(prediction, target, ignored, 4)
    parts = Confusion.zero(4)
    for rows in (slice(cut, None), slice(0, cut)):
        for image in (1, 0):
            pick = (slice(image, image + 1), rows)
            parts = parts + Confusion.of(prediction[pick], target[pick], ignored[pick], 4)
    assert parts == whole


def test_large_counts_stay_exact():
    """Float32 would lose single pixels above 2**24, float64 above 2**53."""
    many = Confusion(torch.tensor([[2**53, 0], [0, 0]]))
    one = Confusion(torch.tensor([[1, 0], [0, 0]]))
    assert (many + one).counts[0, 0].item() == 2**53 + 1
    assert (many + one).total == 2**53 + 1


def test_equality():
    assert Confusion.zero(3) == Confusion.zero(3)
    assert Confusion.zero(3) != Confusion.zero(2)
    assert Confusion.zero(2) != Confusion(torch.tensor([[0, 1], [0, 0]]))
    assert Confusion.zero(2) != 0
    with pytest.raises(TypeError):
        hash(Confusion.zero(2))


@pytest.mark.parametrize("label", [-1, 4, 255])
def test_a_label_without_a_class_is_refused(label):
    prediction, target, ignored = _batch(1, ignored_share=0)
    target[0, 0, 0] = label
    with pytest.raises(LabelError, match=rf"Labels \[{label}\] are no classes \(0\.\.3\)"):
        Confusion.of(prediction, target, ignored, 4)


@pytest.mark.parametrize("answer", [-1, 4])
def test_a_prediction_without_a_class_is_refused(answer):
    prediction, target, ignored = _batch(1, ignored_share=0)
    prediction[2, 16, 10] = answer
    with pytest.raises(ModelError, match=rf"Predictions \[{answer}\]"):
        Confusion.of(prediction, target, ignored, 4)


def test_all_ignored_counts_nothing():
    prediction, target, _ = _batch(1)
    assert Confusion.of(prediction, target, torch.ones_like(target, dtype=torch.bool), 4) == Confusion.zero(4)


def test_one_pixel():
    pixel = torch.zeros(1, 1, 1, dtype=torch.int64)
    scores = Confusion.of(pixel, pixel, pixel.bool(), 2).scores(["a", "b"])
    assert scores.miou == 1
    assert scores.absent == ("b",)


def test_other_numbers_of_classes_do_not_add_up():
    with pytest.raises(ModelError, match="2 classes cannot be added to one of 3"):
        Confusion.zero(2) + Confusion.zero(3)


def test_names_must_fit():
    with pytest.raises(ModelError, match="1 class names"):
        Confusion.zero(2).scores(["alone"])


def test_plain_data_is_json_without_nan(by_hand):
    plain = Confusion(torch.tensor([[3, 0], [0, 0]])).scores(["ä", "b"]).as_dict()
    text = json.dumps(plain, allow_nan=False)
    assert json.loads(text) == plain
    assert plain["classes"][1] == {"name": "b", "iou": None, "f1": None, "precision": None, "recall": None, "pixels": 0}
    assert plain["absent"] == ["b"]
    assert plain["miou"] == 1
    assert by_hand.scores(NAMES).as_dict()["foreground_iou"] is None
