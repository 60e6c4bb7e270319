"""The suite for networks that answer in steps finds each defect that it claims to find."""

from dataclasses import dataclass, replace
from typing import Literal

import pytest
import torch

from terrazzo.models import Architecture, Network, Output
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Steps
from terrazzo.testing import check_adaptive, check_architecture

LAST = 3


class Stepping(Architecture):
    """A network that answers in steps, with one defect or none."""

    name: Literal["stepping"] = "stepping"
    """A network."""
    defect: str = ""
    """Which."""

    def build(self, *, bands, classes):
        return Layers(bands, classes, self.defect)

    @property
    def answers(self):
        return frozenset() if self.defect == "unnamed" else frozenset({Steps})

    @property
    def halting_rule(self):
        return None if self.defect == "no rule" else HaltingRule(threshold=0.5, first=1, last=LAST)


@dataclass(frozen=True)
class Place:
    features: torch.Tensor
    logits: torch.Tensor


class Layers(Network):
    def __init__(self, bands, classes, defect):
        super().__init__()
        self.defect = defect
        self.encode = torch.nn.Conv2d(bands, 4, 1)
        self.refine = torch.nn.Conv2d(4 + classes, classes, 1)
        self.judge = torch.nn.Linear(classes, 1)

    def forward(self, image):
        state, logits, halting = self.start(image), [], []
        for _ in range(LAST - (self.defect == "too few")):
            state = self.step(state)
            logits.append(state.logits + (self.defect == "two ways"))
            halting.append(self.judged(state))
        records = () if self.defect == "silent" else (Steps(tuple(logits), tuple(halting), 1),)
        return Output(logits[0] if self.defect == "first" else logits[-1], records)

    def start(self, image):
        return Place(self.encode(image), image.new_zeros(len(image), self.refine.out_channels, *image.shape[2:]))

    def step(self, state):
        seen = torch.cat([state.features, state.logits.tanh()], dim=1)
        logits = self.refine(seen)
        if self.defect == "company":
            logits = logits + len(state.logits)
        return replace(state, logits=logits)

    def answer(self, state):
        return state.logits

    def judged(self, state):
        return self.judge(state.logits.mean(dim=(2, 3)))[:, 0]

    def halt(self, state):
        if self.defect == "logits for probabilities":
            return self.judged(state) + 9
        if self.defect == "one for all":
            return self.judged(state).mean().sigmoid()
        return self.judged(state).sigmoid() * (0.5 if self.defect == "other probability" else 1)

    def select(self, state, index):
        if self.defect == "forgets":
            return replace(state, logits=state.logits[index], features=state.features[: len(index)])
        return replace(state, logits=state.logits[index], features=state.features[index])

    def join(self, states):
        parts = states[::-1] if self.defect == "joins out of order" else states
        return Place(*(torch.cat([getattr(part, name) for part in parts]) for name in ("features", "logits")))


def test_a_sound_network_passes():
    check_architecture(Stepping(), bands=(2,), sizes=((8, 8), (5, 9), (1, 1)))


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [
        ("unnamed", "must name Steps among its answers"),
        ("no rule", "needs a halting_rule"),
        ("silent", "must answer a record Steps"),
        ("too few", "must answer 3 steps, not 2"),
        ("two ways", "step 1 by hand must answer as forward does"),
        ("first", "last step must answer the network's logits"),
        ("logits for probabilities", r"halt must answer 0\.\.1"),
        ("one for all", "one probability a tile"),
        ("other probability", "sigmoid of the step's halting logit"),
        ("company", "answer as it does where all tiles run"),
        ("forgets", "answer as it does where all tiles run"),
        ("joins out of order", "enters when others have left"),
    ],
)
def test_each_defect_is_found(defect, complaint):
    record = Stepping(defect=defect)
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=complaint):
        check_adaptive(record, record.build(bands=2, classes=3), bands=2, size=(5, 6))


def test_a_network_that_answers_once_is_none():
    class Once(Network):
        def forward(self, image):
            return Output(image)

    with pytest.raises(AssertionError, match="must be Adaptive"):
        check_adaptive(Stepping(), Once(), bands=3, size=(4, 4))
