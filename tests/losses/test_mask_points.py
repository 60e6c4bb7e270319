"""Points lie in pixels that count, masks are read there as enlarging would, and most lie where a mask is unsure."""

import pytest
import torch
from pydantic import ValidationError

from terrazzo.losses import Sampling
from terrazzo.losses.mask_points import Points, points_of_pixels
from terrazzo.models.maps import enlarged


@pytest.mark.parametrize(("size", "stride"), [((9, 7), 2), ((8, 8), 4), ((5, 6), 1), ((1, 1), 4), ((13, 3), 8)])
def test_middles_of_pixels_are_read_as_enlarged(size, stride):
    height, width = size
    cells = torch.randn(3, -(-height // stride), -(-width // stride), generator=torch.Generator().manual_seed(0))
    wanted = enlarged(cells[None], stride=stride, height=height, width=width)[0].flatten(1)
    counted = torch.arange(height * width)[::2]
    torch.testing.assert_close(points_of_pixels(counted, width).values(cells, stride), wanted[:, counted])


def test_between_middles_by_hand():
    cells = torch.tensor([[[0.0, 1.0], [2.0, 5.0]]])
    point = Points(torch.tensor([0]), torch.tensor([2.0]), torch.tensor([1.5]))
    # Stride 2: cell middles at 1 and 3; row 2 is half way down, column 1.5 a quarter across.
    assert point.values(cells, 2).tolist() == [[pytest.approx(0.5 * 0.25 + 0.5 * (2 + 0.25 * 3))]]


def test_each_point_lies_in_a_pixel_that_counts():
    counted = torch.tensor([3, 10, 11, 33])
    masks = torch.randn(5, 3, 4)
    sampling = Sampling(points=3)
    for points, shape in ((sampling.even(counted, 7), (3,)), (sampling.uncertain(counted, 7, masks, 2), (5, 3))):
        assert points.pixel.shape == shape
        assert set(points.pixel.flatten().tolist()) <= set(counted.tolist())
        assert torch.equal(points.row.long() * 7 + points.column.long(), points.pixel)


def test_an_image_with_few_pixels_is_compared_at_all_of_them():
    counted = torch.tensor([3, 10])
    for points in (Sampling().even(counted, 7), Sampling().uncertain(counted, 7, torch.randn(5, 3, 4), 2)):
        assert points.pixel.tolist() == [3, 10]


def test_the_same_seed_draws_the_same_points():
    counted, drawn = torch.arange(100), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(Sampling(points=20).even(counted, 10).row)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_even_points_are_even():
    torch.manual_seed(0)
    points = Sampling(points=8000).even(torch.arange(10000)[:9000], 100)
    assert points.row.mean() == pytest.approx(45, abs=1)
    assert points.column.mean() == pytest.approx(50, abs=1)


@pytest.mark.parametrize(("importance", "least", "most"), [(0.0, 0.0, 0.2), (0.75, 0.25, 0.5), (1.0, 0.25, 0.5)])
def test_uncertain_points_lie_where_the_mask_is_unsure(importance, least, most):
    """A tenth of the columns is unsure: three times as many drawn hold 0.3 of the points there, evenly drawn 0.1."""
    masks = torch.full((2, 10, 100), 9.0)
    masks[:, :, 40:50] = 0.0
    torch.manual_seed(0)
    points = Sampling(points=800, importance=importance).uncertain(torch.arange(1000), 100, masks, 1)
    share = ((points.column > 40) & (points.column < 50)).float().mean()
    assert least <= float(share) <= most


@pytest.mark.parametrize("settings", [{"points": 0}, {"oversample": 0.5}, {"importance": 1.5}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        Sampling(**settings)
