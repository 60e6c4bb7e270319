"""Class sets are counted as a loop over pixels and classes would, and their promise follows from these counts."""

import numpy as np
import pytest
import torch

from terrazzo.calibration.record import Conditions, Origin
from terrazzo.calibration.sets import PROBABILITIES, SetCounts, SetLosses, SetPixels
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
    seed: int, *, shape: tuple[int, int] = (11, 7), classes: int = 4, second: float | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Calibrated probabilities, and labels drawn from them; of two classes the second may be chosen otherwise."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = (3 * torch.randn((classes, *shape), generator=generator)).softmax(0)
    drawn = torch.multinomial(probabilities.flatten(1).T, 1, generator=generator).reshape(shape)
    number = probabilities.argmax(0) if second is None else (probabilities[1] >= second).long()
    ignored = torch.rand(shape, generator=generator) < 0.1
    return probabilities, number, torch.where(ignored, 255, drawn), ignored


def counts(*parts: tuple[torch.Tensor, ...]) -> SetCounts:
    pixels = SetPixels()
    for part in parts:
        pixels.add(*part)
    return pixels.counts()


@pytest.mark.parametrize(("classes", "second"), [(4, None), (2, None), (2, 0.2), (2, 0.9)])
def test_counts_are_those_of_every_pixels_set(classes: int, second: float | None) -> None:
    probabilities, number, target, ignored = image(0, classes=classes, second=second)
    found = counts((probabilities, number, target, ignored))
    everyone = torch.arange(classes)[:, None, None]
    for position, least in enumerate(PROBABILITIES):
        member = (probabilities >= least) | (everyone == number)
        has = (member & (everyone == target)).any(0)
        assert found.members[position] == member[:, ~ignored].sum()
        assert found.missing[position] == (~has & ~ignored).sum()
    assert found.pixels == (~ignored).sum()


def test_pieces_add_up() -> None:
    parts = image(1)
    whole = counts(parts)
    pieces = counts(*(tuple(plane[..., rows, :] for plane in parts) for rows in (slice(0, 1), slice(1, 11))))
    np.testing.assert_array_equal(pieces.missing, whole.missing)
    np.testing.assert_array_equal(pieces.members, whole.members)


def test_losses_grow_from_nothing() -> None:
    found = SetLosses.of({f"{seed}": counts(image(seed)) for seed in range(20)})
    assert (found.table.losses[:, 0] == 0).all()
    assert (np.diff(found.table.losses, axis=1) >= 0).all()
    assert found.members[0] == 4 * found.pixels
    assert found.members[-1] >= found.pixels


def test_the_sets_say_what_was_found() -> None:
    images = {f"{seed}": counts(image(seed, shape=(30, 30))) for seed in range(60)}
    found = SetLosses.of(images)
    choice = found.choose(alpha=0.05)
    sets = found.sets(choice, ORIGIN)
    assert 0 < sets.least_probability < 0.5
    assert 0.02 < sets.missing <= 0.05
    assert 1 < sets.mean_size < 3
    position = PROBABILITIES.index(sets.least_probability)
    assert sets.missing == pytest.approx(np.mean([one.missing[position] / one.pixels for one in images.values()]))
    assert sets.grid == PROBABILITIES
    assert sets.upper == choice.uppers[position] <= 0.05
    # The next probability would miss too much.
    assert choice.uppers[position + 1] > 0.05


def test_new_images_miss_no_more_than_alpha_on_average() -> None:
    missing = []
    for draw in range(40):
        found = SetLosses.of({f"{seed}": counts(image(100 * draw + seed, shape=(6, 6))) for seed in range(12)})
        position = found.choose(alpha=0.2).position
        new = counts(image(100 * draw + 99, shape=(6, 6)))
        missing.append(new.missing[position] / new.pixels)
    assert np.mean(missing) <= 0.2 + 3 * np.std(missing) / np.sqrt(40)
    assert np.mean(missing) > 0.05


def test_too_few_images_leave_every_class_in_every_set() -> None:
    found = SetLosses.of({"a": counts(image(0)), "b": counts(image(1))})
    choice = found.choose(alpha=0.05)
    sets = found.sets(choice, ORIGIN)
    assert (sets.least_probability, sets.missing, sets.mean_size) == (0.0, 0.0, 4.0)
    assert not choice.feasible
    assert choice.needed_images >= 19


def test_images_without_a_labelled_pixel_are_left_out() -> None:
    empty = SetPixels().counts()
    assert SetLosses.of({"a": empty, "b": counts(image(1))}).table.images == ("b",)
    with pytest.raises(ConfigError, match="No image has a labelled pixel"):
        SetLosses.of({"a": empty})


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_alpha_is_a_share(alpha: float) -> None:
    with pytest.raises(ConfigError, match="epsilon"):
        SetLosses.of({"a": counts(image(0))}).choose(alpha=alpha)
