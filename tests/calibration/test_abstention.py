"""Kept and wrong pixels are counted as a loop over them would, and the promise follows from these counts."""

import numpy as np
import pytest
import torch

from terrazzo.calibration.abstention import CONFIDENCES, AbstentionLosses, KeptCounts, KeptPixels
from terrazzo.calibration.record import Conditions, Origin
from terrazzo.errors import ConfigError

ORIGIN = Origin(
    split="calibrate",
    split_hash="0" * 64,
    images=1,
    date="2026-01-31",
    conditions=Conditions(
        window=16, stride=14, margin=0, blend="probabilities", views=("identity",), scales=(1.0,), steps=None
    ),
)


def image(
    seed: int, *, shape: tuple[int, int] = (13, 17), error: float = 0.5
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels that are wrong the more often the less sure they are."""
    generator = torch.Generator().manual_seed(seed)
    confidence = 1 - 0.5 * torch.rand(shape, generator=generator) ** 3
    target = torch.randint(0, 3, shape, generator=generator)
    wrong = torch.rand(shape, generator=generator) < 2 * error * (1 - confidence)
    ignored = torch.rand(shape, generator=generator) < 0.1
    number = torch.where(wrong, (target + 1) % 3, target)
    return confidence, number, torch.where(ignored, 255, target), ignored


def counts(*parts: tuple[torch.Tensor, ...]) -> KeptCounts:
    pixels = KeptPixels()
    for part in parts:
        pixels.add(*part)
    return pixels.counts()


def test_counts_are_those_of_comparing_every_pixel() -> None:
    confidence, number, target, ignored = image(0)
    found = counts((confidence, number, target, ignored))
    for position, threshold in enumerate(CONFIDENCES):
        kept = (confidence >= threshold) & ~ignored
        assert found.kept[position] == kept.sum()
        assert found.wrong[position] == (kept & (number != target)).sum()
    assert found.pixels == (~ignored).sum()


def test_pieces_add_up() -> None:
    parts = image(1)
    whole = counts(parts)
    pieces = counts(*(tuple(plane[rows] for plane in parts) for rows in (slice(0, 1), slice(1, 9), slice(9, 13))))
    np.testing.assert_array_equal(pieces.kept, whole.kept)
    np.testing.assert_array_equal(pieces.wrong, whole.wrong)


def test_an_image_loses_the_share_of_kept_pixels_that_are_wrong() -> None:
    found = AbstentionLosses.of({f"{seed}": counts(image(seed)) for seed in range(5)})
    confidence, number, target, ignored = image(3)
    position = 150
    kept = (confidence >= CONFIDENCES[position]) & ~ignored
    assert found.table.losses[3, position] == float((number != target)[kept].double().mean())
    assert (found.table.losses[:, 0] == 0).all()
    assert found.kept[0] == 0
    assert found.kept[-1] == found.pixels == sum(int((~image(seed)[3]).sum()) for seed in range(5))


def test_where_nothing_is_kept_nothing_is_lost() -> None:
    unsure = (torch.full((1, 1), 0.4), torch.tensor([[1]]), torch.tensor([[0]]), torch.tensor([[False]]))
    found = AbstentionLosses.of({"one": counts(unsure)})
    for threshold, loss in zip(CONFIDENCES, found.table.losses[0], strict=True):
        assert loss == (1.0 if threshold <= np.float32(0.4) else 0.0)


def test_images_without_a_labelled_pixel_are_left_out() -> None:
    nothing = tuple(torch.ones_like(part) if part.dtype == torch.bool else part for part in image(0))
    found = AbstentionLosses.of({"a": counts(nothing), "b": counts(image(1)), "c": KeptPixels().counts()})
    assert found.table.images == ("b",)
    with pytest.raises(ConfigError, match="No image has a labelled pixel"):
        AbstentionLosses.of({"a": counts(nothing)})


@pytest.mark.parametrize("method", ["crc", "wsr", "ltt"])
def test_the_promise_says_what_was_found(method: str) -> None:
    found = AbstentionLosses.of({f"{seed}": counts(image(seed, shape=(40, 40))) for seed in range(150)})
    choice = found.choose(method=method, epsilon=0.08, delta=0.1)
    promise = found.promise(choice, ORIGIN)
    assert 0 < promise.least_confidence < 1
    assert 0 < promise.risk < promise.upper <= 0.08
    assert promise.grid == CONFIDENCES
    assert (promise.delta is None) == (method == "crc")
    shares, wrong = [], []
    for seed in range(150):
        confidence, number, target, ignored = image(seed, shape=(40, 40))
        kept = (confidence >= promise.least_confidence) & ~ignored
        shares.append((int(kept.sum()), int((~ignored).sum())))
        wrong.append(float((number != target)[kept].double().mean()))
    kept, pixels = np.array(shares).sum(axis=0)
    assert promise.kept == kept / pixels
    assert promise.risk == pytest.approx(np.mean(wrong), rel=1e-12)
    assert 0.3 < promise.kept < 1


@pytest.mark.parametrize("method", ["crc", "wsr", "ltt"])
def test_where_nothing_can_be_promised_the_map_abstains_everywhere(method: str) -> None:
    found = AbstentionLosses.of({f"{seed}": counts(image(seed, error=1.0)) for seed in range(3)})
    choice = found.choose(method=method, epsilon=0.01, delta=0.1)
    promise = found.promise(choice, ORIGIN)
    assert (promise.least_confidence, promise.kept, promise.risk) == (2.0, 0.0, 0.0)
    assert not choice.feasible
    assert choice.needed_images > 3
