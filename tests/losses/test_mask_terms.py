"""Terms of masks agree with torch and with hand calculation, pair by pair."""

import pytest
import torch
from torch.nn import functional

from terrazzo.losses.mask_terms import MaskTerm, paired_dice, pairwise_dice


def _case():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn((5, 40), generator=generator)
    return logits, (torch.rand((3, 40), generator=generator) < 0.3).float()


@pytest.mark.parametrize("term", [MaskTerm(), MaskTerm(kind="focal"), MaskTerm(kind="focal", alpha=0.6, gamma=0.5)])
def test_every_pair_is_measured_as_it_is_alone(term):
    logits, truth = _case()
    table = term.pairwise(logits, truth)
    dice = pairwise_dice(logits, truth)
    for query in range(5):
        for one in range(3):
            pair = logits[[query]], truth[[one]]
            torch.testing.assert_close(table[query, one], term.paired(*pair)[0])
            torch.testing.assert_close(dice[query, one], paired_dice(*pair)[0])


def test_bce_is_torchs():
    logits, truth = _case()
    wanted = functional.binary_cross_entropy_with_logits(logits[:3], truth, reduction="none").mean(1)
    torch.testing.assert_close(MaskTerm().paired(logits[:3], truth), wanted)


def test_focal_by_hand():
    logits, truth = _case()
    p = logits[:3].double().sigmoid()
    inside, outside = -0.25 * (1 - p) ** 2 * p.log(), -0.75 * p**2 * (1 - p).log()
    wanted = torch.where(truth > 0, inside, outside).mean(1)
    torch.testing.assert_close(MaskTerm(kind="focal").paired(logits[:3], truth).double(), wanted)


def test_dice_by_hand():
    logits = torch.tensor([[0.0, 100.0, -100.0]])
    # Sigmoids 0.5, 1 and 0 against 1, 1 and 0: 1 - (2 * 1.5 + 1) / (1.5 + 2 + 1).
    assert paired_dice(logits, torch.tensor([[1.0, 1.0, 0.0]])).item() == pytest.approx(1 - 4 / 4.5)


@pytest.mark.parametrize("kind", ["bce", "focal"])
def test_certain_logits_have_finite_gradients(kind):
    logits = torch.tensor([[200.0, -200.0, 200.0, -200.0]], requires_grad=True)
    MaskTerm(kind=kind).paired(logits, torch.tensor([[1.0, 1.0, 0.0, 0.0]])).sum().backward()
    assert bool(logits.grad.isfinite().all())
