import re

import pytest
import torch

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.dataset import PatchDataset
from terrazzo.data.features.names import VIEWS, ordered
from terrazzo.data.features.views import drawable, drawn, unsuited, viewed
from terrazzo.data.sample import PatchKey

GRID = torch.arange(6).reshape(2, 3)

EXPECTED = {
    "identity": GRID,
    "hflip": GRID.flip(1),
    "vflip": GRID.flip(0),
    "rot90": torch.rot90(GRID, 1, (0, 1)),
    "rot180": GRID.flip(0).flip(1),
    "rot270": torch.rot90(GRID, -1, (0, 1)),
    "transpose": GRID.T,
    "transverse": GRID.flip(0).flip(1).T,
}

SEEDS = range(400)


def augmentation(*transforms: object) -> Augmentation:
    return Augmentation.model_validate(list(transforms))


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_is_what_its_name_says(view):
    assert torch.equal(viewed(GRID, view), EXPECTED[view])
    assert torch.equal(viewed(GRID[None].repeat(2, 1, 1), view)[1], EXPECTED[view])


def test_views_have_one_order():
    assert ordered(["rot90", "identity", "rot90", "hflip"]) == ("identity", "hflip", "rot90")


@pytest.mark.parametrize(
    ("transforms", "expected"),
    [
        ([], ("identity",)),
        (["hflip"], ("identity", "hflip")),
        ([{"name": "hflip", "probability": 1}], ("hflip",)),
        ([{"name": "vflip", "probability": 0}], ("identity",)),
        (["hflip", "vflip"], ("identity", "hflip", "vflip", "rot180")),
        (["dihedral"], tuple(VIEWS)),
        ([{"name": "hflip", "probability": 1}, {"name": "hflip", "probability": 1}], ("identity",)),
        (["hflip", "blur"], None),
        ([{"name": "resize", "height": 4, "width": 4}], None),
        ([{"name": "brightness", "probability": 0}], None),
    ],
)
def test_what_an_augmentation_can_draw(transforms, expected):
    assert drawable(augmentation(*transforms)) == expected


def test_the_augmentation_draws_the_view_that_it_would_make_of_the_sample(make_prepared):
    """Online training and training from the cache see the same pixels."""
    prepared = make_prepared((16, 16))
    chosen = augmentation({"name": "hflip", "probability": 0.3}, "dihedral")
    plain = PatchDataset(prepared, normalisation=prepared.normalisation)[PatchKey(0, 0)]
    for seed in range(40):
        made = chosen(plain, seed=seed, ignore=255)
        view = drawn(tuple(VIEWS), chosen, seed)
        assert torch.equal(made.image, viewed(plain.image, view))
        assert torch.equal(made.target, viewed(plain.target, view))


def test_without_augmentation_cached_views_are_equally_likely_and_follow_from_the_seed():
    views = ("rot90", "identity", "hflip")
    found = [drawn(views, Augmentation(set="none"), seed) for seed in SEEDS]
    assert found == [drawn(("hflip", "rot90", "identity"), Augmentation(set="none"), seed) for seed in SEEDS]
    assert all(90 < found.count(view) < 180 for view in views)


@pytest.mark.parametrize(
    ("given", "views", "words"),
    [
        ("none", ["identity", "rot90"], ""),
        ("dihedral", list(VIEWS), ""),
        (["hflip"], ["hflip", "identity"], ""),
        (["hflip"], ["identity"], r"identity, hflip, but prepare.cache_views are identity"),
        (["hflip"], list(VIEWS), r"cache_views: \[identity, hflip\]"),
        ("safe", ["identity", "hflip"], "brightness, contrast cannot be made"),
        ([{"name": "resize", "height": 4, "width": 4}], ["identity"], "resize cannot be made"),
    ],
)
def test_what_the_cache_cannot_serve_is_told(given, views, words):
    said = unsuited(Augmentation.model_validate(given), views)
    assert re.search(words, said)
    assert bool(said) == bool(words)
