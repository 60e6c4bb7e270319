"""Halting heads and what they see."""

import math

import pytest
import torch

from terrazzo.models.refiner.heads import CellHead, TileHead, confidence


@pytest.mark.parametrize("classes", [1, 2, 6])
def test_confidence_by_hand(classes):
    logits = 3 * torch.randn(2, classes, 3, 4, generator=torch.Generator().manual_seed(0))
    entropy, largest = confidence(logits)
    for cell in [(0, 0, 0), (1, 2, 3)]:
        each = logits[cell[0], :, cell[1], cell[2]].double().exp()
        each = (each / each.sum()).tolist()
        by_hand = -math.fsum(one * math.log(one) for one in each) / math.log(max(classes, 2))
        assert float(entropy[cell]) == pytest.approx(by_hand, abs=1e-6)
        assert float(largest[cell]) == pytest.approx(max(each), rel=1e-6)


def test_entropy_reaches_from_sure_to_undecided():
    logits = torch.zeros(1, 4, 1, 2)
    logits[0, 2, 0, 1] = 100
    entropy, largest = confidence(logits)
    torch.testing.assert_close(entropy, torch.tensor([[[1.0, 0.0]]]))
    torch.testing.assert_close(largest, torch.tensor([[[0.25, 1.0]]]))


def seen() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(3, 8, 4, 5, generator=generator),
        torch.randn(3, 6, 4, 5, generator=generator),
        torch.rand(3, 4, 5, generator=generator),
    )


def test_an_untrained_head_never_halts():
    assert torch.equal(TileHead(8)(*seen()), torch.full((3,), -5.0))
    assert torch.equal(CellHead(8)(*seen()), torch.full((3, 4, 5), -3.0))


def test_a_tile_is_judged_by_means_over_it():
    head = TileHead(8)
    torch.nn.init.normal_(head.last.weight)
    state, logits, change = seen()
    entropy, largest = confidence(logits)
    means = [state.mean(dim=(2, 3)), *(one.mean(dim=(1, 2))[:, None] for one in (entropy, largest, change))]
    wanted = head.last(torch.nn.functional.silu(head.hidden(torch.cat(means, dim=1))))[:, 0]
    torch.testing.assert_close(head(state, logits, change), wanted)


def test_a_tile_is_judged_by_itself():
    head = TileHead(8)
    torch.nn.init.normal_(head.last.weight)
    together = head(*seen())
    assert len(set(together.tolist())) == 3
    for tile in range(3):
        torch.testing.assert_close(head(*(one[tile : tile + 1] for one in seen())), together[tile : tile + 1])


def test_a_cell_is_judged_by_its_state_entropy_and_change():
    head = CellHead(8)
    torch.nn.init.normal_(head.last.weight)
    state, logits, change = seen()
    entropy, _ = confidence(logits)
    weights = head.last.weight[0, :, 0, 0]
    wanted = torch.einsum("c,bcyx->byx", weights[:8], state) + weights[8] * entropy + weights[9] * change - 3
    torch.testing.assert_close(head(state, logits, change), wanted)
