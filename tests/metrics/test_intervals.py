"""Intervals cover, p-values are uniform where nothing differs, and all figures are those of the confusion matrix."""

import json
import math
from itertools import product

import numpy as np
import pytest
import torch

from terrazzo.bootstrap import interval, resampled_counts
from terrazzo.errors import ModelError
from terrazzo.metrics import Confusion, Interval, confusion_intervals, paired_comparison


def images(seed, count=12, classes=3, pixels=400):
    """Confusion matrices of images that are differently hard; the last class is rare."""
    generator = np.random.default_rng(seed)
    return np.stack([matrix(generator, classes, pixels) for _ in range(count)])


def matrix(generator, classes, pixels, skill=4.0):
    shares = generator.dirichlet(np.linspace(2, 0.3, classes))
    labelled = generator.multinomial(pixels, shares)
    right = generator.dirichlet([skill, 1.0], size=classes)[:, 0]
    rows = []
    for one in range(classes):
        chances = np.full(classes, (1 - right[one]) / max(1, classes - 1))
        chances[one] = 1 - chances.sum() + chances[one]
        rows.append(generator.multinomial(labelled[one], chances))
    return np.stack(rows)


def answered(generator, labelled, skill):
    """Another answer to an image with so many labelled pixels of each class."""
    right = generator.binomial(labelled, generator.beta(skill, 2))
    found = np.diag(right)
    for one, wrong in enumerate(labelled - right):
        found[one, (one + 1) % len(labelled)] += wrong
    return found


def of_all(per_image):
    return Confusion(torch.from_numpy(per_image.sum(axis=0))).scores([str(one) for one in range(per_image.shape[1])])


@pytest.mark.parametrize("classes", [1, 2, 3, 7])
def test_values_are_those_of_the_confusion_matrix(classes):
    per_image = images(1, classes=classes)
    found, expected = confusion_intervals(per_image, draws=50), of_all(per_image)
    assert found.miou.value == pytest.approx(expected.miou, abs=1e-15)
    assert found.accuracy.value == expected.accuracy
    assert [one.iou.value for one in found.classes] == [one.iou for one in expected.classes]
    assert [one.f1.value for one in found.classes] == [one.f1 for one in expected.classes]
    assert found.f1.value == pytest.approx(np.mean([one.f1 for one in expected.classes]), abs=1e-15)
    assert [one.name for one in found.classes] == [str(one) for one in range(classes)]
    assert (found.images, found.draws, found.level) == (12, 50, 0.95)


def test_each_resample_is_scored_as_a_split_of_its_own():
    """Absent classes leave a resample's mean, and say nothing about their own score."""
    per_image = images(2, count=5, classes=4)
    per_image[1:, 3] = 0
    per_image[1:, :, 3] = 0
    found = confusion_intervals(per_image, draws=200, seed=3)
    scores = [of_all(np.repeat(per_image, counts, axis=0)) for counts in resampled_counts(5, draws=200, seed=3)]
    assert any("3" in score.absent for score in scores)
    for name, values in (
        ("miou", [score.miou for score in scores]),
        ("accuracy", [score.accuracy for score in scores]),
    ):
        one = getattr(found, name)
        assert (one.low, one.high) == pytest.approx(interval(np.array(values)), abs=1e-14)
    for number in range(4):
        iou = found.classes[number].iou
        assert (iou.low, iou.high) == pytest.approx(
            interval(np.array([score.classes[number].iou for score in scores])), abs=1e-14
        )


def test_a_class_that_never_occurs_has_no_score():
    per_image = images(3, classes=3)
    wider = np.pad(per_image, ((0, 0), (0, 1), (0, 1)))
    found = confusion_intervals(wider, ["a", "b", "c", "never"])
    assert all(math.isnan(value) for value in (found.classes[3].iou.value, found.classes[3].iou.low))
    assert found.miou == confusion_intervals(per_image, ["a", "b", "c"]).miou
    plain = found.as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["classes"][3] == {
        "name": "never",
        "iou": {"value": None, "low": None, "high": None},
        "f1": {"value": None, "low": None, "high": None},
    }


def test_one_image_has_an_interval_without_width():
    per_image = images(4, count=1)
    found = confusion_intervals(per_image)
    assert found.accuracy.low == found.accuracy.value == found.accuracy.high


def test_images_without_a_counted_pixel_give_no_score():
    found = confusion_intervals(np.zeros((3, 2, 2), dtype=np.int64))
    assert math.isnan(found.miou.value)
    assert math.isnan(found.accuracy.low)
    same = paired_comparison(*[np.zeros((3, 2, 2), dtype=np.int64)] * 2)
    assert math.isnan(same.miou.value)
    assert math.isnan(same.miou.p_value)
    assert same.as_dict()["miou"]["p_value"] is None


