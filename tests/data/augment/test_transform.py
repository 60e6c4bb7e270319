from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from terrazzo.data.augment.transform import (
    AUGMENTATIONS,
    PositiveRange,
    Range,
    Transform,
    chance,
    uniform,
    uniform_ratio,
)
from terrazzo.data.sample import Sample
from terrazzo.geo.grid import Window

REQUIRED = {"resize": {"height": 9, "width": 14}}
NAMES = AUGMENTATIONS.names()
KEEPS_SIZE = [name for name in NAMES if name != "resize"]
RADIOMETRY = ["brightness", "contrast", "gamma", "noise", "blur", "band_dropout"]


def create(name: str, **settings) -> Transform:
    record = AUGMENTATIONS.create(name, **{**REQUIRED.get(name, {}), **settings})
    assert isinstance(record, Transform)
    return record


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(one: Sample, other: Sample) -> bool:
    return all(torch.equal(vars(one)[name], vars(other)[name]) for name in ("image", "target", "valid"))


def random_sample(height: int, width: int, bands: int, ignore: int, seed: int = 0) -> Sample:
    draw = generator(seed)
    valid = torch.rand(height, width, generator=draw) > 0.2
    target = torch.randint(0, 5, (height, width), generator=draw)
    target[~valid | (torch.rand(height, width, generator=draw) < 0.2)] = ignore
    image = torch.randn(bands, height, width, generator=draw) * valid
    return Sample(image, target, valid, 0, Window(0, 0, height, width))


def test_the_families_names_are_all_there():
    assert AUGMENTATIONS.names() == sorted([
        "hflip", "vflip", "dihedral", "affine", "scale_crop", "resize", *RADIOMETRY,
    ])  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_record_is_named_as_its_table_says_and_survives_a_dump(name):
    record = create(name)
    assert record.name == name
    assert type(record).model_validate(record.model_dump(mode="json")) == record
    assert all(field.description for field in type(record).model_fields.values())


@pytest.mark.parametrize("name", KEEPS_SIZE)
def test_probability_0_never_changes_and_draws_one_number_only(name):
    sample = random_sample(8, 8, 3, 255)
    for seed in range(20):
        draw = generator(seed)
        assert create(name, probability=0.0)(sample, draw, 255) is sample
        expected = generator(seed)
        chance(expected)
        assert chance(draw) == chance(expected)


@pytest.mark.parametrize("name", KEEPS_SIZE)
def test_probability_1_changes_a_sample_that_can_change(name):
    sample = random_sample(16, 16, 3, 255)
    changed = [not same(create(name, probability=1.0)(sample, generator(seed), 255), sample) for seed in range(24)]
    # The identity is one of the eight symmetries, so even at probability 1 some stay; all else must change.
    assert sum(changed) >= (12 if name == "dihedral" else 23)


@pytest.mark.parametrize("name", ["hflip", "brightness"])
def test_probability_is_a_frequency(name):
    sample = random_sample(4, 4, 2, 255)
    record = create(name, probability=0.3)
    draw = generator(5)
    share = sum(record(sample, draw, 255) is not sample for _ in range(2000)) / 2000
    assert 0.26 < share < 0.34


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (7, 12), (16, 16)])
@pytest.mark.parametrize("bands", [1, 2, 13])
@pytest.mark.parametrize("ignore", [255, 65535])
def test_conformance(name, shape, bands, ignore):
    sample = random_sample(*shape, bands, ignore, seed=bands)
    before = Sample(sample.image.clone(), sample.target.clone(), sample.valid.clone(), sample.row, sample.core)
    global_state = torch.random.get_rng_state()
    for seed in range(4):
        answer = create(name, probability=1.0)(sample, generator(seed), ignore)
        assert same(answer, create(name, probability=1.0)(sample, generator(seed), ignore)), "not reproducible"
        assert answer.image.shape == (bands, *answer.target.shape)
        assert answer.target.shape == answer.valid.shape == ((9, 14) if name == "resize" else shape)
        assert (answer.image.dtype, answer.target.dtype, answer.valid.dtype) == (
            torch.float32,
            torch.int64,
            torch.bool,
        )
        assert answer.image.isfinite().all()
        assert (answer.image[:, ~answer.valid] == 0).all()
        assert (answer.target[~answer.valid] == ignore).all(), "a missing pixel was given a class"
        assert set(answer.target.unique().tolist()) <= {*sample.target.unique().tolist(), ignore}
    assert same(sample, before), "the given sample was modified"
    assert torch.equal(torch.random.get_rng_state(), global_state), "the global generator was used"


