"""What is computed again counts once."""

import torch
from torch import nn

from terrazzo.models.recomputing import recomputed


def _part():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU())


def test_running_statistics_see_a_batch_once():
    part, plain = _part(), _part()
    image = torch.randn(4, 2, 5, 5)
    for _ in range(3):
        recomputed(part, part, image.requires_grad_()).sum().backward()
        plain(image).sum().backward()
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(part.buffers(), plain.buffers(), strict=True))
    assert part[1].track_running_stats


def test_frozen_norms_stay_frozen():
    part = _part()
    part[1].eval()
    before = part[1].running_mean.clone()
    recomputed(part, part, torch.randn(4, 2, 5, 5, requires_grad=True)).sum().backward()
    assert torch.equal(part[1].running_mean, before)


def test_without_gradient_nothing_is_kept():
    part = _part()
    calls = []
    part.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        recomputed(part, part, torch.randn(1, 2, 5, 5))
    assert len(calls) == 1
