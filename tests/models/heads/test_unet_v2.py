"""The second U-Net head, and that it has not the defects of its namesake: fourfold size, no shared basis."""

import pytest
import torch

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.unet_v2 import UNetV2
from terrazzo.models.output import DeepSupervision

SMALL = {"channels": 8, "rank": 8, "widths": (4, 6, 8, 10), "prior": 4}


def taps(channels: int, rows: int, columns: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(1, channels, rows, columns) for _ in range(4))


@pytest.mark.parametrize("finest", [1, 2, 4])
def test_taps_of_32_cells_give_logits_of_512_pixels(finest):
    head = UNetV2(finest=finest, **SMALL).build(FeatureLayout((8,) * 4, (16,) * 4, 16), bands=3, classes=2).eval()
    sizes = []
    for stage in head.decoder.stages:
        stage.register_forward_hook(lambda _module, _given, found: sizes.append(tuple(found.shape[2:])))
    with torch.inference_mode():
        output = head(torch.randn(1, 3, 512, 512), taps(8, 32, 32))
    assert output.logits.shape == (1, 2, 512, 512)
    # No map inside is larger than the image, and scales double: a true pyramid from taps of one stride.
    assert sizes == [(512 // stride,) * 2 for stride in (4 * finest, 2 * finest, finest)]


def test_scales_answer_where_deep_supervision_is_asked_for():
    head = UNetV2(deep_supervision=True, **SMALL).build(FeatureLayout((8,) * 4, (16,) * 4, 16), bands=3, classes=2)
    output = head(torch.randn(1, 3, 48, 16), taps(8, 3, 1))
    deep = output.find(DeepSupervision)
    assert deep is not None
    assert deep.strides == (4, 8)
    assert [tuple(each.shape) for each in deep.logits] == [(1, 2, 12, 4), (1, 2, 6, 2)]
    assert UNetV2(deep_supervision=True).answers == {DeepSupervision}


def test_without_it_no_classifier_stands_idle():
    head = UNetV2(**SMALL).build(FeatureLayout((8,) * 4, (16,) * 4, 16), bands=3, classes=2)
    assert len(head.classifiers_of_scales) == 1
    assert head(torch.randn(1, 3, 16, 16), taps(8, 1, 1)).auxiliary == ()
    assert UNetV2().answers == frozenset()


def test_image_and_features_both_reach_the_logits():
    head = UNetV2(**SMALL).build(FeatureLayout((8,) * 4, (16,) * 4, 16), bands=3, classes=2)
    image, maps = torch.randn(2, 3, 64, 64), tuple(torch.randn(2, 8, 4, 4) for _ in range(4))
    for each in (image, *maps):
        each.requires_grad_()
    head(image, maps).logits.square().sum().backward()
    assert all(bool(each.grad.any()) for each in (image, *maps))


def test_it_has_the_stated_size():
    with torch.device("meta"):
        head = UNetV2().build(FeatureLayout((1024,) * 4, (16,) * 4, 16), bands=3, classes=6)
    assert sum(each.numel() for each in head.parameters()) == 5_973_796
    assert sum(each.numel() for each in head.prior.parameters()) == 1_035_584 + 708 * 256
