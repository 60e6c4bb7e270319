"""Annealing: the published steps, counting, resuming, and what evaluation does meanwhile."""

import pytest
import torch

from terrazzo.models.heads.annealing import MaskAnnealing

FIRST = [0, 5384, 7403, 9422, 11442, 13461]
LAST = [3000, 8749, 10769, 12788, 14807, 16826]
"""First and last steps of each block in the published configuration of 16 epochs, that is 20,192 steps."""


def test_its_times_are_the_published_ones():
    annealing = MaskAnnealing(6, 20_192)
    first, last = annealing.first, annealing.first + annealing.length
    assert first.int().tolist() == FIRST
    # The first block's is 3,000 there, no share of the steps.
    assert last.int().tolist() == [3028, *LAST[1:]]


@pytest.mark.parametrize(
    ("done", "shares"),
    [
        (0, (0, 0, 0)),
        (9, (0.3, 0, 0)),
        (30, (1, 0, 0)),
        (70, (1, 0.5, 0)),
        (90, (1, 1, 0)),
        (150, (1, 1, 0.5)),
        (170, (1, 1, 1)),
        (9999, (1, 1, 1)),
    ],
)
def test_probabilities_fall_with_a_power_of_the_share_left(done, shares):
    # Of 200 steps, three blocks have 0 to 30, 53.3 to 86.7 and 133.3 to 166.7.
    annealing = MaskAnnealing(3, 200)
    annealing.done.fill_(done)
    assert annealing.probabilities().tolist() == pytest.approx([(1 - share) ** 0.9 for share in shares], abs=1e-5)


def test_training_counts_and_evaluation_does_not():
    annealing = MaskAnnealing(2, 100)
    annealing.draw(3, 4)
    annealing.eval().draw(3, 4)
    annealing.train().draw(3, 4)
    assert annealing.done.item() == 2


def test_a_resumed_run_draws_what_an_uninterrupted_one_does():
    whole = MaskAnnealing(2, 20)
    drawn = []
    for step in range(8):
        torch.manual_seed(step)
        drawn.append(whole.draw(2, 50))
    before = MaskAnnealing(2, 20)
    for step in range(3):
        torch.manual_seed(step)
        before.draw(2, 50)
    after = MaskAnnealing(2, 20)
    after.load_state_dict(before.state_dict())
    for step in range(3, 8):
        torch.manual_seed(step)
        assert torch.equal(after.draw(2, 50), drawn[step])
    shares = [float(one[0].float().mean()) for one in drawn]
    assert shares[0] == 1.0
    assert shares[-1] == 0.0


def test_evaluation_masks_all_queries_of_a_block_or_none():
    annealing = MaskAnnealing(2, 100).eval()
    assert annealing.masks_some() == [True, True]
    assert annealing.draw(1, 3).all()
    annealing.done.fill_(14)
    assert annealing.masks_some() == [False, True]
    assert annealing.draw(1, 3)[:, 0].tolist() == [[False] * 3, [True] * 3]
    annealing.done.fill_(100)
    assert annealing.masks_some() == [False, False]


def test_no_steps_are_no_masks():
    annealing = MaskAnnealing(3, 0)
    assert annealing.masks_some() == [False] * 3
    assert not annealing.draw(2, 5).any()


def test_one_block_has_the_first_time():
    annealing = MaskAnnealing(1, 200)
    assert annealing.first.tolist() == [0.0]
    assert annealing.length.tolist() == pytest.approx([30.0])
