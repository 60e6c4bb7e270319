import pytest
import torch
from torch.nn.functional import interpolate

from terrazzo.data.augment.sampling import at_positions, nearest_indices, resized_image, resized_sample
from terrazzo.data.sample import Sample
from terrazzo.geo.grid import Window

IGNORE = 255


def places(sample: Sample, y: float, x: float) -> Sample:
    one = torch.ones(1, 1, dtype=torch.float64)
    return at_positions(sample, one * y, one * x, IGNORE)


def hand_made() -> Sample:
    image = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]])
    valid = torch.tensor([[True, True], [True, False]])
    return Sample(image, torch.tensor([[10, 11], [12, IGNORE]]), valid, 0, Window(0, 0, 2, 2))


@pytest.mark.parametrize(
    ("y", "x", "value", "target"),
    [
        (0.0, 0.0, 1.0, 10),
        (0.0, 0.25, 1.25, 10),
        (0.25, 0.0, 1.5, 10),
        # Weights 9, 3 and 3 of 16; the fourth neighbour is invalid, so they are counted as 9, 3 and 3 of 15.
        (0.25, 0.25, (9 * 1 + 3 * 2 + 3 * 3) / 15, 10),
        # Outside the outer centres the border pixel itself is meant.
        (-0.4, 0.0, 1.0, 10),
        (0.0, 1.4, 2.0, 11),
    ],
)
def test_a_read_value_is_the_mean_of_the_valid_neighbours(y, x, value, target):
    answer = places(hand_made(), y, x)
    assert answer.image.item() == pytest.approx(value, abs=1e-5)
    assert answer.target.item() == target
    assert answer.valid.item()


@pytest.mark.parametrize(("y", "x"), [(1.0, 1.0), (0.75, 0.75), (-0.6, 0.0), (0.0, 1.6), (50.0, -50.0)])
def test_nearest_to_an_invalid_pixel_or_outside_is_ignored(y, x):
    answer = places(hand_made(), y, x)
    assert not answer.valid.item()
    assert answer.target.item() == IGNORE
    assert answer.image.item() == 0


def test_target_and_validity_take_the_same_side_of_a_tie(located):
    sample = located(4, 4)
    answer = places(sample, 0.5, 1.5)
    assert answer.target.item() == 1 * 4 + 2


def test_a_large_class_number_is_kept_exactly():
    sample = Sample(
        torch.zeros(1, 1, 2), torch.tensor([[65534, 65535]]), torch.ones(1, 2).bool(), 0, Window(0, 0, 1, 2)
    )
    at = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[0.1, 0.9]], dtype=torch.float64)
    assert at_positions(sample, *at, 65535).target.tolist() == [[65534, 65535]]


@pytest.mark.parametrize("source", [1, 2, 5, 8])
@pytest.mark.parametrize("length", [1, 3, 8, 17])
def test_nearest_indices_are_torchs_own(length, source):
    expected = interpolate(torch.arange(float(source))[None, None], size=length, mode="nearest-exact")
    assert nearest_indices(length, source).tolist() == expected[0, 0].long().tolist()


@pytest.mark.parametrize("size", [(3, 4), (20, 31), (9, 9), (1, 1)])
def test_a_valid_image_is_resized_as_torch_resizes_it(size):
    image = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    values, valid = resized_image(image, torch.ones(2, 9, 9, dtype=torch.bool), size)
    assert torch.equal(values, interpolate(image, size=size, mode="bilinear", antialias=True))
    assert valid.all()
    assert valid.shape == (2, *size)


@pytest.mark.parametrize("size", [(4, 5), (21, 33)])
def test_a_constant_stays_constant_beside_holes(size):
    valid = torch.rand(1, 12, 10, generator=torch.Generator().manual_seed(1)) > 0.4
    values, kept = resized_image(torch.full((1, 2, 12, 10), 3.0) * valid[:, None], valid, size)
    assert kept.any()
    assert not kept.all()
    assert torch.allclose(values[:, :, kept[0]], torch.tensor(3.0), atol=1e-5)
    assert (values[:, :, ~kept[0]] == 0).all()


def test_one_image_of_a_batch_does_not_change_another():
    image = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(2, 6, 6, dtype=torch.bool)
    valid[1, 2:4] = False
    image[1, :, 2:4] = 0
    both, _ = resized_image(image, valid, (9, 4))
    alone, _ = resized_image(image[:1], valid[:1], (9, 4))
    assert torch.allclose(both[:1], alone, atol=1e-6)


@pytest.mark.parametrize("size", [(5, 7), (30, 22), (1, 1)])
def test_a_resized_sample_keeps_target_and_mask_together(located, size):
    sample = located(15, 11, invalid=0.3)
    answer = resized_sample(sample, size)
    assert answer.target.shape == size
    assert torch.equal(answer.valid, sample.valid.flatten()[answer.target])
    assert answer.row == sample.row


def test_the_same_size_is_the_same_sample(located):
    sample = located(8, 5, invalid=0.2)
    answer = resized_sample(sample, (8, 5))
    assert torch.equal(answer.target, sample.target)
    assert torch.equal(answer.valid, sample.valid)
    assert torch.allclose(answer.image, sample.image, atol=1e-6)
