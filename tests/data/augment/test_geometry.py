import math

import pytest
import torch
from pydantic import ValidationError

from terrazzo.data.augment.geometry import (
    Affine,
    Dihedral,
    HorizontalFlip,
    Resize,
    ScaleCrop,
    VerticalFlip,
    symmetry,
)
from terrazzo.data.sample import Sample
from terrazzo.geo.grid import Window

IGNORE = 65535


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def check_aligned(source: Sample, answer: Sample, *, tolerance: float) -> None:
    """Image, target and validity of each pixel come from one place of a `located` sample."""
    height, width = source.target.shape
    inside = answer.target != IGNORE
    number = answer.target[inside]
    assert torch.equal(answer.valid[inside], source.valid.flatten()[number])
    assert not answer.valid[~inside].any()
    y, x = answer.image[0] - 1, answer.image[1] - 1
    seen = answer.valid
    number = answer.target[seen]
    assert ((y[seen] - number.div(width, rounding_mode="floor")).abs() <= tolerance).all()
    assert ((x[seen] - number % width).abs() <= tolerance).all()
    assert 0 <= float(y[seen].min()) <= float(y[seen].max()) <= height - 1 + 1e-3


@pytest.mark.parametrize("record", [HorizontalFlip(probability=1.0), VerticalFlip(probability=1.0), Dihedral()])
@pytest.mark.parametrize("shape", [(17, 17), (6, 9), (1, 4)])
def test_flips_move_pixels_exactly(located, record, shape):
    sample = located(*shape, invalid=0.2)
    for seed in range(12):
        answer = record(sample, generator(seed), IGNORE)
        check_aligned(sample, answer, tolerance=0.0)
        assert sorted(answer.target.flatten().tolist()) == list(range(shape[0] * shape[1]))


def test_each_flip_mirrors_its_own_axis(located):
    sample = located(2, 3)
    mirrored = HorizontalFlip(probability=1.0)(sample, generator(), IGNORE)
    assert mirrored.target.tolist() == [[2, 1, 0], [5, 4, 3]]
    upside_down = VerticalFlip(probability=1.0)(sample, generator(), IGNORE)
    assert upside_down.target.tolist() == [[3, 4, 5], [0, 1, 2]]


def test_the_eight_symmetries_differ_and_form_a_group():
    square = torch.arange(9).reshape(3, 3)
    elements = {tuple(symmetry(square, element).flatten().tolist()): element for element in range(8)}
    assert len(elements) == 8
    table = [
        [elements[tuple(symmetry(symmetry(square, first), second).flatten().tolist())] for second in range(8)]
        for first in range(8)
    ]
    assert table[0] == list(range(8))
    assert all(sorted(row) == list(range(8)) for row in table), "not closed, or without inverses"
    assert any(table[first][second] != table[second][first] for first in range(8) for second in range(8))


def test_all_eight_symmetries_occur_equally_often(located):
    sample = located(5, 5)
    draw = generator(3)
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(1600):
        corner = tuple(Dihedral()(sample, draw, IGNORE).target.flatten().tolist())
        seen[corner] = seen.get(corner, 0) + 1
    assert len(seen) == 8
    assert min(seen.values()) > 150


def test_a_rectangle_keeps_its_shape_and_meets_its_four_symmetries(located):
    sample = located(4, 6)
    answers = [Dihedral()(sample, generator(seed), IGNORE) for seed in range(40)]
    assert {tuple(answer.target.shape) for answer in answers} == {(4, 6)}
    assert len({tuple(answer.target.flatten().tolist()) for answer in answers}) == 4


def still(**settings) -> Affine:
    nothing = {"rotate": (0, 0), "shear": (0, 0), "scale": (1, 1), "translate": (0, 0)}
    return Affine(probability=1.0, **{**nothing, **settings})


@pytest.mark.parametrize("shape", [(17, 17), (6, 9), (1, 1), (1, 5)])
def test_an_affine_map_that_does_nothing_changes_nothing(located, shape):
    sample = located(*shape, invalid=0.2)
    answer = still()(sample, generator(), IGNORE)
    assert torch.equal(answer.target, sample.target)
    assert torch.equal(answer.valid, sample.valid)
    assert torch.allclose(answer.image, sample.image, atol=1e-3)


@pytest.mark.parametrize("size", [8, 9])
def test_a_quarter_turn_is_the_symmetry_of_that_name(located, size):
    sample = located(size, size)
    answer = still(rotate=(90, 90))(sample, generator(), IGNORE)
    assert torch.equal(answer.target, symmetry(sample.target, 1))
    assert torch.allclose(answer.image, symmetry(sample.image, 1), atol=1e-3)


def test_a_shift_moves_down_and_right_and_leaves_ignored_pixels_behind(located):
    sample = located(8, 8)
    answer = still(translate=(0.25, 0.25))(sample, generator(), IGNORE)
    assert torch.equal(answer.target[2:, 2:], sample.target[:6, :6])
    assert (answer.target[:2] == IGNORE).all()
    assert (answer.target[:, :2] == IGNORE).all()
    assert not answer.valid[:2].any()
    assert (answer.image[:, :2] == 0).all()


def test_a_scale_above_1_enlarges_about_the_centre(located):
    answer = still(scale=(2, 2))(located(9, 9), generator(), IGNORE)
    assert answer.target[4, 4] == 4 * 9 + 4
    assert answer.valid.all()
    assert torch.allclose(answer.image[0, :, 4] - 1, torch.arange(9) / 2 + 2, atol=1e-3)


def test_a_shear_leans_columns_to_the_right(located):
    answer = still(shear=(45, 45))(located(9, 9), generator(), IGNORE)
    for row in range(1, 8):
        # A column's lower part moves left, its upper part right.
        assert answer.target[row, 4] == row * 9 + row


