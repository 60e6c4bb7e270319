"""Class scores from masks, pixel by pixel, and the settings that heads of masks share."""

import math

import pytest
import torch
from pydantic import ValidationError

from terrazzo.models.heads.maskformer import MaskFormer
from terrazzo.models.heads.masks import FLOOR, MaskAnswer, semantic_logits
from terrazzo.models.maps import enlarged
from terrazzo.models.output import Queries


def scores(classes: torch.Tensor, masks: torch.Tensor, count: int) -> list[list[list[float]]]:
    """Return the scores of the first image by loops."""
    total = [[[0.0] * masks.shape[3] for _ in range(masks.shape[2])] for _ in range(count)]
    for query in range(masks.shape[1]):
        exponents = [math.exp(one) for one in classes[0, query].tolist()]
        for y, row in enumerate(masks[0, query].tolist()):
            for x, logit in enumerate(row):
                for index in range(count):
                    total[index][y][x] += exponents[index] / sum(exponents) / (1 + math.exp(-logit))
    return total


@pytest.mark.parametrize("columns", [4, 3])
def test_softmax_gives_back_normalised_scores(columns):
    torch.manual_seed(0)
    classes, masks = torch.randn(1, 5, columns), torch.randn(1, 5, 4, 6)
    wanted = torch.tensor([scores(classes, masks, 3)])
    wanted = wanted / wanted.sum(dim=1, keepdim=True)
    logits = semantic_logits(classes, masks, count=3, stride=1, height=4, width=6)
    torch.testing.assert_close(logits.softmax(dim=1), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits.exp().sum(dim=1), torch.ones(1, 4, 6))


def test_they_are_enlarged_to_the_image_and_cut():
    logits = semantic_logits(torch.randn(2, 5, 4), torch.randn(2, 5, 3, 2), count=3, stride=4, height=9, width=8)
    assert logits.shape == (2, 3, 9, 8)
    torch.testing.assert_close(logits.exp().sum(dim=1), torch.ones(2, 9, 8))


def test_an_edge_inside_a_cell_lies_where_the_logits_cross():
    """Enlarged as probabilities, the edge between a sure cell and a doubtful one would lie elsewhere."""
    masks = torch.tensor([[[[9.0, -3.0]], [[-9.0, 3.0]]]])
    classes = torch.tensor([[[20.0, -20.0], [-20.0, 20.0]]])
    logits = semantic_logits(classes, masks, count=2, stride=4, height=4, width=8)
    # Between the middles 1.5 and 5.5 the logit falls from 9 to -3, and is 0 three quarters of the way.
    assert logits.argmax(dim=1)[0, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


def test_queries_are_summed_whatever_their_number():
    classes, masks = torch.randn(1, 37, 4, requires_grad=True), torch.randn(1, 37, 3, 2, requires_grad=True)
    logits = semantic_logits(classes, masks, count=3, stride=4, height=9, width=8)
    fine = enlarged(masks, stride=4, height=9, width=8).sigmoid()
    wanted = torch.einsum("bqc,bqyx->bcyx", classes.softmax(dim=-1)[..., :3], fine)
    torch.testing.assert_close(logits.exp(), wanted / wanted.sum(dim=1, keepdim=True), rtol=1e-4, atol=1e-5)
    logits.sum().backward()
    assert masks.grad is not None
    assert masks.grad.abs().sum() > 0


def test_no_certainty_is_infinite():
    classes = torch.tensor([[[200.0, -200.0, -200.0]]])
    masks = torch.tensor([[[[200.0, -200.0]]]])
    logits = semantic_logits(classes, masks, count=2, stride=1, height=1, width=2)
    assert logits[0, 1, 0, 0].item() == pytest.approx(math.log(FLOOR), rel=1e-3)
    # Nobody claims the second pixel: equal shares.
    torch.testing.assert_close(logits[0, :, 0, 1].exp(), torch.tensor([0.5, 0.5]))


def test_they_stay_in_float32_under_autocast():
    classes, masks = torch.randn(1, 5, 4), torch.randn(1, 5, 3, 2)
    exact = semantic_logits(classes.bfloat16().float(), masks.bfloat16().float(), count=3, stride=1, height=3, width=2)
    with torch.autocast("cpu", torch.bfloat16):
        rough = semantic_logits(classes.bfloat16(), masks.bfloat16(), count=3, stride=1, height=3, width=2)
    assert rough.dtype == torch.float32
    assert torch.equal(rough, exact)


def test_a_mask_is_the_product_of_query_and_pixel():
    answer = MaskAnswer(6, 4, pixel_channels=5, activation=torch.nn.ReLU)
    queries, pixels = torch.randn(2, 3, 6), torch.randn(2, 5, 4, 4)
    classes, masks = answer(queries, pixels)
    assert classes.shape == (2, 3, 4)
    torch.testing.assert_close(masks[1, 2, 3, 0], answer.embedding(queries)[1, 2] @ pixels[1, :, 3, 0])
    assert sum(isinstance(each, torch.nn.Linear) for each in answer.embedding) == 3


def test_queries_are_real_ones_unless_classes_are_fixed():
    assert MaskFormer().query_count(6) == 100
    assert MaskFormer(queries=7).query_count(6) == 7
    assert MaskFormer(assignment="fixed").query_count(6) == 6
    assert MaskFormer().answers == {Queries}
    with pytest.raises(ValidationError, match="leave queries out"):
        MaskFormer(assignment="fixed", queries=7)
