"""The threshold between two classes is the best of all that could be tried."""

import pytest
import torch

from terrazzo.calibration.decision import DecisionPixels
from terrazzo.calibration.record import Conditions, Origin
from terrazzo.errors import LabelError

ORIGIN = Origin(
    split="calibrate",
    split_hash="0" * 64,
    images=1,
    date="2026-01-31",
    conditions=Conditions(
        window=16, stride=14, margin=0, blend="probabilities", views=("identity",), scales=(1.0,), steps=None
    ),
)


def image(seed: int, shape: tuple[int, int] = (20, 30)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities of a rare second class, too small by far."""
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(shape, generator=generator) < 0.2).long()
    second = (torch.randn(shape, generator=generator) + 2 * target - 3).sigmoid()
    ignored = torch.rand(shape, generator=generator) < 0.1
    return torch.stack([1 - second, second]), torch.where(ignored, 255, target), ignored


def figure_at(threshold: float, figure: str, *parts: tuple[torch.Tensor, ...]) -> float:
    right = wrong = missed = 0
    for probabilities, target, ignored in parts:
        chosen = (probabilities[1] >= threshold)[~ignored]
        second = target[~ignored] == 1
        right += int((chosen & second).sum())
        wrong += int((chosen & ~second).sum())
        missed += int((~chosen & second).sum())
    return 2 * right / (2 * right + wrong + missed) if figure == "f1" else right / (right + wrong + missed)


@pytest.mark.parametrize("figure", ["f1", "iou"])
def test_no_threshold_is_better(figure: str) -> None:
    images = [image(0), image(1)]
    counts = sum((DecisionPixels.of(*one) for one in images), DecisionPixels.zero())
    found = counts.best(figure, ORIGIN)
    assert found.value == figure_at(found.threshold, figure, *images)
    values = torch.cat([probabilities[1].flatten() for probabilities, _, _ in images])
    assert found.value >= max(figure_at(float(one), figure, *images) for one in values.unique()) - 1e-3
    assert found.value > figure_at(0.5, figure, *images) + 0.05
    assert found.figure == figure
    assert float(torch.tensor(found.threshold)) == found.threshold


def test_f1_and_iou_agree_on_the_threshold() -> None:
    counts = DecisionPixels.of(*image(2))
    assert counts.best("f1", ORIGIN).threshold == counts.best("iou", ORIGIN).threshold


def test_pieces_add_up() -> None:
    parts = image(3)
    pieces = DecisionPixels.zero()
    for rows in (slice(0, 1), slice(1, 20)):
        pieces += DecisionPixels.of(*(plane[..., rows, :] for plane in parts))
    assert torch.equal(pieces.counts, DecisionPixels.of(*parts).counts)


def test_of_equal_thresholds_the_one_nearest_to_one_half_is_taken() -> None:
    second = torch.tensor([[0.1, 0.9]])
    parts = (torch.stack([1 - second, second]), torch.tensor([[0, 1]]), torch.zeros((1, 2), dtype=torch.bool))
    found = DecisionPixels.of(*parts).best("f1", ORIGIN)
    assert (found.threshold, found.value) == (0.5, 1.0)


def test_a_class_that_is_chosen_only_where_it_is_certain() -> None:
    second = torch.tensor([[1.0, 0.99999]])
    parts = (torch.stack([1 - second, second]), torch.tensor([[1, 0]]), torch.zeros((1, 2), dtype=torch.bool))
    found = DecisionPixels.of(*parts).best("iou", ORIGIN)
    assert (found.threshold, found.value) == (1.0, 1.0)


def test_without_the_second_class_there_is_nothing_to_choose() -> None:
    probabilities, target, ignored = image(4)
    for parts in ((probabilities, 0 * target, ignored), (probabilities, target, ~torch.zeros_like(ignored))):
        with pytest.raises(LabelError, match="second class"):
            DecisionPixels.of(*parts).best("f1", ORIGIN)
