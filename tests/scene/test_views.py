"""Views and scales: each is what its name says, and its answer lies where the window lies."""

import pytest
import torch

from terrazzo.data.augment.geometry import Resize
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.views import Sight, sights_of

NUMBERS = torch.arange(6.0).reshape(1, 1, 2, 3)
MEASURED = torch.ones(1, 2, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("view", "seen"),
    [
        ("identity", [[0, 1, 2], [3, 4, 5]]),
        ("hflip", [[2, 1, 0], [5, 4, 3]]),
        ("vflip", [[3, 4, 5], [0, 1, 2]]),
        ("rot90", [[2, 5], [1, 4], [0, 3]]),
        ("rot180", [[5, 4, 3], [2, 1, 0]]),
        ("rot270", [[3, 0], [4, 1], [5, 2]]),
        ("transpose", [[0, 3], [1, 4], [2, 5]]),
        ("transverse", [[5, 2], [4, 1], [3, 0]]),
    ],
)
def test_a_view_is_what_its_name_says_and_comes_back(view, seen):
    sight = Sight(view)
    found = sight.see(NUMBERS, MEASURED)
    assert found[0, 0].tolist() == seen
    assert torch.equal(sight.back(found, (2, 3)), NUMBERS)


def test_the_view_as_it_is_copies_nothing():
    sight = Sight()
    assert sight.see(NUMBERS, MEASURED) is NUMBERS
    assert sight.back(NUMBERS, (2, 3)) is NUMBERS


@pytest.mark.parametrize("view", ["identity", "rot90", "transverse"])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_scale_moves_nothing(view, scale):
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(20.0), indexing="ij")
    image = torch.stack([y, x])[None]
    sight = Sight(view, scale)
    seen = sight.see(image, torch.ones(1, 12, 20, dtype=torch.bool))
    assert sorted(seen.shape[-2:]) == sorted((int(12 * scale), int(20 * scale)))
    found = sight.back(seen, (12, 20))
    torch.testing.assert_close(found[..., 3:-3, 3:-3], image[..., 3:-3, 3:-3])


def test_shrinking_is_smoothed():
    stripes = (torch.arange(16) % 2).float().expand(1, 1, 16, 16)
    seen = Sight(scale=0.5).see(stripes, torch.ones(1, 16, 16, dtype=torch.bool))
    torch.testing.assert_close(seen[..., 1:-1, 1:-1], torch.full((1, 1, 6, 6), 0.5))


def test_missing_pixels_are_no_part_of_what_is_resized():
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    valid[:, :, 4:] = False
    image = torch.full((1, 1, 8, 8), 3.0) * valid
    seen = Sight(scale=0.5).see(image, valid)
    assert torch.equal(seen[0, 0], torch.tensor([3.0, 3, 0, 0]).expand(4, 4))


def test_a_scale_is_one_of_what_the_bundle_resizes_to():
    sight = Sight("rot90", 0.5, Resize(height=8, width=12))
    seen = sight.see(torch.zeros(1, 3, 30, 20), torch.ones(1, 30, 20, dtype=torch.bool))
    assert seen.shape[-2:] == (6, 4)
    assert sight.back(seen, (30, 20)).shape[-2:] == (30, 20)


def test_what_counts_comes_back_in_values_that_were_answered():
    steps = torch.tensor([[1.0, 5.0], [2.0, 2.0]])[None, None]
    found = Sight("hflip", 0.5).back(steps, (4, 4), exact=True)
    assert found[0, 0].tolist() == [[5, 5, 1, 1], [5, 5, 1, 1], [2, 2, 2, 2], [2, 2, 2, 2]]


def test_every_view_is_seen_at_every_scale():
    found = sights_of(PredictSettings(views=("rot90", "identity"), scales=(1.0, 2.0)), None)
    assert found == (Sight("rot90"), Sight("identity"), Sight("rot90", 2.0), Sight("identity", 2.0))
