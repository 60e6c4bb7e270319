"""The MaskFormer head: real queries and layers, its decoder against torch's, and when it answers what."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.maskformer import DecoderLayer, MaskFormer, PixelDecoder
from terrazzo.models.output import Queries

SMALL = {"channels": 16, "heads": 2, "hidden": 24, "layers": 3, "queries": 5}
TAPS = FeatureLayout((8,) * 4, (16,) * 4, 16)


def given(batch: int = 1) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(0)
    maps = tuple(torch.randn((batch, 8, 3, 2), generator=generator) for _ in range(4))
    return torch.zeros(batch, 3, 48, 32), maps


def test_it_has_the_published_numbers_of_queries_and_layers():
    with torch.device("meta"):
        head = MaskFormer().build(FeatureLayout((1024,) * 4, (16,) * 4, 16), bands=3, classes=6)
    assert head.queries.weight.shape == (100, 256)
    assert len(head.layers) == 6
    assert head.layers[0].among.heads == 8
    assert head.layers[0].feed[0].out_features == 2048
    assert head.answer.classifier.out_features == 7


def test_training_answers_after_every_layer_and_evaluation_after_the_last():
    head = MaskFormer(dropout=0.0, **SMALL).build(TAPS, bands=3, classes=4)
    image, maps = given(2)
    trained = head(image, maps).find(Queries)
    assert [tuple(each.shape) for each in trained.classes] == [(2, 5, 5)] * 3
    assert [tuple(each.shape) for each in trained.masks] == [(2, 5, 12, 8)] * 3
    evaluated = head.eval()(image, maps).find(Queries)
    assert len(evaluated.classes) == len(evaluated.masks) == 1
    torch.testing.assert_close(evaluated.masks[0], trained.masks[0])
    whole = MaskFormer(every_layer=True, **SMALL).build(TAPS, bands=3, classes=4).eval()
    assert len(whole(image, maps).find(Queries).classes) == 3


def test_fixed_assignment_has_one_query_a_class_and_no_object():
    head = MaskFormer(assignment="fixed", **(SMALL | {"queries": None})).build(TAPS, bands=3, classes=4)
    found = head(*given()).find(Queries)
    assert found.classes[0].shape == (1, 4, 4)
    assert found.masks[0].shape == (1, 4, 12, 8)


def test_a_layer_is_torchs_where_positions_are_zero():
    torch.manual_seed(0)
    ours = DecoderLayer(MaskFormer(**SMALL)).eval()
    theirs = torch.nn.TransformerDecoderLayer(16, 2, 24, dropout=0.0, batch_first=True).eval()
    state = {}
    for name, part in (("self_attn", ours.among), ("multihead_attn", ours.across)):
        stacked = (part.query, part.key, part.value)
        state[f"{name}.in_proj_weight"] = torch.cat([each.weight for each in stacked])
        state[f"{name}.in_proj_bias"] = torch.cat([each.bias for each in stacked])
        state |= {f"{name}.out_proj.{key}": value for key, value in part.output.state_dict().items()}
    for index, norm in enumerate(ours.norms, start=1):
        state |= {f"norm{index}.{key}": value for key, value in norm.state_dict().items()}
    for index, layer in ((1, ours.feed[0]), (2, ours.feed[2])):
        state |= {f"linear{index}.{key}": value for key, value in layer.state_dict().items()}
    theirs.load_state_dict(state)
    tokens, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    found = ours(tokens, torch.zeros_like(tokens), memory, torch.zeros(7, 16))
    torch.testing.assert_close(found, theirs(tokens, memory))


def test_positions_move_what_is_looked_for_not_what_is_read():
    layer = DecoderLayer(MaskFormer(**SMALL)).eval()
    tokens, memory = torch.zeros(1, 5, 16), torch.randn(1, 1, 16).expand(1, 7, 16)
    # All cells hold the same, so wherever a query looks, it reads the same.
    far = layer(tokens, torch.zeros(1, 5, 16), memory, 10 * torch.randn(7, 16))
    near = layer(tokens, torch.zeros(1, 5, 16), memory, torch.zeros(7, 16))
    torch.testing.assert_close(far, near)


def test_queries_differ_by_their_seats_alone():
    head = MaskFormer(**SMALL).build(TAPS, bands=3, classes=4).eval()
    with torch.no_grad():
        head.queries.weight[1] = head.queries.weight[0]
    found = head(*given()).find(Queries).masks[0][0]
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_every_map_reaches_the_pixels():
    maps = [each.requires_grad_() for each in given()[1]]
    PixelDecoder(TAPS, 16)(torch.zeros(1, 3, 48, 32), maps).square().sum().backward()
    assert all(bool(each.grad.any()) for each in maps)


def test_channels_and_heads_must_fit():
    with pytest.raises(ModelError, match="18 channels are no multiple of 4 times 3 heads"):
        MaskFormer(channels=18, heads=3).build(TAPS, bands=3, classes=2)