def test_the_level_and_the_seed_count():
    per_image = images(5, count=30)
    wide, narrow = (confusion_intervals(per_image, level=level).miou for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    assert confusion_intervals(per_image).miou == wide
    assert confusion_intervals(per_image, seed=1).miou != wide


def test_intervals_cover_what_they_estimate():
    """Of 300 samples of 60 images from one population about 95 % must hold its accuracy and mean IoU inside."""
    generator = np.random.default_rng(0)
    population = np.stack([matrix(generator, 3, 300) for _ in range(4000)])
    truth = of_all(population)
    covered = np.zeros(2)
    for _ in range(300):
        found = confusion_intervals(population[generator.integers(0, 4000, 60)], draws=200)
        covered += [
            found.accuracy.low <= truth.accuracy <= found.accuracy.high,
            found.miou.low <= truth.miou <= found.miou.high,
        ]
    # 0.95 but for the percentile method's and 60 images' shortfall; 300 samples leave a standard error of 0.013.
    assert ((covered / 300 > 0.89) & (covered / 300 < 0.99)).all(), covered


def test_equal_systems_do_not_differ():
    per_image = images(6)
    found = paired_comparison(per_image, per_image.copy())
    for one in (found.miou, found.accuracy):
        assert (one.value, one.low, one.high, one.p_value) == (0, 0, 0, 1)
    assert found.miou.first == found.miou.second == of_all(per_image).miou


def test_differences_are_those_of_the_confusion_matrices():
    generator = np.random.default_rng(7)
    first = images(7)
    second = np.stack([answered(generator, one.sum(axis=1), 3) for one in first])
    found = paired_comparison(first, second, seed=5)
    scores = of_all(first), of_all(second)
    assert (found.miou.first, found.miou.second) == pytest.approx((scores[0].miou, scores[1].miou))
    assert found.accuracy.value == scores[0].accuracy - scores[1].accuracy
    drawn = []
    for counts in resampled_counts(12, draws=1000, seed=5):
        pair = [of_all(np.repeat(one, counts, axis=0)) for one in (first, second)]
        drawn.append(pair[0].miou - pair[1].miou)
    assert (found.miou.low, found.miou.high) == pytest.approx(interval(np.array(drawn)), abs=1e-14)
    back = paired_comparison(second, first, seed=5)
    assert back.miou.value == -found.miou.value
    assert (back.miou.low, back.miou.high) == pytest.approx((-found.miou.high, -found.miou.low))
    assert back.accuracy.p_value == pytest.approx(found.accuracy.p_value, abs=0.03)
    plain = found.as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert (plain["images"], plain["draws"], plain["permutations"], plain["level"]) == (12, 1000, 10_000, 0.95)


def test_p_values_approach_those_of_all_exchanges():
    """Of 8 images there are 256 exchanges, all of which can be counted."""
    generator = np.random.default_rng(8)
    first = images(8, count=8)
    second = np.stack([answered(generator, one.sum(axis=1), 4) for one in first])
    observed = of_all(first).miou - of_all(second).miou
    far = 0
    for kept in product([True, False], repeat=8):
        mask = np.array(kept)[:, None, None]
        one, other = np.where(mask, first, second), np.where(mask, second, first)
        far += abs(of_all(one).miou - of_all(other).miou) >= abs(observed) - 1e-12
    found = paired_comparison(first, second).miou.p_value
    assert found == pytest.approx(far / 256, abs=0.02)
    assert 0.02 < found < 0.98


def test_p_values_are_uniform_where_nothing_differs():
    """Two answers of equal skill to each image, 300 times."""
    generator = np.random.default_rng(9)
    found = []
    for _ in range(300):
        labelled = generator.multinomial(300, [0.5, 0.3, 0.2], size=15)
        pair = [np.stack([answered(generator, one, 6) for one in labelled]) for _ in range(2)]
        compared = paired_comparison(*pair, draws=2, permutations=199)
        found.append([compared.miou.p_value, compared.accuracy.p_value])
    p_values = np.array(found)
    for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9):
        share = (p_values <= level).mean(axis=0)
        # Three standard errors of 300 samples.
        assert (np.abs(share - level) < 3 * math.sqrt(level * (1 - level) / 300)).all(), (level, share)


def test_a_clear_difference_has_the_smallest_p_value():
    generator = np.random.default_rng(10)
    labelled = generator.multinomial(300, [0.5, 0.3, 0.2], size=30)
    pair = [np.stack([answered(generator, one, skill) for one in labelled]) for skill in (30, 2)]
    found = paired_comparison(*pair)
    assert found.miou.p_value == found.accuracy.p_value == 1 / 10_001
    assert 0 < found.miou.low < found.miou.value < found.miou.high


def test_other_labels_are_no_pair():
    first = images(11)
    with pytest.raises(ModelError, match="12 confusion matrices of 3 classes cannot be compared with 11 of 3"):
        paired_comparison(first, first[:11])
    with pytest.raises(ModelError, match="of 3 classes cannot be compared with 12 of 4"):
        paired_comparison(first, images(11, classes=4))
    turned = first[::-1].copy()
    with pytest.raises(ModelError, match=r"labels of \d+ of 12 images differ .* the first at position 0"):
        paired_comparison(first, turned)


def test_nothing_is_no_sample():
    nothing = np.zeros((0, 2, 2), dtype=np.int64)
    with pytest.raises(ModelError, match="at least one image"):
        confusion_intervals(nothing)
    with pytest.raises(ModelError, match="at least one image"):
        paired_comparison(nothing, nothing)
    with pytest.raises(ModelError, match="1 class names"):
        confusion_intervals(images(1), ["alone"])


def test_without_draws_there_is_no_interval():
    found = confusion_intervals(images(1), draws=0).miou
    assert isinstance(found, Interval)
    assert found.value > 0
    assert math.isnan(found.low)
