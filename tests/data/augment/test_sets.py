import pytest
import torch
from pydantic import ValidationError

from terrazzo.data.augment.geometry import Affine, HorizontalFlip, Resize
from terrazzo.data.augment.radiometry import Noise
from terrazzo.data.augment.sets import SETS, Augmentation
from terrazzo.data.sample import Sample
from terrazzo.geo.grid import Window


def pixels_equal(one: Sample, other: Sample) -> bool:
    return all(torch.equal(vars(one)[name], vars(other)[name]) for name in ("image", "target", "valid"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("light", Augmentation(set="light")),
        ({}, Augmentation(set="safe")),
        ({"set": "hard"}, Augmentation(set="hard")),
        ([], Augmentation(set="none")),
        (["hflip"], Augmentation(set="none", transforms=(HorizontalFlip(),))),
        (
            {"set": "light", "transforms": ["hflip", {"name": "noise", "probability": 1.0}]},
            Augmentation(set="light", transforms=(HorizontalFlip(), Noise(probability=1.0))),
        ),
        ({"transforms": [Affine(scale=(2, 3))]}, Augmentation(set="safe", transforms=(Affine(scale=(2, 3)),))),
    ],
)
def test_every_short_form_means_one_record_and_survives_a_dump(given, expected):
    record = Augmentation.model_validate(given)
    assert record == expected
    assert Augmentation.model_validate(record.model_dump(mode="json")) == record
    assert Augmentation.model_validate(record.model_dump()) == record
    assert Augmentation.model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lihgt", "set"),
        ({"set": "light", "probability": 1}, "probability"),
        (["hflop"], "hflip"),
        ([{"name": "affine", "rotate": [5, -5]}], "low <= high"),
        ([{"name": "resize", "height": 4, "width": 4}, {"name": "resize", "height": 8, "width": 8}], "once"),
        (7, "dictionary"),
    ],
)
def test_a_mistake_is_named(given, message):
    with pytest.raises(ValidationError, match=message):
        Augmentation.model_validate(given)


def test_the_documented_sets_exist_and_the_schema_offers_them():
    *_, whole = Augmentation.model_json_schema()["anyOf"]
    offered = whole["properties"]["set"]["enum"]
    assert sorted(offered) == sorted(SETS) == ["dihedral", "hard", "light", "medium", "none", "safe"]


def test_the_sets_transforms_come_before_the_listed_ones():
    record = Augmentation(set="safe", transforms=(Noise(),))
    assert record.steps == (*SETS["safe"], Noise())


def test_safe_never_turns_a_street_upside_down(located):
    sample = located(6, 6)
    for seed in range(40):
        answer = Augmentation(set="safe")(sample, seed=seed, ignore=65535)
        assert torch.equal(answer.target.div(6, rounding_mode="floor"), sample.target.div(6, rounding_mode="floor"))
        assert answer.valid.all()


@pytest.mark.parametrize("name", ["dihedral", "light"])
def test_mild_sets_lose_no_label(located, name):
    sample = located(7, 7)
    for seed in range(20):
        answer = Augmentation(set=name)(sample, seed=seed, ignore=65535)
        assert sorted(answer.target.flatten().tolist()) == list(range(49))


def test_stronger_sets_change_values_more(located):
    sample = located(16, 16)
    sample = sample.with_pixels(
        torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0)), sample.target, sample.valid
    )
    changes = []
    for name in ("none", "safe", "light", "medium", "hard"):
        difference = 0.0
        for seed in range(120):
            answer = Augmentation(set=name)(sample, seed=seed, ignore=65535)
            difference += float((answer.image[:, answer.valid].std() - sample.image.std()).abs())
        changes.append(difference)
    assert changes[0] == 0
    assert changes == sorted(changes)


@pytest.mark.parametrize("name", sorted(SETS))
def test_a_set_is_a_function_of_the_seed_alone(located, name):
    sample = located(12, 12, bands=4, invalid=0.1)
    record = Augmentation(set=name)
    first = [record(sample, seed=seed, ignore=65535) for seed in range(10)]
    state = torch.random.get_rng_state()
    torch.manual_seed(99)
    again = [record(sample, seed=seed, ignore=65535) for seed in reversed(range(10))]
    torch.random.set_rng_state(state)
    assert all(pixels_equal(one, other) for one, other in zip(first, reversed(again), strict=True))
    assert name == "none" or any(not pixels_equal(first[0], other) for other in first[1:])


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (9, 4)])
def test_sets_take_any_size_and_any_number_of_bands(located, name, shape):
    for bands in (2, 11):
        answer = Augmentation(set=name)(located(*shape, bands=bands, invalid=0.3), seed=5, ignore=65535)
        assert answer.image.shape == (bands, *shape)
        assert answer.image.isfinite().all()


def test_an_augmented_sample_has_no_core_left_to_count(located):
    sample = located(8, 8)
    assert Augmentation(set="none")(sample, seed=0, ignore=65535).core == Window(0, 0, 8, 8)
    for name in sorted(set(SETS) - {"none"}):
        core = Augmentation(set=name)(sample, seed=0, ignore=65535).core
        assert core.height == core.width == 0


def test_the_explicit_resize_can_be_found():
    resize = Resize(height=4, width=6)
    assert Augmentation(set="hard", transforms=(Noise(), resize)).resize == resize
    assert Augmentation(set="hard").resize is None