@pytest.mark.parametrize("name", RADIOMETRY)
def test_radiometry_leaves_labels_and_validity_alone(name):
    sample = random_sample(9, 6, 4, 255)
    answer = create(name, probability=1.0)(sample, generator(2), 255)
    assert torch.equal(answer.target, sample.target)
    assert torch.equal(answer.valid, sample.valid)


@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**63 - 1), data_seed=st.integers(0, 99))
@settings(max_examples=120, deadline=None)
def test_an_ignored_pixel_never_becomes_a_class(name, seed, data_seed):
    """Labels only move: where all is ignored all stays so, and a class absent before is absent after."""
    sample = random_sample(11, 8, 2, 255, seed=data_seed)
    ignored = sample.with_pixels(sample.image, torch.full_like(sample.target, 255), sample.valid)
    record = create(name, probability=1.0)
    moved, all_ignored = (record(one, generator(seed), 255) for one in (sample, ignored))
    assert (all_ignored.target == 255).all()
    assert torch.equal(moved.valid, all_ignored.valid)
    # The same draw on a target that marks ignored pixels as a class of their own lands in the same places.
    marked = sample.with_pixels(sample.image, torch.where(sample.target == 255, 7, sample.target), sample.valid)
    places = record(marked, generator(seed), 255).target
    assert ((places == 7) | (places == 255)).equal(moved.target == 255)


@pytest.mark.parametrize("name", NAMES)
def test_an_invalid_sample_stays_invalid_and_empty(name):
    empty = Sample(
        torch.zeros(2, 6, 5), torch.full((6, 5), 255), torch.zeros(6, 5, dtype=torch.bool), 0, Window(0, 0, 6, 5)
    )
    answer = create(name, probability=1.0)(empty, generator(), 255)
    assert not answer.valid.any()
    assert (answer.image == 0).all()
    assert (answer.target == 255).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_bits_do_not_depend_on_the_number_of_threads(name):
    # Above torch's grain of 32768 elements a thread, and of a size that no vector width divides.
    sample = random_sample(211, 307, 3, 255)
    answers = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            answers.append(create(name, probability=1.0)(sample, generator(4), 255))
    finally:
        torch.set_num_threads(threads)
    assert same(answers[0], answers[1])
    assert same(answers[0], answers[2])


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_that_is_none_is_refused(bounds):
    with pytest.raises(ValidationError, match="low <= high"):
        TypeAdapter(Range).validate_python(bounds)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0)])
def test_a_factor_is_above_0(bounds):
    with pytest.raises(ValidationError, match="above 0"):
        TypeAdapter(PositiveRange).validate_python(bounds)


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_lies_in_0_to_1(probability):
    with pytest.raises(ValidationError, match="probability"):
        create("hflip", probability=probability)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError, match="degrees"):
        create("affine", degrees=5)


def test_draws_fill_their_range_and_stay_inside():
    draw = generator(1)
    values = [uniform((-2.0, 3.0), draw) for _ in range(4000)]
    assert -2.0 <= min(values) < -1.9
    assert 2.9 < max(values) <= 3.0
    assert abs(sum(values) / 4000 - 0.5) < 0.1


def test_ratios_are_as_likely_up_as_down():
    draw = generator(1)
    values = [uniform_ratio((0.5, 2.0), draw) for _ in range(4000)]
    assert 0.5 <= min(values) < 0.51
    assert 1.96 < max(values) <= 2.0
    assert 0.47 < sum(value < 1 for value in values) / 4000 < 0.53


def test_a_transform_without_apply_says_so():
    class Nothing(Transform):
        name: str = "nothing"
        """Does nothing."""

    with pytest.raises(NotImplementedError, match="Nothing has no apply"):
        Nothing(probability=1.0)(random_sample(2, 2, 1, 255), generator(), 255)


def test_a_sample_has_no_other_pixels_than_these():
    """`same` above compares all that a transform may change; `with_pixels` drops features of other pixels."""
    assert [field.name for field in fields(Sample)] == ["image", "target", "valid", "row", "core", "features"]
