"""Lovász-softmax agrees with its definition, written out in NumPy, and with the library."""

import numpy as np
import pytest
import segmentation_models_pytorch
import torch

from terrazzo.losses import Jaccard, Lovasz
from terrazzo.models.output import Output


def _by_definition(probability, index, of_class):
    """Sum the errors, largest first, times what each adds to the Jaccard loss of the pixels so far called wrong."""
    truth = index == of_class
    errors = np.abs(truth - probability)
    order = np.argsort(-errors, kind="stable")
    wrong, total, before = np.zeros(len(index), dtype=bool), 0.0, 0.0
    for pixel in order:
        wrong[pixel] = True
        said = np.where(wrong, ~truth, truth)
        loss = 1 - (said & truth).sum() / (said | truth).sum()
        total += errors[pixel] * (loss - before)
        before = loss
    return total


def _batch_by_definition(logits, target, ignored):
    probability = logits.double().softmax(1).numpy()
    counted = ~ignored.numpy()
    index = target.numpy()[counted]
    each = [_by_definition(probability[:, one][counted], index, one) for one in np.unique(index)]
    return float(np.mean(each))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("classes", [4, 40])
def test_the_definition(batch, seed, classes):
    """With 40 classes and 90 pixels some are absent."""
    logits, target, ignored = batch(classes=classes, seed=seed)
    value = Lovasz()(Output(3 * logits), target, ignored)
    assert float(value) == pytest.approx(_batch_by_definition(3 * logits, target, ignored), rel=1e-5)


def test_per_image_is_the_mean_over_images_that_count(batch):
    logits, target, ignored = batch()
    each = [_batch_by_definition(logits[[one]], target[[one]], ignored[[one]]) for one in (0, 1)]
    record = Lovasz(per_image=True)
    assert float(record(Output(logits), target, ignored)) == pytest.approx(np.mean(each), rel=1e-5)
    ignored[0] = True
    assert float(record(Output(logits), target, ignored)) == pytest.approx(each[1], rel=1e-5)


def test_the_library_agrees_where_every_class_is_present(batch):
    logits, target, ignored = batch()
    theirs = segmentation_models_pytorch.losses.LovaszLoss("multiclass", ignore_index=255)
    ours = Lovasz()(Output(logits), target, ignored)
    torch.testing.assert_close(ours, theirs(logits, target.masked_fill(ignored, 255)))


def test_certain_answers_cost_one_minus_their_iou(batch):
    """The extension meets the set function where answers are 0 or 1."""
    logits, target, ignored = batch()
    said = logits.argmax(dim=1)
    certain = 100 * torch.nn.functional.one_hot(said, 4).movedim(-1, 1).float()
    value = Lovasz()(Output(certain), target, ignored)
    torch.testing.assert_close(value, Jaccard()(Output(certain), target, ignored))


def test_two_pixels_by_hand():
    """One pixel of class 0 answered 0.6, one of class 1 answered 0.3: by hand, from the sorted errors."""
    logits = torch.tensor([[0.6, 0.7], [0.4, 0.3]]).log().reshape(1, 2, 1, 2)
    target = torch.tensor([[[0, 1]]])
    # Both classes: errors 0.7 (the other's pixel, or the own one) and 0.4.
    first = 0.7 * (1 - 1 / 2) + 0.4 * (1 - 1 / 2)
    second = 0.7 * 1 + 0.4 * 0
    value = Lovasz()(Output(logits), target, torch.zeros_like(target, dtype=torch.bool))
    assert float(value) == pytest.approx((first + second) / 2, rel=1e-5)


def test_millions_of_pixels_keep_their_digits():
    """J_i - J_(i-1) of neighbours in float32 would be noise; written out, the slopes add up to 1."""
    pixels = 2**21
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand((1, 1, pixels), generator=generator) < 0.001).long()
    logits = torch.zeros((1, 2, 1, pixels))
    # All errors are 1/2, so that the loss is 1/2 times the sum of the slopes.
    value = Lovasz()(Output(logits), target, torch.zeros_like(target, dtype=torch.bool))
    assert float(value) == pytest.approx(0.5, abs=2e-6)
