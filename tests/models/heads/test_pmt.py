"""The Plain Mask Transformer head: published sizes, seven answers, masked attention, and resuming."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.pmt import PlainMaskTransformer
from terrazzo.models.output import Queries

TAPS = FeatureLayout((16,) * 4, (16,) * 4, 16)
SMALL = {"blocks": 2, "heads": 2, "queries": 5}


def given(batch: int = 1) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(0)
    maps = tuple(torch.randn((batch, 16, 3, 2), generator=generator) for _ in range(4))
    return torch.zeros(batch, 3, 48, 32), maps


@pytest.mark.parametrize(
    ("channels", "classes", "millions"), [(1024, 150, 53.9), (1024, 6, 53.7), (768, 6, 30.3), (384, 6, 7.6)]
)
def test_it_has_the_published_size(channels, classes, millions):
    layout = FeatureLayout((channels,) * 4, (16,) * 4, 16)
    with torch.device("meta"):
        head = PlainMaskTransformer().build(layout, bands=3, classes=classes)
    count = sum(each.numel() for each in head.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)
    if channels == 1024:
        # 53.85 M with 150 classes; fewer classes shorten the class layer alone.
        assert count == 53_850_263 - (150 - classes) * 1025


def test_heads_are_one_for_64_channels():
    with torch.device("meta"):
        head = PlainMaskTransformer().build(FeatureLayout((1024,) * 4, (16,) * 4, 16), bands=3, classes=6)
    assert {block.attention.heads for block in head.blocks} == {16}
    assert head.queries.weight.shape == (100, 1024)


def test_training_answers_before_each_block_and_after_the_last():
    head = PlainMaskTransformer(queries=5, heads=2).build(TAPS, bands=3, classes=4)
    found = head(*given(2)).find(Queries)
    assert [tuple(each.shape) for each in found.classes] == [(2, 5, 5)] * 7
    assert [tuple(each.shape) for each in found.masks] == [(2, 5, 12, 8)] * 7
    assert len(head.eval()(*given(2)).find(Queries).classes) == 1
    whole = PlainMaskTransformer(every_layer=True, **SMALL).build(TAPS, bands=3, classes=4).eval()
    assert len(whole(*given()).find(Queries).classes) == 3


def test_fixed_assignment_has_one_query_a_class_and_no_object():
    head = PlainMaskTransformer(assignment="fixed", blocks=1, heads=2).build(TAPS, bands=3, classes=4)
    assert head(*given()).find(Queries).classes[0].shape == (1, 4, 4)


def test_a_masked_query_reads_only_the_cells_of_its_mask():
    head = PlainMaskTransformer(**SMALL).build(TAPS, bands=3, classes=4)
    masks = torch.full((1, 5, 12, 8), -5.0)
    masks[0, 0, :4, 4:] = 5.0
    masked = torch.tensor([[True, False, True, True, False]])
    allowed = head._allowed(masks, masked, 3, 2)
    assert allowed.shape == (1, 1, 11, 11)
    rows = allowed[0, 0]
    assert rows[:, :5].all()
    assert rows[5:].all()
    assert rows[0, 5:].tolist() == [False, True, False, False, False, False]
    assert rows[1, 5:].all()
    assert not rows[2, 5:].any()


def test_masks_change_the_answer_until_they_have_faded():
    torch.manual_seed(0)
    head = PlainMaskTransformer(annealing_steps=100, **SMALL).build(TAPS, bands=3, classes=4).eval()
    bare = PlainMaskTransformer(annealing_steps=0, **SMALL).build(TAPS, bands=3, classes=4).eval()
    bare.load_state_dict(head.state_dict())
    free = bare(*given()).logits
    assert not torch.allclose(head(*given()).logits, free)
    head.annealing.done.fill_(100)
    assert torch.equal(head(*given()).logits, free)


def test_training_goes_on_exactly_after_it_was_saved():
    def passes(head, first, last):
        answers = []
        for step in range(first, last):
            torch.manual_seed(step)
            answers.append(head(*given(2)).logits.detach())
        return answers

    torch.manual_seed(0)
    head = PlainMaskTransformer(annealing_steps=20, **SMALL).build(TAPS, bands=3, classes=4)
    start = {name: value.clone() for name, value in head.state_dict().items()}
    whole = passes(head, 0, 6)
    head.load_state_dict(start)
    passes(head, 0, 2)
    other = PlainMaskTransformer(annealing_steps=20, **SMALL).build(TAPS, bands=3, classes=4)
    other.load_state_dict(head.state_dict())
    assert other.annealing.done.item() == 2
    for found, wanted in zip(passes(other, 2, 6), whole[2:], strict=True):
        assert torch.equal(found, wanted)


def test_a_pyramid_is_projected_to_the_last_maps_channels():
    layout = FeatureLayout((8, 12, 16, 24), (4, 8, 16, 32), 32)
    head = PlainMaskTransformer(**SMALL).build(layout, bands=3, classes=4)
    projected = [isinstance(each.projection, torch.nn.Conv2d) for each in head.laterals]
    assert projected == [True, True, True, False]
    assert head.queries.embedding_dim == 24


def test_strides_that_do_not_double_are_refused():
    with pytest.raises(ModelError, match="powers of two"):
        PlainMaskTransformer().build(FeatureLayout((16,), (14,), 14), bands=3, classes=2)


def test_channels_that_no_head_can_share_are_refused():
    with pytest.raises(ModelError, match="cannot be shared out to 3 attention heads"):
        PlainMaskTransformer(heads=3).build(TAPS, bands=3, classes=2)
