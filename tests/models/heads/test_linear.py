"""The linear head against a matrix product, its start, and what dropout leaves out."""

import pytest
import torch
from torch.nn import functional

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.linear import Linear

TAPS = FeatureLayout((6, 6), (16, 16), 16)


def test_it_is_a_linear_layer_on_the_normed_last_map():
    head = Linear().build(TAPS, bands=3, classes=4).eval()
    head.norm.running_mean.normal_()
    head.norm.running_var.uniform_(0.5, 2)
    image, maps = torch.zeros(2, 3, 32, 48), (torch.full((2, 6, 2, 3), torch.nan), torch.randn(2, 6, 2, 3))
    cells = (maps[1] - head.norm.running_mean[:, None, None]) / (head.norm.running_var + 1e-5).sqrt()[:, None, None]
    coarse = torch.einsum("oc,bcyx->boyx", head.classifier.weight[..., 0, 0], cells)
    wanted = functional.interpolate(coarse, (32, 48), mode="bilinear")
    torch.testing.assert_close(head(image, maps).logits, wanted)


def test_it_may_read_all_maps_at_the_finest_stride():
    layout = FeatureLayout((5, 7), (8, 32), 32)
    head = Linear(maps="all").build(layout, bands=3, classes=4).eval()
    assert head.classifier.weight.shape == (4, 12, 1, 1)
    maps = (torch.randn(1, 5, 4, 8), torch.randn(1, 7, 1, 2))
    grid = torch.cat((maps[0], functional.interpolate(maps[1], (4, 8), mode="bilinear")), dim=1)
    coarse = head.classifier(head.norm(grid))
    wanted = functional.interpolate(coarse, (32, 64), mode="bilinear")
    torch.testing.assert_close(head(torch.zeros(1, 3, 32, 64), maps).logits, wanted)


def test_it_starts_small():
    torch.manual_seed(0)
    head = Linear().build(FeatureLayout((1024,), (16,), 16), bands=3, classes=150)
    assert head.classifier.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not head.classifier.bias.any()
    assert sum(each.numel() for each in head.parameters()) == 1024 * 150 + 150 + 2 * 1024


def test_dropout_leaves_out_whole_channels():
    torch.manual_seed(0)
    head = Linear(dropout=0.5).build(FeatureLayout((200,), (16,), 16), bands=3, classes=2)
    seen = []
    head.norm.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    head(torch.zeros(1, 3, 32, 32), (torch.ones(1, 200, 2, 2),))
    whole = seen[0].flatten(2)
    assert torch.equal(whole, whole[..., :1].expand_as(whole))
    assert 60 < int((whole[..., 0] == 0).sum()) < 140
