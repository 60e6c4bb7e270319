"""Cross-entropy of the hardest pixels follows its published rule, among the pixels that count."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from terrazzo.losses import BootstrappedCrossEntropy, CrossEntropy
from terrazzo.models.output import Output


def _logits(losses):
    """Return logits of two classes whose cross-entropy for label 0 is as given."""
    right = np.exp(-np.asarray(losses, dtype=np.float64))
    logits = torch.tensor(np.log(np.stack((right, 1 - right), axis=1)), dtype=torch.float32)
    return logits.reshape(len(losses), 2, 1, -1)


def _value(record, losses, ignored=None):
    logits = _logits(losses)
    target = torch.zeros((len(losses), 1, logits.shape[3]), dtype=torch.int64)
    where = (
        torch.zeros_like(target, dtype=torch.bool) if ignored is None else torch.tensor(ignored).reshape(target.shape)
    )
    return float(record(Output(logits), target, where))


def _by_hand(losses, hardest, threshold):
    """Return the rule of one image, without ignored pixels, in the words of the published code."""
    ordered = sorted(losses, reverse=True)
    chosen = [one for one in ordered if one > threshold] if ordered[hardest] > threshold else ordered[:hardest]
    return float(np.mean(chosen))


@pytest.mark.parametrize("hardest", [1, 2, 3, 5])
@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.45, 2.0])
def test_the_rule_by_hand(hardest, threshold):
    losses = [[0.1, 0.5, 0.2, 0.9, 0.4, 0.02], [0.6, 0.7, 0.8, 0.9, 1.0, 1.1]]
    record = BootstrappedCrossEntropy(min_K=hardest, scale_with_area=False, loss_th=threshold)
    wanted = np.mean([_by_hand(image, hardest, threshold) for image in losses])
    assert _value(record, losses) == pytest.approx(wanted, rel=1e-5)


def test_a_large_image_by_hand():
    losses = np.random.default_rng(0).exponential(0.3, (2, 4000))
    for hardest in (100, 1400, 1600, 3999):
        record = BootstrappedCrossEntropy(min_K=hardest, scale_with_area=False)
        wanted = np.mean([_by_hand(image, hardest, 0.3) for image in losses])
        assert _value(record, losses) == pytest.approx(wanted, rel=1e-4)


def test_the_pixel_after_the_k_th_decides():
    """Index K counted from 0: with K + 1 pixels above the threshold all of them count, with K of them only K."""
    record = BootstrappedCrossEntropy(min_K=2, scale_with_area=False, loss_th=0.3)
    assert _value(record, [[0.5, 0.4, 0.31, 0.1]]) == pytest.approx((0.5 + 0.4 + 0.31) / 3, rel=1e-5)
    assert _value(record, [[0.5, 0.4, 0.29, 0.1]]) == pytest.approx((0.5 + 0.4) / 2, rel=1e-5)


@pytest.mark.parametrize(("size", "wanted"), [((1024, 1024), 4096), ((512, 512), 1024), ((256, 256), 256), ((1, 1), 1)])
def test_k_scales_with_the_crop(size, wanted):
    height, width = size
    assert BootstrappedCrossEntropy().hardest(height=height, width=width) == wanted
    assert BootstrappedCrossEntropy(scale_with_area=False).hardest(height=height, width=width) == 4096


def test_k_that_scales_is_used():
    """16 x 16 pixels of 1024 x 1024: K = 4096 becomes 1, and the hardest pixel alone counts."""
    losses = np.full(256, 0.1)
    losses[77] = 0.25
    logits = _logits(losses[None]).reshape(1, 2, 16, 16)
    target = torch.zeros((1, 16, 16), dtype=torch.int64)
    nothing = torch.zeros_like(target, dtype=torch.bool)
    assert float(BootstrappedCrossEntropy()(Output(logits), target, nothing)) == pytest.approx(0.25, rel=1e-5)
    fixed = BootstrappedCrossEntropy(scale_with_area=False)
    assert float(fixed(Output(logits), target, nothing)) == pytest.approx(losses.mean(), rel=1e-5)


def test_ignored_pixels_are_no_zeros_in_the_mean():
    """The published rule counts them as 0 where an image has fewer than K others."""
    record = BootstrappedCrossEntropy(min_K=4, scale_with_area=False)
    ignored = [[False, True, True, False, True]]
    assert _value(record, [[0.2, 5.0, 5.0, 0.1, 5.0]], ignored) == pytest.approx(0.15, rel=1e-5)


def test_an_image_without_counted_pixels_leaves_the_mean():
    record = BootstrappedCrossEntropy(min_K=1, scale_with_area=False, loss_th=9)
    losses = [[0.2, 0.5], [4.0, 4.0]]
    assert _value(record, losses, [[False, False], [True, True]]) == pytest.approx(0.5, rel=1e-5)


def test_the_sum_in_place_of_the_mean():
    record = BootstrappedCrossEntropy(min_K=2, scale_with_area=False, size_average=False)
    assert _value(record, [[0.5, 0.4, 0.2], [0.1, 0.2, 0.1]]) == pytest.approx((0.9 + 0.3) / 2, rel=1e-5)


def test_equal_pixels_share_the_last_places():
    """Of three equal ones two have a place: the mean is theirs, and each has the same gradient."""
    logits = _logits([[0.5, 0.2, 0.2, 0.2]]).requires_grad_()
    target = torch.zeros((1, 1, 4), dtype=torch.int64)
    record = BootstrappedCrossEntropy(min_K=3, scale_with_area=False, loss_th=9)
    value = record(Output(logits), target, torch.zeros_like(target, dtype=torch.bool))
    value.backward()
    assert value.item() == pytest.approx(0.3, rel=1e-5)
    shares = logits.grad[0, 0, 0, 1:]
    assert bool((shares != 0).all())
    assert torch.equal(shares, shares[:1].expand(3))


def test_all_pixels_are_cross_entropy(batch):
    logits, target, ignored = batch()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    record = BootstrappedCrossEntropy(min_K=1000, scale_with_area=False)
    each = [CrossEntropy()(Output(logits[[one]]), target[[one]], ignored[[one]], weights) for one in range(len(logits))]
    torch.testing.assert_close(record(Output(logits), target, ignored, weights), torch.stack(each).mean())


def test_class_weights_do_not_choose_the_pixels():
    """The threshold is a probability, whatever a class weighs."""
    logits = torch.cat((_logits([[0.5]]), _logits([[0.4]]).flip(1)), dim=3)
    target = torch.tensor([[[0, 1]]])
    record = BootstrappedCrossEntropy(min_K=1, scale_with_area=False, loss_th=9)
    nothing = torch.zeros_like(target, dtype=torch.bool)
    value = record(Output(logits), target, nothing, torch.tensor([1.0, 100.0]))
    assert float(value) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("settings", [{"min_K": 0}, {"loss_th": -0.1}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        BootstrappedCrossEntropy(**settings)
