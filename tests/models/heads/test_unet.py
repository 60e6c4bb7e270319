"""The U-Net head: its size, its exact answer, and the raw image that reaches single pixels."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.unet import UNet

TAPS = FeatureLayout((8,) * 4, (16,) * 4, 16)


def test_logits_have_exactly_the_image_size():
    head = UNet(channels=(4, 4, 4, 4, 4, 4)).build(TAPS, bands=2, classes=3).eval()
    output = head(torch.randn(1, 2, 80, 48), tuple(torch.randn(1, 8, 5, 3) for _ in range(4)))
    assert output.logits.shape == (1, 3, 80, 48)
    assert output.auxiliary == ()


def test_the_raw_image_reaches_single_pixels():
    head = UNet(channels=(4, 4, 4, 4, 4, 4)).build(TAPS, bands=1, classes=3).eval()
    maps = tuple(torch.randn(1, 8, 2, 2) for _ in range(4))
    image = torch.zeros(1, 1, 32, 32)
    other = image.clone()
    other[0, 0, 9, 20] = 1.0
    changed = (head(image, maps).logits != head(other, maps).logits).any(dim=1)[0]
    # Two convolutions of 3 x 3 follow the skip, and nothing before it has seen the image.
    rows, columns = changed.nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 11, 18, 22)


def test_it_has_the_stated_size():
    with torch.device("meta"):
        head = UNet().build(FeatureLayout((1024,) * 4, (16,) * 4, 16), bands=3, classes=6)
    assert sum(each.numel() for each in head.parameters()) == 6_490_310


def test_patches_of_14_pixels_are_refused():
    with pytest.raises(ModelError, match="powers of two, not"):
        UNet().build(FeatureLayout((8,), (14,), 14), bands=3, classes=2)
