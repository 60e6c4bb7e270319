"""Intervals over images: equal to counting each resample anew, paired where two ways are compared."""

import json
import math

import numpy as np
import pytest
import torch

from terrazzo.bootstrap import interval, resampled_counts
from terrazzo.calibration.image_reliability import (
    ImageReliability,
    reliability_differences,
    reliability_intervals,
)
from terrazzo.calibration.reliability import Reliability
from terrazzo.errors import DataError

NAMES = ("ece", "classwise_ece", "brier", "nll", "accuracy", "confidence")


def counted(seed: int, *, classes: int = 3, temperature: float = 0.5, labels: int | None = None) -> Reliability:
    """Return the reliability of a small image that is overconfident below a temperature of 1, easier or harder."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((classes, 8, 9), generator=generator) * (1 + seed % 3)
    uniform = torch.rand(logits.shape, generator=generator).clamp_(1e-6, 1 - 1e-6)
    noisy = logits - uniform.log().neg().log()
    target = noisy[:labels].argmax(0)
    return Reliability.of(torch.softmax(logits / temperature, 0), target, target < 0, detail="binned")


def nothing() -> Reliability:
    return Reliability.zero(3, detail="binned")


def summaries(images: list[Reliability]) -> list[ImageReliability]:
    return [ImageReliability.of(image) for image in images]


def test_values_are_those_of_all_pixels_together() -> None:
    images = [counted(seed) for seed in range(6)]
    found = reliability_intervals(summaries(images))
    total = images[0]
    for image in images[1:]:
        total = total + image
    scores = total.scores()
    for name in NAMES:
        estimate = getattr(found, name)
        assert estimate.value == pytest.approx(getattr(scores, name), abs=1e-12), name
        assert estimate.low < estimate.high
    assert [one.value for one in found.classes] == pytest.approx([one.ece for one in scores.classes], abs=1e-12)
    assert found.images == 6


def test_intervals_are_those_of_counting_each_resample() -> None:
    images = [counted(seed) for seed in range(4)]
    found = reliability_intervals(summaries(images), draws=40, seed=3, level=0.8)
    drawn: dict[str, list[float]] = {name: [] for name in NAMES}
    for row in resampled_counts(4, draws=40, seed=3):
        total = nothing()
        for image, times in zip(images, row, strict=True):
            for _ in range(times):
                total = total + image
        scores = total.scores()
        for name in NAMES:
            drawn[name].append(getattr(scores, name))
    for name in NAMES:
        estimate = getattr(found, name)
        assert (estimate.low, estimate.high) == pytest.approx(interval(np.array(drawn[name]), level=0.8), abs=1e-12)


def test_differences_are_paired() -> None:
    before = summaries([counted(seed, temperature=0.4) for seed in range(12)])
    after = summaries([counted(seed, temperature=1.0) for seed in range(12)])
    found = reliability_differences(before, after)
    one, other = reliability_intervals(before), reliability_intervals(after)
    assert found.nll.value == pytest.approx(other.nll.value - one.nll.value)
    assert found.nll.high < 0
    # A temperature changes no class, and so no resample's accuracy.
    assert (found.accuracy.value, found.accuracy.low, found.accuracy.high) == (0, 0, 0)
    assert one.accuracy.high > one.accuracy.low
    same = reliability_differences(before, before)
    assert all((getattr(same, name).low, getattr(same, name).high) == (0, 0) for name in NAMES)


def test_images_without_labelled_pixels_take_no_part() -> None:
    images = [counted(seed) for seed in range(4)]
    bare = reliability_intervals(summaries(images))
    among = reliability_intervals(summaries([nothing(), *images[:2], nothing(), *images[2:]]))
    assert among == bare
    assert among.images == 4
    before, after = [nothing(), *images], [nothing(), *(counted(seed, temperature=1.0) for seed in range(4))]
    paired = reliability_differences(summaries(before), summaries(after))
    assert paired == reliability_differences(summaries(before[1:]), summaries(after[1:]))


@pytest.mark.parametrize("images", [[], [nothing()]])
def test_no_image_has_no_figure(images: list[Reliability]) -> None:
    found = reliability_intervals(summaries(images))
    assert math.isnan(found.ece.value)
    assert math.isnan(found.ece.low)
    assert found.images == 0
    assert reliability_differences(summaries(images), summaries(images)).images == 0


def test_a_single_image_has_no_interval() -> None:
    found = reliability_intervals(summaries([counted(1)]))
    assert found.ece.value == pytest.approx(counted(1).scores().ece, abs=1e-12)
    assert math.isnan(found.ece.low)
    assert math.isnan(found.ece.high)


def test_a_rare_class_is_judged_by_resamples_that_hold_it_and_an_absent_one_not_at_all() -> None:
    images = [counted(0, labels=2), counted(1, labels=1), counted(2, labels=1), counted(3, labels=1)]
    found = reliability_intervals(summaries(images))
    # One image alone holds the second class, so every resample that holds it says the same of it.
    assert found.classes[1].low == pytest.approx(found.classes[1].high)
    assert found.classes[1].value == pytest.approx(found.classes[1].low)
    assert math.isnan(found.classes[2].value)
    assert math.isnan(found.classes[2].low)
    assert not math.isnan(found.classwise_ece.low)


def test_json() -> None:
    plain = reliability_intervals(summaries([counted(1, labels=2)])).as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["ece"]["low"] is None
    assert plain["classes"][2] == {"value": None, "low": None, "high": None}


def test_the_class_shown_alone_is_not_enough() -> None:
    lean = Reliability.zero(3, detail="top")
    with pytest.raises(DataError, match='"binned" or "all"'):
        ImageReliability.of(lean)


def test_other_images_cannot_be_compared() -> None:
    one, other = summaries([counted(1)]), summaries([counted(2)])
    with pytest.raises(DataError, match="not the same labelled pixels"):
        reliability_differences(one, other)
    with pytest.raises(DataError, match="1 images before and 2 after"):
        reliability_differences(one, [*one, *one])
    with pytest.raises(DataError, match="different numbers of classes"):
        reliability_intervals([*one, ImageReliability.of(counted(1, classes=4))])
