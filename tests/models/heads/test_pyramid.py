"""Pyramids from maps of one stride, and from those of several."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.pyramid import Pyramid, chosen_maps


@pytest.mark.parametrize(
    ("strides", "chosen"),
    [
        ((16, 16, 16, 16), (0, 1, 2, 3)),
        ((4, 8, 16, 32), (0, 1, 2, 3)),
        ((16,), (0, 0, 0, 0)),
        ((16, 16), (0, 0, 1, 1)),
        ((2, 4, 8, 16, 32), (1, 2, 3, 4)),
        ((4, 8, 16, 16, 16), (0, 1, 2, 4)),
        ((8, 16, 32, 64), (0, 0, 1, 3)),
    ],
)
def test_each_level_takes_the_nearest_map_and_the_last_the_last(strides, chosen):
    assert chosen_maps(FeatureLayout((8,) * len(strides), strides, 64)) == chosen


@pytest.mark.parametrize("strides", [(14, 14), (16, 0), ()])
def test_strides_that_do_not_double_are_refused(strides):
    with pytest.raises(ModelError, match="powers of two"):
        chosen_maps(FeatureLayout((8,) * len(strides), strides, 14))


@pytest.mark.parametrize(("strides", "multiple"), [((16,) * 4, 16), ((4, 8, 16, 32), 32), ((4,), 4), ((32,), 32)])
def test_levels_have_the_strides_that_they_say_whatever_the_maps(strides, multiple):
    layout = FeatureLayout((6,) * len(strides), strides, multiple)
    pyramid = Pyramid(layout, (3, 4, 5, 6)).eval()
    height, width = 3 * multiple, multiple
    image = torch.zeros(2, 1, height, width)
    maps = [torch.randn(2, 6, height // stride, width // stride) for stride in strides]
    levels = pyramid(image, maps)
    cells = [(-(-height // stride), -(-width // stride)) for stride in (4, 8, 16, 32)]
    assert [tuple(level.shape) for level in levels] == [(2, 3 + at, *size) for at, size in enumerate(cells)]


def test_maps_of_the_right_stride_are_only_projected():
    pyramid = Pyramid(FeatureLayout((6, 7, 8, 9), (4, 8, 16, 32), 32), (3, 3, 3, 3))
    assert [len(level) for level in pyramid.levels] == [2, 2, 2, 2]


def test_each_tap_reaches_its_own_level_alone():
    pyramid = Pyramid(FeatureLayout((4,) * 4, (16,) * 4, 16), (3,) * 4).eval()
    image = torch.zeros(1, 1, 32, 32)
    maps = [torch.randn(1, 4, 2, 2) for _ in range(4)]
    before = pyramid(image, maps)
    maps[1] = maps[1] + 1
    changed = [not torch.equal(one, other) for one, other in zip(before, pyramid(image, maps), strict=True)]
    assert changed == [False, True, False, False]


def test_one_sided_padding_keeps_cells_in_place():
    # A coarse level of an odd number of cells is rounded up: its cell i still stands for the pixels from 32 i on.
    pyramid = Pyramid(FeatureLayout((2,), (16,), 16), (2,) * 4).eval()
    image = torch.zeros(1, 1, 48, 16)
    one = torch.zeros(1, 2, 3, 1)
    two = one.clone()
    two[:, :, 2] = 5.0
    difference = [
        (a - b).abs().sum(dim=(1, 3))[0] for a, b in zip(pyramid(image, [one]), pyramid(image, [two]), strict=True)
    ]
    # Transposed convolutions of 2 x 2 reach no further than their cell.
    assert difference[0].nonzero()[:, 0].tolist() == [8, 9, 10, 11]
    assert difference[1].nonzero()[:, 0].tolist() == [4, 5]
    assert difference[2].nonzero()[:, 0].tolist() == [2]
    assert 1 in difference[3].nonzero()[:, 0].tolist()
