"""Settings to begin with."""

from dataclasses import replace
from pathlib import Path

import pytest

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.recognise.proposals import propose
from terrazzo.data.recognise.survey import Survey
from terrazzo.data.settings import SplitSettings
from terrazzo.data.sources.source import Pair
from terrazzo.data.splitting.splits import assign_splits
from terrazzo.geo.bands import Band, Bands


def found(*, images=40, side=512, shares=None, split=None, regions=1):
    names = [f"i{number}" for number in range(images)]
    places = [None if regions < 2 else f"r{number % regions}" for number in range(images)]
    pairs = tuple(Pair(name, Path("a"), split=split, region=place) for name, place in zip(names, places, strict=True))
    entries = tuple(ImageEntry(name, Path("a"), None, (), None, None, side, side + 9) for name in names[:24])
    return Survey(
        pairs=pairs,
        entries=entries,
        bands=Bands(items=(Band(name="x"),)),
        shares=shares or {"a": 0.6, "b": 0.4},
        ignored=0.0,
        every_pixel=True,
    )


@pytest.mark.parametrize(
    ("side", "patch", "batch"),
    [(2448, 512, 4), (1024, 512, 4), (1023, 256, 8), (300, 256, 8), (128, 128, 16), (20, 32, 16)],
)
def test_patches_fit_images_and_batches_memory(side, patch, batch):
    proposal = propose(found(side=side, images=400), above=True)
    assert (proposal.patch.value, proposal.batch_size.value) == (patch, batch)


@pytest.mark.parametrize("images", [2, 3, 5, 17, 29, 30, 100])
def test_every_role_has_images(images):
    survey = found(images=images)
    split = SplitSettings.model_validate(propose(survey, above=True).split.value)
    given, notes = assign_splits(survey.pairs, split)
    counts = {role: sum(pair.split == role for pair in given) for role in split.fractions}
    assert notes == []
    for role, share in split.fractions.items():
        assert abs(counts[role] - share * images) < max(1, 0.1 * images)
    assert ("test" in counts) == (images >= 30)


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        (3, {"train": ["r0", "r1"], "val": ["r2"]}),
        (5, {"train": ["r0", "r1", "r2"], "val": ["r3"], "test": ["r4"]}),
    ],
)
def test_places_are_kept_together(regions, expected):
    proposal = propose(found(regions=regions), above=True)
    assert proposal.split.value == {"regions": expected}
    assert proposal.evaluate.value == (["val", "test"] if "test" in expected else ["val"])


def test_one_image_is_divided_into_blocks():
    proposal = propose(found(images=1, side=1000), above=True)
    assert proposal.split.value["blocks"]["size_pixels"] == 250
    assert proposal.patch.value == 128


def test_images_that_overlap_are_divided_into_blocks_too():
    apart = found(images=6, side=1000)
    proposal = propose(replace(apart, overlap=0.2), above=True)
    assert proposal.split.value["blocks"]["size_pixels"] == 1000
    assert proposal.patch.value == 256
    assert set(propose(replace(apart, overlap=0.005), above=True).split.value) == {"fractions", "seed"}


def test_roles_that_the_layout_says_stay():
    assert propose(found(split="val"), above=True).split.value is None
    assert set(propose(found(split="train"), above=True).split.value) == {"fractions", "seed"}


@pytest.mark.parametrize(
    ("shares", "loss", "weights", "sampling"),
    [
        ({"a": 0.5, "b": 0.5}, "ce", "none", "uniform"),
        ({"a": 0.95, "b": 0.05}, "sum", "none", "uniform"),
        ({"a": 0.995, "b": 0.005}, "sum", "none", "balanced"),
        ({"a": 0.6, "b": 0.38, "c": 0.02}, "ce", "median", "uniform"),
        ({"a": 0.6, "b": 0.3, "c": 0.1, "never": 0.0}, "ce", "none", "uniform"),
        ({"a": 0.7, "b": 0.299, "c": 0.001}, "ce", "median", "balanced"),
    ],
)
def test_imbalance(shares, loss, weights, sampling):
    proposal = propose(found(shares=shares), above=True)
    name = proposal.loss.value if isinstance(proposal.loss.value, str) else proposal.loss.value["name"]
    assert (name, proposal.class_weights.value, proposal.sampling.value) == (loss, weights, sampling)


def test_epochs_fall_as_data_grows():
    epochs = [propose(found(images=images), above=True).epochs.value for images in (10, 200, 1000, 20_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert (epochs[0], epochs[-1]) == (200, 20)


def test_views_with_an_up_and_down_are_not_turned():
    assert propose(found(), above=True).augment.value == "light"
    assert propose(found(), above=False).augment.value == "safe"


def test_every_choice_says_why():
    proposal = propose(found(), above=True)
    assert all(len(choice.why) > 10 for choice in vars(proposal).values())
