"""The U-Net decoder: its stages, and sizes that are no multiples."""

import torch

from terrazzo.models.heads.decoder import UNetDecoder


def test_each_stage_answers_at_its_skips_size():
    decoder = UNetDecoder((2, 3, 4), (5, 6)).eval()
    maps = (torch.randn(1, 2, 9, 5), torch.randn(1, 3, 5, 3), torch.randn(1, 4, 3, 2))
    assert [tuple(each.shape) for each in decoder(maps)] == [(1, 5, 9, 5), (1, 6, 5, 3)]


def test_a_stage_may_have_no_skip():
    decoder = UNetDecoder((2, 0, 4), (5, 6)).eval()
    maps = (torch.randn(1, 2, 11, 4), None, torch.randn(1, 4, 3, 1))
    assert [tuple(each.shape) for each in decoder(maps)] == [(1, 5, 11, 4), (1, 6, 6, 2)]


def test_every_map_reaches_the_finest_stage():
    decoder = UNetDecoder((2, 3, 4), (5, 6)).eval()
    maps = [torch.randn(1, 2, 8, 8), torch.randn(1, 3, 4, 4), torch.randn(1, 4, 2, 2)]
    for each in maps:
        each.requires_grad_()
    decoder(maps)[0].square().sum().backward()
    assert all(bool(each.grad.any()) for each in maps)
