"""A network in steps costs its encoder once, and each step that really runs."""

import pytest
import torch

from terrazzo.errors import ConfigError
from terrazzo.models.architecture import ARCHITECTURES, Adaptive, Network
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Output, Steps
from terrazzo.profiling.counting import count_operations
from terrazzo.profiling.stepping import StepCosts, run_steps, step_costs


class Counting(Network):
    """A network whose state is the number of its steps; it notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.encoder = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.refiner = torch.nn.Conv2d(4, 4, 1)
        self.classify = torch.nn.Conv2d(4, 2, 1)

    def start(self, image):
        self.asked.append("start")
        return self.encoder(image)

    def step(self, state):
        self.asked.append("step")
        return state + self.refiner(state)

    def answer(self, state):
        self.asked.append("answer")
        return self.classify(state)

    def halt(self, state):
        self.asked.append("halt")
        return torch.ones(len(state))

    def select(self, state, index):
        return state[index]

    def forward(self, image):
        state, logits = self.start(image), []
        for _ in range(4):
            state = self.step(state)
            logits.append(self.answer(state))
        return Output(logits[-1], (Steps(tuple(logits), (), 1),))


IMAGE = torch.zeros(1, 3, 8, 8)
ENCODER, STEP, ANSWER = 64 * 4 * 27, 64 * 16, 64 * 8


@pytest.mark.parametrize(("steps", "decisions"), [(2, 1), (3, 2), (4, 2)])
def test_a_run_stops_where_it_is_told_and_decides_as_mapping_does(steps: int, decisions: int) -> None:
    network = Counting()
    logits = run_steps(network, IMAGE, rule=HaltingRule(0.5, 2, 4), steps=steps)
    assert logits.shape == (1, 2, 8, 8)
    assert [network.asked.count(word) for word in ("start", "step", "halt", "answer")] == [1, steps, decisions, 1]


@pytest.mark.parametrize("steps", [1, 5])
def test_a_run_does_not_stop_where_it_must_not(steps: int) -> None:
    with pytest.raises(ConfigError, match="between step 2 and step 4"):
        run_steps(Counting(), IMAGE, rule=HaltingRule(0.5, 2, 4), steps=steps)


def test_parts_are_counted_by_hand() -> None:
    costs = step_costs(Counting(), IMAGE, HaltingRule(0.5, 1, 4))
    assert costs == StepCosts(encoder=ENCODER, step=STEP, halting=0, answer=ANSWER, first=1, last=4)
    assert costs.macs(3) == ENCODER + 3 * STEP + ANSWER
    assert costs.encoder_share == ENCODER / (ENCODER + 4 * STEP)


@pytest.mark.parametrize("settings", [{}, {"pixel_act": True}, {"act": False}])
@pytest.mark.parametrize("name", ["trm", "trm_deepglobe"])
def test_the_formula_is_what_a_run_of_the_refiners_costs(name: str, settings: dict[str, bool]) -> None:
    record = ARCHITECTURES.create(name, width=16, t_min=2, t_max=4, **settings)
    network = record.build(bands=3, classes=5).eval()
    image = torch.zeros(1, 3, 32, 32)
    rule = record.halting_rule
    assert isinstance(network, Adaptive)
    assert rule is not None
    costs = step_costs(network, image, rule)
    for steps in range(rule.first, rule.last + 1):
        ran = count_operations(lambda steps=steps: run_steps(network, image, rule=rule, steps=steps))
        assert costs.macs(steps) == ran.macs


def test_system_1_is_not_counted_as_it_counts_itself() -> None:
    """THOP's cost of (encoder + one step) x T is 24.5 GMAC where 11.83 are multiplied: a factor of 2.07."""
    record = ARCHITECTURES.create("trm_deepglobe")
    network = record.build(bands=3, classes=6).eval()
    image = torch.zeros(1, 3, 256, 256)
    rule = record.halting_rule
    assert isinstance(network, Adaptive)
    assert rule is not None
    costs = step_costs(network, image, rule)
    assert costs.encoder / 1e9 == pytest.approx(2.529, abs=5e-4)
    assert costs.step / 1e9 == pytest.approx(1.549, abs=5e-4)
    ours = count_operations(lambda: run_steps(network, image, rule=rule, steps=6)).macs / 1e9
    theirs = 6 * (costs.encoder + costs.step) / 1e9
    assert ours == pytest.approx(11.83, abs=0.01)
    assert theirs == pytest.approx(24.5, abs=0.05)
    assert theirs / ours == pytest.approx(2.07, abs=0.005)
    assert costs.encoder_share == pytest.approx(0.214, abs=5e-4)
    assert [round(100 * costs.saving(mean)) for mean in (3, 2)] == [39, 52]
    assert 100 * costs.saving(1) == pytest.approx(65.5, abs=0.05)


def test_stopping_saves_no_encoder() -> None:
    costs = StepCosts(encoder=300, step=100, halting=0, answer=0, first=1, last=3)
    assert costs.saving(3) == 0
    assert costs.saving(1) == pytest.approx(0.5 * 2 / 3)
    assert costs.saving(1) == pytest.approx(1 - costs.macs(1) / costs.macs(3))
