"""How far answers differ, and weights that are reduced once instead of in every pass."""

import pytest
import torch

from terrazzo.scene.precision import Difference, compare, reduce_weights

EXACT = torch.tensor([[[0.6, 0.5, 0.1]], [[0.4, 0.5, 0.9]]])[None]
ALL = torch.ones(1, 1, 3, dtype=torch.bool)


def test_agreement_and_largest_difference_are_those_of_measured_pixels():
    answer = EXACT.clone()
    answer[0, :, 0, 0] = torch.tensor([0.35, 0.65])
    answer[0, :, 0, 2] = torch.tensor([0.2, 0.8])
    found = compare(answer, EXACT, ALL, blend="probabilities")
    assert found.agreement == pytest.approx(2 / 3)
    assert found.largest == pytest.approx(0.25)
    rest = ALL.clone()
    rest[..., 0] = False
    found = compare(answer, EXACT, rest, blend="probabilities")
    assert found.agreement == 1
    assert found.largest == pytest.approx(0.1)
    assert compare(answer, EXACT, ~ALL, blend="probabilities").largest == pytest.approx(0.25)


def test_logits_are_compared_as_probabilities():
    found = compare(EXACT.log() + 7, EXACT.log(), ALL, blend="logits")
    assert found.agreement == 1
    assert found.largest < 1e-6


def test_answers_that_are_no_numbers_agree_with_nothing():
    answer = EXACT.clone()
    answer[0, 0, 0, 1] = torch.nan
    assert compare(answer, EXACT, ALL, blend="probabilities") == Difference(0.0, 1.0)


class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3)
        self.second = torch.nn.Conv2d(4, 2, 1)

    def forward(self, image):
        return self.second(self.first(image).relu())


class FullSecond(Plain):
    def forward(self, image):
        seen = self.first(image).relu().float()
        with torch.autocast("cpu", enabled=False):
            return self.second(seen)


class ReadsWeights(Plain):
    def forward(self, image):
        return super().forward(image) + self.second.weight.float().sum()


def answers(network, image):
    def answer():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return (network(image).clone(),)

    return answer


def seeded(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind().eval().requires_grad_(False)


def test_weights_are_reduced_and_no_bit_moves():
    network, image = seeded(Plain), torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    answer = answers(network, image)
    before = answer()[0]
    assert reduce_weights(network, torch.bfloat16, answer)
    assert {one.dtype for one in network.parameters()} == {torch.bfloat16}
    assert torch.equal(answer()[0], before)
    assert not reduce_weights(network, torch.bfloat16, answer)


@pytest.mark.parametrize("kind", [FullSecond, ReadsWeights])
def test_a_network_that_uses_weights_in_full_stays_as_it_was(kind):
    network, image = seeded(kind), torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    weights = {name: one.clone() for name, one in network.state_dict().items()}
    answer = answers(network, image)
    before = answer()[0]
    assert not reduce_weights(network, torch.bfloat16, answer)
    assert all(torch.equal(one, weights[name]) for name, one in network.state_dict().items())
    assert torch.equal(answer()[0], before)
