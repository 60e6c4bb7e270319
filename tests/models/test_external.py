"""A frozen part that is kept in a file of its own."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Network
from terrazzo.models.external import ExternalWeights, load_own_state, own_state
from terrazzo.models.output import Output


class Leaning(Network):
    def __init__(self, *, external: bool) -> None:
        super().__init__()
        self.backbone = torch.nn.Conv2d(3, 4, 1)
        self.head = torch.nn.Conv2d(4, 2, 1)
        if external:
            self.external = ExternalWeights("published", "1", "0" * 64, "backbone.")

    def forward(self, image: torch.Tensor) -> Output:
        return Output(self.head(self.backbone(image)))


def test_what_lies_in_a_file_is_left_out():
    assert set(own_state(Leaning(external=True))) == {"head.weight", "head.bias"}


def test_without_a_file_everything_is_the_networks_own():
    assert set(own_state(Leaning(external=False))) == {"backbone.weight", "backbone.bias", "head.weight", "head.bias"}


def test_own_state_goes_back_and_leaves_the_rest():
    source, goal = Leaning(external=True), Leaning(external=True)
    before = goal.backbone.weight.clone()
    load_own_state(goal, own_state(source))
    assert torch.equal(goal.head.weight, source.head.weight)
    assert torch.equal(goal.backbone.weight, before)


@pytest.mark.parametrize("change", ["missing", "foreign", "shape"])
def test_a_state_that_does_not_fit_is_refused(change):
    state = own_state(Leaning(external=True))
    if change == "missing":
        del state["head.bias"]
    elif change == "foreign":
        state["backbone.weight"] = torch.zeros(4, 3, 1, 1)
    else:
        state["head.bias"] = torch.zeros(3)
    with pytest.raises(ModelError, match="do not fit the network"):
        load_own_state(Leaning(external=True), state)
