"""Attention against torch's own module, its mask, and what it refuses."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models.heads.attention import Attention
from terrazzo.models.heads.positions import rotation


def test_it_is_torchs_attention():
    torch.manual_seed(0)
    ours, theirs = Attention(16, 2), torch.nn.MultiheadAttention(16, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([each.weight for each in (ours.query, ours.key, ours.value)]))
        theirs.in_proj_bias.copy_(torch.cat([each.bias for each in (ours.query, ours.key, ours.value)]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)
    query, key, value = torch.randn(2, 5, 16), torch.randn(2, 7, 16), torch.randn(2, 7, 16)
    torch.testing.assert_close(ours(query, key, value), theirs(query, key, value, need_weights=False)[0])


def test_what_may_not_be_read_has_no_influence():
    attention = Attention(8, 2)
    query, value = torch.randn(1, 3, 8), torch.randn(1, 4, 8)
    allowed = torch.ones(1, 1, 3, 4, dtype=torch.bool)
    allowed[..., 1, 2:] = False
    other = value.clone()
    other[:, 2:] += 1
    changed = (attention(query, value, value, allowed) != attention(query, other, other, allowed)).any(dim=2)
    assert changed[0].tolist() == [True, False, True]


def test_rotations_tell_places_apart():
    attention = Attention(8, 2)
    tokens = torch.randn(1, 1, 8).expand(1, 4, 8)
    assert torch.equal(*attention(tokens, tokens, tokens)[0, 1:3])
    angles = rotation(1, 3, 4, device=tokens.device)
    values = torch.randn(1, 4, 8)
    read = attention(tokens, tokens, values, None, angles)
    assert not torch.allclose(read[0, 1], read[0, 2])


def test_keys_may_lack_a_bias():
    assert Attention(8, 2, key_bias=False).key.bias is None


@pytest.mark.parametrize(("channels", "heads"), [(10, 2), (6, 3)])
def test_channels_must_be_shared_out(channels, heads):
    with pytest.raises(ModelError, match=f"{channels} channels cannot be shared out to {heads} attention heads"):
        Attention(channels, heads)
