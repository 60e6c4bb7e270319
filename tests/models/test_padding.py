"""Padding keeps the image where it is and mirrors it; cropping gives it back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from terrazzo.models.padding import crop, pad, padded


@pytest.mark.parametrize(
    ("size", "multiple", "minimum", "wanted"),
    [(1, 32, 1, 32), (32, 32, 1, 32), (33, 32, 1, 64), (1, 16, 128, 128), (129, 16, 128, 144), (7, 1, 1, 7)],
)
def test_padded_is_the_next_size_that_fits(size, multiple, minimum, wanted):
    assert padded(size, multiple=multiple, minimum=minimum) == wanted


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 200))
def test_padded_is_smallest(size, multiple, minimum):
    found = padded(size, multiple=multiple, minimum=minimum)
    assert found % multiple == 0
    assert found >= max(size, minimum)
    assert found - multiple < max(size, minimum)


def test_padding_mirrors_about_the_last_pixel():
    image = torch.arange(4.0).reshape(1, 1, 1, 4)
    assert pad(image, height=1, width=7).flatten().tolist() == [0, 1, 2, 3, 2, 1, 0]


def test_padding_repeats_the_last_pixel_where_the_image_is_too_small_to_mirror():
    image = torch.arange(4.0).reshape(1, 1, 4, 1)
    assert pad(image, height=8, width=1).flatten().tolist() == [0, 1, 2, 3, 3, 3, 3, 3]


def test_each_axis_is_padded_in_its_own_way():
    image = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    grown = pad(image, height=2, width=5)
    assert grown[0, 0].tolist() == [[1, 2, 3, 2, 1], [1, 2, 3, 2, 1]]


def test_one_pixel_fills_everything():
    grown = pad(torch.full((2, 5, 1, 1), 7.0), height=32, width=64)
    assert grown.shape == (2, 5, 32, 64)
    assert bool((grown == 7).all())


def test_an_image_that_fits_is_not_copied():
    image = torch.rand(1, 3, 32, 64)
    assert pad(image, height=32, width=64) is image


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 30), st.integers(0, 30))
def test_cropping_undoes_padding(height, width, rows, columns):
    image = torch.rand(1, 2, height, width)
    grown = pad(image, height=height + rows, width=width + columns)
    assert grown.shape == (1, 2, height + rows, width + columns)
    assert torch.equal(crop(grown, height=height, width=width), image)


def test_labels_can_be_cropped_too():
    assert crop(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), height=3, width=5).shape == (1, 1, 3, 5)
