"""Positions against the libraries they come from, and against a few numbers by hand."""

import math

import pytest
import torch
from transformers import DINOv3ViTConfig
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTRopePositionEmbedding, apply_rotary_pos_emb

from terrazzo.models.heads.positions import rotate, rotation, sine_positions

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [(3, 5), (1, 1)])
def test_rotations_are_dinov3s(size):
    config = DINOv3ViTConfig(hidden_size=48, num_attention_heads=3, patch_size=16)
    cosine, sine = DINOv3ViTRopePositionEmbedding(config).eval()(torch.zeros(1, 3, 16 * size[0], 16 * size[1]))
    ours = rotation(*size, 16, device=CPU)
    torch.testing.assert_close(ours[0], cosine)
    torch.testing.assert_close(ours[1], sine)
    tokens, others = torch.randn(2, 3, 4 + size[0] * size[1], 16), torch.randn(2, 3, 4 + size[0] * size[1], 16)
    wanted = apply_rotary_pos_emb(tokens, others, cosine, sine)
    torch.testing.assert_close(rotate(tokens, ours), wanted[0])
    torch.testing.assert_close(rotate(others, ours), wanted[1])


def test_only_cells_turn():
    tokens = torch.randn(1, 2, 5, 8)
    turned = rotate(tokens, rotation(1, 3, 8, device=CPU))
    assert torch.equal(turned[:, :, :2], tokens[:, :, :2])
    assert not torch.equal(turned[:, :, 2:], tokens[:, :, 2:])
    torch.testing.assert_close(turned.norm(dim=-1), tokens.norm(dim=-1))


def test_sines_are_detrs():
    found = sine_positions(2, 3, 8, device=CPU)
    row, column = 2 * math.pi * 2 / 2, 2 * math.pi * 1 / 3
    wanted = [f(angle * 10_000**-power) for angle in (row, column) for power in (0, 0.5) for f in (math.sin, math.cos)]
    # The second row's first cell.
    torch.testing.assert_close(found[3], torch.tensor(wanted))
    assert found.shape == (6, 8)