@pytest.mark.parametrize("invalid", [0.0, 0.3])
def test_affine_maps_move_image_target_and_mask_together(located, invalid):
    sample = located(23, 31, invalid=invalid)
    record = Affine(probability=1.0, rotate=(-60, 60), shear=(-20, 20), scale=(0.7, 1.5), translate=(-0.2, 0.2))
    for seed in range(25):
        # Half a pixel to the nearest; among the valid neighbours alone, less than a whole one.
        check_aligned(sample, record(sample, generator(seed), IGNORE), tolerance=0.501 if invalid == 0 else 1.0)


@pytest.mark.parametrize("record", [Affine(probability=1.0, rotate=(-40, 40)), ScaleCrop(probability=1.0)])
def test_the_fill_of_invalid_pixels_never_bleeds_into_valid_ones(record):
    generator_of_mask = generator(9)
    valid = torch.rand(32, 32, generator=generator_of_mask) > 0.3
    sample = Sample(torch.full((2, 32, 32), 5.0) * valid, valid.long(), valid, 0, Window(0, 0, 32, 32))
    for seed in range(20):
        answer = record(sample, generator(seed), IGNORE)
        assert answer.valid.any()
        assert torch.allclose(answer.image[:, answer.valid], torch.tensor(5.0), atol=1e-4)
        assert (answer.target[answer.valid] == 1).all()


def test_drawn_parameters_stay_in_their_ranges(located):
    """A turn is read back from where the pixel right of the centre came from."""
    sample = located(41, 41)
    angles = []
    for seed in range(60):
        answer = still(rotate=(10, 30))(sample, generator(seed), IGNORE)
        up, right = 20 - (answer.image[0, 20, 30] - 1), (answer.image[1, 20, 30] - 1) - 20
        angles.append(-math.degrees(math.atan2(up, right)))
    assert 9.9 < min(angles) < 15
    assert 25 < max(angles) < 30.1


def test_a_shear_of_a_right_angle_is_refused():
    with pytest.raises(ValidationError, match="between -90 and 90"):
        Affine(shear=(0.0, 90.0))


@pytest.mark.parametrize("shape", [(16, 16), (15, 22), (1, 1)])
@pytest.mark.parametrize("invalid", [0.0, 0.3])
def test_a_scaled_crop_keeps_size_and_alignment(located, shape, invalid):
    sample = located(*shape, invalid=invalid)
    for seed in range(25):
        answer = ScaleCrop(probability=1.0, scale=(0.5, 2.0))(sample, generator(seed), IGNORE)
        assert answer.target.shape == shape
        check_aligned(sample, answer, tolerance=1.1 if invalid == 0 else 2.0)


def test_a_scaled_crop_shows_every_scale_and_place(located):
    sample = located(20, 20)
    shares, corners = [], set()
    for seed in range(200):
        answer = ScaleCrop(probability=1.0, scale=(0.5, 2.0))(sample, generator(seed), IGNORE)
        shares.append(float(answer.valid.float().mean()))
        if shares[-1] < 1:
            corners.add(tuple(answer.valid.nonzero()[0].tolist()))
    assert 0.25 <= min(shares) < 0.3
    assert 0.55 < sum(share == 1 for share in shares) / 200 < 0.78
    assert len(corners) > 15


def test_a_scale_of_1_is_the_sample(located):
    sample = located(9, 13, invalid=0.2)
    answer = ScaleCrop(probability=1.0, scale=(1.0, 1.0))(sample, generator(), IGNORE)
    assert torch.equal(answer.target, sample.target)
    assert torch.allclose(answer.image, sample.image, atol=1e-5)


def test_resize_always_happens_and_draws_nothing(located):
    sample = located(12, 10, invalid=0.1)
    record = Resize(height=30, width=25)
    answers = [record(sample, generator(seed), IGNORE) for seed in (0, 1)]
    assert torch.equal(answers[0].image, answers[1].image)
    assert answers[0].target.shape == (30, 25)
    check_aligned(sample, answers[0], tolerance=1.0)
    with pytest.raises(ValidationError, match="probability"):
        Resize(height=3, width=3, probability=0.5)
    with pytest.raises(ValidationError, match="height"):
        Resize(height=0, width=3)


def test_evaluation_sees_the_pixels_that_training_sees(located):
    record = Resize(height=7, width=19)
    samples = [located(12, 10, invalid=0.2, seed=seed) for seed in (1, 2)]
    trained = [record(sample, generator(), IGNORE) for sample in samples]
    image, valid = record.forward(
        torch.stack([sample.image for sample in samples]), torch.stack([sample.valid for sample in samples])
    )
    for position in (0, 1):
        assert torch.equal(image[position], trained[position].image)
        assert torch.equal(valid[position], trained[position].valid)


@pytest.mark.parametrize(("size", "resized"), [((12, 10), (24, 20)), ((7, 9), (14, 27)), ((1, 1), (4, 4))])
def test_undoing_an_enlargement_gives_the_classes_back(size, resized):
    classes = torch.randint(0, 4, size, generator=generator(2))
    logits = torch.nn.functional.one_hot(classes, 4).permute(2, 0, 1)[None].float()
    grown = torch.nn.functional.interpolate(logits, size=resized, mode="nearest-exact")
    undone = Resize(height=resized[0], width=resized[1]).undo(grown, size)
    assert undone.shape == logits.shape
    assert torch.equal(undone.argmax(1)[0], classes)


def test_undoing_nothing_is_nothing():
    logits = torch.randn(2, 3, 5, 4)
    assert Resize.undo(logits, (5, 4)) is logits
