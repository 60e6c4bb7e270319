"""Cross-entropy and focal loss agree with torch and with hand calculation."""

import math

import pytest
import torch
from torch.nn import functional

from terrazzo.losses import CrossEntropy, Focal
from terrazzo.models.output import Output


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.2, 3.0, 0.7])])
def test_cross_entropy_is_torchs(batch, smoothing, weights):
    logits, target, ignored = batch()
    ours = CrossEntropy(label_smoothing=smoothing)(Output(logits), target, ignored, weights)
    marked = target.masked_fill(ignored, 255)
    theirs = functional.cross_entropy(logits, marked, weights, ignore_index=255, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, math.log(3)]]).reshape(1, 2, 1, 1)
    for label, wanted in ((0, math.log(4)), (1, math.log(4 / 3))):
        target = torch.full((1, 1, 1), label)
        assert float(
            CrossEntropy()(Output(logits), target, torch.zeros_like(target, dtype=torch.bool))
        ) == pytest.approx(wanted)


def test_focal_by_hand():
    logits = torch.tensor([[0.0, math.log(3)]]).reshape(1, 2, 1, 1)
    target = torch.ones((1, 1, 1), dtype=torch.int64)
    value = Focal(gamma=2)(Output(logits), target, torch.zeros_like(target, dtype=torch.bool))
    assert float(value) == pytest.approx((1 / 4) ** 2 * math.log(4 / 3))


def test_focal_without_gamma_is_cross_entropy(batch):
    logits, target, ignored = batch()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    focal = Focal(gamma=0)(Output(logits), target, ignored, weights)
    torch.testing.assert_close(focal, CrossEntropy()(Output(logits), target, ignored, weights))


def test_focal_is_its_formula(batch):
    logits, target, ignored = batch()
    p = logits.double().softmax(1).gather(1, target[:, None])[:, 0][~ignored]
    wanted = (-((1 - p) ** 3) * p.log()).mean()
    torch.testing.assert_close(Focal(gamma=3)(Output(logits), target, ignored).double(), wanted)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_has_a_finite_gradient_where_the_answer_is_certain(gamma):
    logits = torch.tensor([200.0, 0.0]).reshape(1, 2, 1, 1).requires_grad_()
    target = torch.zeros((1, 1, 1), dtype=torch.int64)
    Focal(gamma=gamma)(Output(logits), target, torch.zeros_like(target, dtype=torch.bool)).backward()
    assert bool(logits.grad.isfinite().all())
