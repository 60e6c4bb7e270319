"""Parts of the Plain Mask Transformer against the libraries that hold the same, and by hand."""

import pytest
import torch
from transformers import DINOv3ViTConfig, EomtConfig
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTLayer
from transformers.models.eomt.modeling_eomt import EomtScaleLayer

from terrazzo.models.heads.plain_blocks import Block, Lateral, ScaleBlock
from terrazzo.models.heads.positions import rotation


def test_a_block_is_dinov3s():
    torch.manual_seed(0)
    config = DINOv3ViTConfig(hidden_size=16, intermediate_size=16, num_attention_heads=2, attn_implementation="sdpa")
    theirs, ours = DINOv3ViTLayer(config).eval(), Block(16, 2).eval()
    for each in theirs.parameters():
        torch.nn.init.normal_(each, std=0.5)
    names = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}
    with torch.no_grad():
        for mine, name in names.items():
            ours.attention.get_submodule(mine).load_state_dict(
                theirs.attention.get_submodule(name).state_dict(), strict=True
            )
        ours.norms[0].load_state_dict(theirs.norm1.state_dict())
        ours.norms[1].load_state_dict(theirs.norm2.state_dict())
        ours.feed[0].load_state_dict(theirs.mlp.up_proj.state_dict())
        ours.feed[2].load_state_dict(theirs.mlp.down_proj.state_dict())
        ours.scales[0].copy_(theirs.layer_scale1.lambda1)
        ours.scales[1].copy_(theirs.layer_scale2.lambda1)
    assert sum(each.numel() for each in ours.parameters()) == sum(each.numel() for each in theirs.parameters())
    tokens, angles = torch.randn(2, 4 + 6, 16), rotation(2, 3, 8, device=torch.device("cpu"))
    torch.testing.assert_close(ours(tokens, None, angles), theirs(tokens, position_embeddings=angles))


def test_a_scale_block_is_eomts():
    torch.manual_seed(0)
    theirs, ours = EomtScaleLayer(EomtConfig(hidden_size=8)), ScaleBlock(8)
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.copy_(other)
    given = torch.randn(2, 8, 3, 5)
    torch.testing.assert_close(ours(given), theirs(given))


def test_a_lateral_is_a_norm_a_residual_and_a_scale():
    torch.manual_seed(0)
    lateral = Lateral(6, 6, 16, 16).eval()
    with torch.no_grad():
        lateral.scale.copy_(torch.arange(6.0))
    given = torch.randn(2, 6, 3, 4)
    cells = (given / (1 + lateral.norm.eps) ** 0.5).permute(0, 2, 3, 1)
    first, _, last = lateral.residual
    hidden = torch.nn.functional.gelu(cells @ first.weight.T + first.bias)
    wanted = (cells + hidden @ last.weight.T + last.bias) * torch.arange(6.0)
    torch.testing.assert_close(lateral(given, 3, 4), wanted.permute(0, 3, 1, 2))
    assert first.out_features == 3


@pytest.mark.parametrize(
    ("stride", "cells", "size"), [(4, (12, 5), (3, 2)), (32, (2, 1), (3, 2)), (16, (3, 2), (3, 2))]
)
def test_maps_of_other_strides_are_brought_to_the_cells(stride, cells, size):
    lateral = Lateral(5, 6, stride, 16).eval()
    assert lateral(torch.randn(1, 5, *cells), *size).shape == (1, 6, *size)


def test_a_finer_map_is_averaged_over_the_cells_pixels_alone():
    lateral = Lateral(2, 2, 8, 16).eval()
    given = torch.zeros(1, 2, 3, 2)
    given[:, :, 2] = 4.0
    same = Lateral(2, 2, 16, 16).eval()
    same.load_state_dict(lateral.state_dict())
    means = torch.zeros(1, 2, 2, 1)
    # The last row of cells holds one row of the map alone.
    means[:, :, 1] = 4.0
    torch.testing.assert_close(lateral(given, 2, 1), same(means, 2, 1))
